import GLENPlatform
import GLENTensor

/// An index on disk: a folder with a manifest and the data files of its segments, described byte by byte
/// in `Documentation/IndexFormat.md`.
public enum IndexFolder {
  /// Opens an index.
  ///
  /// The data files are mapped, not read. Headers, lengths, and the tokens of the steps are checked;
  /// every other number is checked where it is used, so that no file can lead a search out of bounds.
  /// A damaged file may give a wrong answer: verifying finds every damage.
  ///
  /// - Parameters:
  ///   - url: The folder.
  ///   - verifying: Whether to read all data files, compare their checksums, and check every number.
  /// - Throws: ``IndexError`` naming the file that is missing or damaged.
  /// - Complexity: O(segments * distinct tokens of the steps + documents / 64); O(size of the index) if
  ///   it is verified.
  public static func open(
    _ url: URL, verifying: Bool = false
  ) throws(IndexError) -> IndexSnapshot {
    try openWithManifest(url.path, verifying: verifying).snapshot
  }

  /// Opens an index and returns its manifest too.
  static func openWithManifest(
    _ folder: String, verifying: Bool = false
  ) throws(IndexError) -> (manifest: IndexManifest, snapshot: IndexSnapshot) {
    var manifest = try readManifest(in: folder)
    while true {
      do throws(IndexError) {
        return (manifest, try open(folder, manifest, verifying: verifying))
      } catch {
        // A commit that ended just now may have removed what the old manifest names.
        guard case .fileSystem = error else { throw error }
        let newer = try readManifest(in: folder)
        guard newer != manifest else { throw error }
        manifest = newer
      }
    }
  }

  /// Checks everything in an index, with the checksums of all files.
  ///
  /// - Throws: ``IndexError`` naming the first file that is missing or damaged.
  /// - Complexity: O(size of the index).
  public static func verify(_ url: URL) throws(IndexError) {
    _ = try open(url, verifying: true)
  }

  static func readManifest(in folder: String) throws(IndexError) -> IndexManifest {
    let path = folder + "/" + IndexManifest.fileName
    return try IndexManifest(
      bytes: try FileSystem.contents(of: path, limit: 1 << 24), path: path)
  }

  /// Opens what a manifest names.
  static func open(
    _ folder: String, _ manifest: IndexManifest, verifying: Bool = false
  ) throws(IndexError) -> IndexSnapshot {
    var segments: [IndexSegment] = []
    for entry in manifest.segments {
      segments.append(try open(folder, entry, verifying: verifying))
    }
    let snapshot: IndexSnapshot
    do throws(IndexError) {
      snapshot = try IndexSnapshot(
        segments, identifierLength: manifest.identifierLength,
        vocabularySize: manifest.vocabularySize, modelFingerprint: manifest.modelFingerprint,
        generation: manifest.generation)
    } catch {
      throw .damagedFile(
        path: folder + "/" + IndexManifest.fileName,
        problem: "its segments do not fit together (\(error))")
    }
    if verifying { try checkNames(of: snapshot, in: folder) }
    return snapshot
  }

  private static func open(
    _ folder: String, _ entry: IndexManifest.Segment, verifying: Bool
  ) throws(IndexError) -> IndexSegment {
    func map(_ file: IndexManifest.File) throws(IndexError) -> IndexMemory {
      let memory = try IndexMemory(mapping: file, in: folder)
      guard verifying else { return memory }
      let checksum = CRC64.text(CRC64.checksum(memory.bytes))
      guard checksum == file.crc64 else {
        throw .damagedFile(
          path: folder + "/" + file.name,
          problem: "its checksum differs; expected \(file.crc64), got \(checksum)")
      }
      return memory
    }
    let paths = (folder + "/" + entry.identifiers.name, folder + "/" + entry.documents.name)
    let table = try IdentifierTable(memory: try map(entry.identifiers), path: paths.0)
    let catalog = try DocumentCatalog(memory: try map(entry.documents), path: paths.1)
    var deleted: DocumentSet?
    if let file = entry.deleted {
      deleted = try DocumentSet(deletions: try map(file), path: folder + "/" + file.name)
    }
    var keywords: KeywordIndex?
    if let file = entry.keywords {
      keywords = try KeywordIndex(memory: try map(file), path: folder + "/" + file.name)
    }
    guard table.documentCount == entry.documentCount, catalog.count == entry.documentCount,
      deleted?.capacity ?? entry.documentCount == entry.documentCount,
      keywords?.documentCount ?? entry.documentCount == entry.documentCount
    else {
      throw .damagedFile(
        path: folder + "/" + IndexManifest.fileName,
        problem: "its counts contradict those of the data files")
    }
    if verifying {
      try table.validate(path: paths.0)
      try catalog.validate(path: paths.1)
      if let keywords, let file = entry.keywords {
        try keywords.validate(path: folder + "/" + file.name)
      }
    }
    return try IndexSegment(
      table: table, documents: catalog, deleted: deleted, keywords: keywords)
  }

  /// Checks that no two living documents of different segments have the same name.
  private static func checkNames(of snapshot: IndexSnapshot, in folder: String) throws(IndexError) {
    for (index, segment) in snapshot.segments.enumerated().dropFirst() {
      for document in 0..<segment.documents.count where segment.isLiving(document) {
        let id = segment.documents.identifier(ofDocument: document)
        for earlier in snapshot.segments[..<index] {
          guard let other = earlier.documents.document(withIdentifier: id), earlier.isLiving(other)
          else { continue }
          throw .damagedFile(
            path: folder + "/" + IndexManifest.fileName,
            problem: "two of its segments have a document \"\(id)\"")
        }
      }
    }
  }
}

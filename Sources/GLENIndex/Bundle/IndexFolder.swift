import Foundation

/// An index on disk: a folder with a manifest and two data files, described byte by byte in
/// `Documentation/IndexFormat.md`.
public enum IndexFolder {
  /// Opens an index.
  ///
  /// The data files are mapped, not read. Every count, offset, and code in them is checked, so that
  /// no file can lead a search astray; a change that leaves them consistent (another weight, another
  /// letter in a title) is found only if the checksums are verified.
  ///
  /// - Parameters:
  ///   - url: The folder.
  ///   - verifying: Whether to compare the checksums of the data files too.
  /// - Throws: ``IndexError`` naming the file that is missing or damaged.
  /// - Complexity: O(size of the index).
  public static func open(
    _ url: URL, verifying: Bool = false
  ) throws(IndexError) -> IndexContents {
    var manifest = try readManifest(in: url.path)
    while true {
      do throws(IndexError) {
        return try open(url.path, manifest, verifying: verifying)
      } catch {
        // A save that ended just now may have removed what the old manifest names.
        guard case .fileSystem = error else { throw error }
        let newer = try readManifest(in: url.path)
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

  private static func open(
    _ folder: String, _ manifest: IndexManifest, verifying: Bool
  ) throws(IndexError) -> IndexContents {
    let identifiers = try map(manifest.identifiers, in: folder, verifying: verifying)
    let documents = try map(manifest.documents, in: folder, verifying: verifying)
    let table = try IdentifierTable(
      memory: identifiers, path: folder + "/" + manifest.identifiers.name)
    let catalog = try DocumentCatalog(
      memory: documents, path: folder + "/" + manifest.documents.name)
    guard table.documentCount == manifest.documentCount,
      table.identifierCount == manifest.identifierCount,
      table.identifierLength == manifest.identifierLength,
      table.vocabularySize == manifest.vocabularySize,
      table.layout.codeWidth == manifest.codeWidth,
      catalog.count == manifest.documentCount
    else {
      throw .damagedFile(
        path: folder + "/" + IndexManifest.fileName,
        problem: "its counts contradict those of the data files")
    }
    return IndexContents(
      table: table, documents: catalog, modelFingerprint: manifest.modelFingerprint)
  }

  private static func map(
    _ file: IndexManifest.File, in folder: String, verifying: Bool
  ) throws(IndexError) -> IndexMemory {
    let path = folder + "/" + file.name
    let memory = try IndexMemory(mapping: path, expectedCount: file.bytes)
    guard verifying else { return memory }
    let checksum = CRC64.text(CRC64.checksum(memory.bytes))
    guard checksum == file.crc64 else {
      throw .damagedFile(
        path: path, problem: "its checksum differs; expected \(file.crc64), got \(checksum)")
    }
    return memory
  }
}

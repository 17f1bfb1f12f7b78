import Foundation

extension IndexFolder {
  private static let temporaryPrefix = ".glen-"

  /// Saves an index; whoever opens the folder sees the old index or the new one, nothing between.
  ///
  /// The data files get names of their own, made from their contents. When they are on the disk, the
  /// manifest that names them replaces the old one in a single step; then files that it does not
  /// name are removed. Whatever fails before that step, and a loss of power too, leaves the old
  /// index as it was. Only one save to a folder may run at a time.
  ///
  /// - Parameters:
  ///   - table: The documents' identifiers and weights.
  ///   - documentIDs: The documents' own names, in document order; no two may be equal.
  ///   - titles: The documents' titles in the same order, or nil for none.
  ///   - modelFingerprint: Names the model that made the identifiers.
  ///   - url: The folder, which is made if it is not there.
  /// - Throws: ``IndexError/invalidDocuments(_:)`` if the names do not fit the table, and
  ///   ``IndexError/fileSystem(operation:path:code:)`` if a file cannot be written.
  /// - Complexity: O(size of the index), and O(documents * log(documents)) comparisons of names.
  public static func write(
    _ table: IdentifierTable, documentIDs: [String], titles: [String]? = nil,
    modelFingerprint: String, to url: URL
  ) throws(IndexError) {
    try write(
      table, documents: try DocumentCatalog(identifiers: documentIDs, titles: titles),
      modelFingerprint: modelFingerprint, to: url)
  }

  /// Saves an index whose documents' names are already collected.
  ///
  /// - Parameters:
  ///   - table: The documents' identifiers and weights.
  ///   - documents: The documents' names and titles, in document order.
  ///   - modelFingerprint: Names the model that made the identifiers.
  ///   - url: The folder, which is made if it is not there.
  /// - Throws: ``IndexError`` as for the other form.
  /// - Complexity: O(size of the index).
  public static func write(
    _ table: IdentifierTable, documents: DocumentCatalog, modelFingerprint: String, to url: URL
  ) throws(IndexError) {
    guard documents.count == table.documentCount else {
      throw .invalidDocuments(
        "save index: the names do not match the table; expected \(table.documentCount) names, got "
          + "\(documents.count); name every document once")
    }
    let manifest = IndexManifest(
      identifierLength: table.identifierLength, vocabularySize: table.vocabularySize,
      documentCount: table.documentCount, identifierCount: table.identifierCount,
      codeWidth: table.layout.codeWidth, modelFingerprint: modelFingerprint,
      identifiers: entry(of: table.memory, kind: "identifiers"),
      documents: entry(of: documents.memory, kind: "documents"))
    let folder = url.path
    let madeFolders = try FileSystem.makeFolders(folder)
    let before = Set(FileSystem.names(in: folder))
    do throws(IndexError) {
      try place(table.memory.bytes, as: manifest.identifiers.name, in: folder)
      try place(documents.memory.bytes, as: manifest.documents.name, in: folder)
      // The names of the data files reach the disk before the manifest that relies on them.
      try FileSystem.synchronize(folder: folder)
      for made in madeFolders { try FileSystem.synchronize(folder: FileSystem.parent(of: made)) }
      let text = manifest.bytes
      let memory = IndexMemory(count: text.count) { $0.copyBytes(from: text) }
      try place(memory.bytes, as: IndexManifest.fileName, in: folder)
    } catch {
      for name in [manifest.identifiers.name, manifest.documents.name]
      where !before.contains(name) {
        FileSystem.remove(folder + "/" + name)
      }
      FileSystem.removeFolders(madeFolders)
      throw error
    }
    try FileSystem.synchronize(folder: folder)
    removeStaleFiles(in: folder, keeping: manifest)
  }

  private static func entry(of memory: IndexMemory, kind: String) -> IndexManifest.File {
    let checksum = CRC64.checksum(memory.bytes)
    return IndexManifest.File(
      name: IndexManifest.dataFileName(kind: kind, checksum: checksum),
      bytes: memory.bytes.count, crc64: CRC64.text(checksum))
  }

  /// Writes a file under a temporary name and gives it its own name when it is complete.
  private static func place(
    _ bytes: UnsafeRawBufferPointer, as name: String, in folder: String
  ) throws(IndexError) {
    let temporary =
      folder + "/" + temporaryPrefix + CRC64.text(UInt64.random(in: 0 ... .max)) + ".tmp"
    try FileSystem.write(bytes, toNew: temporary)
    do throws(IndexError) {
      try FileSystem.move(temporary, to: folder + "/" + name)
    } catch {
      FileSystem.remove(temporary)
      throw error
    }
  }

  /// Removes data files that no manifest names any more, and what an interrupted save left.
  private static func removeStaleFiles(in folder: String, keeping manifest: IndexManifest) {
    let kept = [manifest.identifiers.name, manifest.documents.name]
    for name in FileSystem.names(in: folder) where !kept.contains(name) {
      let isData =
        IndexManifest.isDataFile(name, kind: "identifiers")
        || IndexManifest.isDataFile(name, kind: "documents")
      let isTemporary = name.hasPrefix(temporaryPrefix) && name.hasSuffix(".tmp")
      if isData || isTemporary { FileSystem.remove(folder + "/" + name) }
    }
  }
}

import GLENPlatform
import GLENTensor

extension IndexFolder {
  private static let temporaryPrefix = ".glen-"

  /// Whether a name is one that files have until they are whole.
  static func isTemporary(_ name: String) -> Bool {
    name.hasPrefix(temporaryPrefix) && name.hasSuffix(".tmp")
  }

  /// Checks that a folder is one for an index: absent, empty, or with an index, whole or half saved.
  ///
  /// For whoever wants to know before the documents are indexed. Saving refuses less: only to replace
  /// a `manifest.json` that is not an index's. Names that begin with a dot do not count.
  ///
  /// - Throws: ``IndexError/foreignFolder(path:name:)``.
  public static func checkDestination(_ url: URL) throws(IndexError) {
    try checkManifest(in: url.path)
    let names = FileSystem.names(in: url.path).filter { !$0.hasPrefix(".") }
    guard let name = names.min(),
      !names.contains(where: { $0 == IndexManifest.fileName || isOwn($0) })
    else { return }
    throw .foreignFolder(path: url.path, name: name)
  }

  /// Checks that the `manifest.json` of a folder, if there is one, may be replaced: it is an index's, or
  /// a damaged one beside an index's data files.
  ///
  /// - Throws: ``IndexError/foreignFolder(path:name:)``.
  static func checkManifest(in folder: String) throws(IndexError) {
    let path = folder + "/" + IndexManifest.fileName
    guard let bytes = try? FileSystem.contents(of: path, limit: 1 << 24),
      !IndexManifest.isIndex(bytes), !FileSystem.names(in: folder).contains(where: isOwn)
    else { return }
    throw .foreignFolder(path: folder, name: IndexManifest.fileName)
  }

  /// Whether a name is one that saving gives: a data file's, or that of a model's folder.
  private static func isOwn(_ name: String) -> Bool {
    let model = "model-"
    return IndexManifest.isDataFile(name)
      || name.hasPrefix(model) && CRC64.isText(String(name.dropFirst(model.count)))
  }

  /// Saves an index; whoever opens the folder sees the old index or the new one, nothing between.
  ///
  /// The data files get names of their own, made from their contents. When they are on the disk, the
  /// manifest that names them replaces the old one in a single step; then files that it does not
  /// name are removed. Whatever fails before that step, and a loss of power too, leaves the old
  /// index as it was. Of several savers one waits for the other.
  ///
  /// - Parameters:
  ///   - snapshot: What to save.
  ///   - url: The folder, which is made if it is not there.
  /// - Throws: ``IndexError/fileSystem(operation:path:code:)`` if a file cannot be written, or if only the disk
  ///   did not confirm at last that it has the new index, which is then there;
  ///   ``IndexError/foreignFolder(path:name:)`` if the folder has a `manifest.json` of something else.
  /// - Complexity: O(size of the index).
  public static func write(_ snapshot: IndexSnapshot, to url: URL) throws(IndexError) {
    try checkManifest(in: url.path)
    let madeFolders = try FileSystem.makeFolders(url.path)
    let unconfirmed: IndexError?
    do throws(IndexError) {
      let lock = try FolderLock(url.path)
      defer { lock.release() }
      (_, unconfirmed) = try commit(snapshot, in: url.path, madeFolders: madeFolders)
    } catch {
      FileSystem.removeFolders(madeFolders)
      throw error
    }
    if let unconfirmed { throw unconfirmed }
  }

  /// Makes a snapshot the state of a folder whose lock the caller holds; returns the new manifest, and
  /// the error where the disk did not confirm that the folder names it.
  ///
  /// Data files that the folder's manifest names and that the snapshot has mapped stay as they are.
  ///
  /// - Parameters:
  ///   - madeFolders: Folders that the caller has made, whose names have to reach the disk.
  ///   - confirm: Brings the new state's name to the disk; asked once more where it fails.
  static func commit(
    _ snapshot: IndexSnapshot, in folder: String, madeFolders: [String] = [],
    confirm: (String) throws(IndexError) -> Void = { path throws(IndexError) in
      try FileSystem.synchronize(folder: path)
    }
  ) throws(IndexError) -> (manifest: IndexManifest, unconfirmed: IndexError?) {
    let old = try? readManifest(in: folder)
    let present = old?.files ?? []
    var manifest = IndexManifest(
      generation: (old?.generation ?? 0) + 1, identifierLength: snapshot.identifierLength,
      vocabularySize: snapshot.vocabularySize, modelFingerprint: snapshot.modelFingerprint,
      segments: [])
    let before = Set(FileSystem.names(in: folder))
    var placed: [String] = []
    do throws(IndexError) {
      for segment in snapshot.segments {
        var files: [IndexManifest.Kind: IndexManifest.File] = [:]
        for (kind, memory) in segment.regions {
          let file = memory.file ?? entry(of: memory, kind: kind)
          files[kind] = file
          if memory.file != nil, present.contains(file) { continue }
          placed.append(file.name)
          try place(memory.bytes, as: file.name, in: folder)
        }
        guard let identifiers = files[.identifiers], let documents = files[.documents] else {
          continue
        }
        manifest.segments.append(
          IndexManifest.Segment(
            documentCount: segment.table.documentCount, identifiers: identifiers,
            documents: documents, deleted: files[.deleted], keywords: files[.keywords]))
      }
      // The names of the data files reach the disk before the manifest that relies on them.
      try FileSystem.synchronize(folder: folder)
      for made in madeFolders { try FileSystem.synchronize(folder: FileSystem.parent(of: made)) }
      let text = manifest.bytes
      let memory = IndexMemory(count: text.count) { $0.copyBytes(from: text) }
      try place(memory.bytes, as: IndexManifest.fileName, in: folder)
    } catch {
      for name in placed where !before.contains(name) { FileSystem.remove(folder + "/" + name) }
      throw error
    }
    do throws(IndexError) {
      do throws(IndexError) { try confirm(folder) } catch { try confirm(folder) }
    } catch {
      // A power loss may bring the old manifest back, which needs its files.
      guard case .fileSystem(_, let path, let code) = error else { return (manifest, error) }
      return (
        manifest, .fileSystem(operation: IndexError.confirmation, path: path, code: code)
      )
    }
    removeStaleFiles(in: folder, keeping: manifest)
    return (manifest, nil)
  }

  private static func entry(of memory: IndexMemory, kind: IndexManifest.Kind) -> IndexManifest.File
  {
    let checksum = CRC64.text(CRC64.checksum(memory.bytes))
    return IndexManifest.File(
      name: IndexManifest.dataFileName(kind: kind, checksum: checksum),
      bytes: memory.bytes.count, crc64: checksum)
  }

  /// Writes a file under a temporary name and gives it its own name when it is complete.
  static func place(
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

  /// Removes data files that no manifest names any more, and what an interrupted commit left.
  private static func removeStaleFiles(in folder: String, keeping manifest: IndexManifest) {
    let kept = Set(manifest.files.map(\.name))
    for name in FileSystem.names(in: folder) where !kept.contains(name) {
      if isTemporary(name) || IndexManifest.isDataFile(name) {
        FileSystem.remove(folder + "/" + name)
      }
    }
  }
}

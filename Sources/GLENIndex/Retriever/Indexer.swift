import Foundation
import GLENModel
import GLENTensor
import GLENText

/// Gives every document its identifier and writes the index.
public struct Indexer: Sendable {
  /// The model that reads documents.
  public let model: ModelFolder

  /// An indexer with a model.
  public init(model: ModelFolder) {
    self.model = model
  }

  /// Indexes documents in memory.
  ///
  /// - Parameters:
  ///   - documents: their ids must differ; a document without text is indexed by what the model
  ///     makes of nothing.
  ///   - progress: receives the number of documents done.
  /// - Throws: `IndexError.invalidDocuments` for no documents or two of one id;
  ///   `IndexError.invalidIdentifiers` if the model's weights are not numbers; `TensorError`;
  ///   `CancellationError`.
  public func index(
    _ documents: [Document], progress: (Int) -> Void = { _ in }
  ) throws -> Retriever {
    guard !documents.isEmpty else {
      throw IndexError.invalidDocuments(
        "index: there are no documents; expected at least one")
    }
    let catalog = try DocumentCatalog(
      identifiers: documents.map(\.id), titles: documents.map(\.title))
    if let name = try model.generator.model.nameOfNonFiniteParameter() {
      throw IndexError.invalidIdentifiers(
        "index: the model's tensor \(name) holds something that is not a finite number; expected "
          + "numbers throughout; train the model again, or take an intact copy")
    }
    let (tokens, weights) = try model.generator.identifiers(
      of: documents.map(model.tokens(of:)), progress: progress)
    let table = try IdentifierTable(
      identifiers: tokens, weights: weights,
      identifierLength: model.settings.identifierLength,
      vocabularySize: model.generator.model.configuration.vocabularySize)
    return try Retriever(model: model, table: table, documents: catalog)
  }
}

extension Retriever {
  /// Saves the index with its model into one folder.
  ///
  /// The model's files are linked where the file system allows it, else copied, into a folder named
  /// by the model's fingerprint; then the index is replaced in one step. Whoever opens the folder
  /// sees the old index or the new one. Of several savers one waits for the other. Because of the
  /// links, a model's file must be replaced, as `glen train` does, and never be written in place.
  ///
  /// - Throws: `IndexError.invalidDocuments` for a test double without a model;
  ///   `IndexError.fileSystem`, or `TensorError.file` if the model's own files cannot be
  ///   read; an earlier index is intact.
  public func save(to url: URL) throws {
    guard let model else {
      throw IndexError.invalidDocuments(
        "save index: this retriever is a test double; expected one with a model folder, which is "
          + "saved too; index the documents with a model")
    }
    let target = Self.modelURL(in: url, fingerprint: model.fingerprint)
    var madeFolders = try FileSystem.makeFolders(url.path)
    let lock = try FolderLock(url.path)
    defer { lock.release() }
    madeFolders += try FileSystem.makeFolders(target.path)
    let replaced = (try? IndexFolder.readManifest(in: url.path))?.modelFingerprint
    do {
      if model.url.resolvingSymlinksInPath() != target.resolvingSymlinksInPath() {
        let names = try ModelFolder.fileNames(in: model.url)
        for name in names.small + names.weights {
          try Self.place(model.url.appendingPathComponent(name), at: target, name: name)
        }
      }
      try IndexFolder.write(
        table, documents: documents, modelFingerprint: model.fingerprint, to: url)
    } catch {
      if madeFolders.contains(target.path) {
        for name in FileSystem.names(in: target.path) where name != "." && name != ".." {
          FileSystem.remove(target.path + "/" + name)
        }
      }
      FileSystem.removeFolders(madeFolders)
      throw error
    }
    // Only what the replaced index had: the folder may hold other things of its owner's.
    if let replaced, replaced != model.fingerprint, CRC64.isText(replaced) {
      try? FileManager.default.removeItem(at: Self.modelURL(in: url, fingerprint: replaced))
    }
  }

  /// Links or copies a file, so that its name appears only when it is complete.
  private static func place(_ source: URL, at folder: URL, name: String) throws {
    let temporary = folder.appendingPathComponent(".glen-\(UUID().uuidString).tmp").path
    // What a symbolic link names, not the link: its target may be relative.
    let file = source.resolvingSymlinksInPath()
    do {
      do {
        try FileManager.default.linkItem(atPath: file.path, toPath: temporary)
      } catch {
        let bytes = try MappedFile(file)
        try withExtendedLifetime(bytes) {
          try FileSystem.write(UnsafeRawBufferPointer(bytes.bytes), toNew: temporary)
        }
      }
      try FileSystem.move(temporary, to: folder.appendingPathComponent(name).path)
    } catch {
      FileSystem.remove(temporary)
      throw error
    }
  }
}

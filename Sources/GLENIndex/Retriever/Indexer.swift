import Foundation
import GLENModel
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
  /// sees the old index or the new one.
  ///
  /// - Throws: `IndexError.fileSystem`, or an error of the file system; an earlier index is intact.
  public func save(to url: URL) throws {
    let files = FileManager.default
    let target = Self.modelURL(in: url, fingerprint: model.fingerprint)
    if model.url.standardizedFileURL != target.standardizedFileURL {
      try files.createDirectory(at: target, withIntermediateDirectories: true)
      let names = try files.contentsOfDirectory(atPath: model.url.path).filter {
        ModelFolder.fileNames.contains($0) || $0 == "model.safetensors.index.json"
          || $0.hasPrefix("model-") && $0.hasSuffix(".safetensors")
      }
      do {
        for name in names {
          try Self.place(model.url.appendingPathComponent(name), at: target, name: name)
        }
      } catch {
        let known = (try? IndexFolder.open(url))?.modelFingerprint
        if known != model.fingerprint { try? files.removeItem(at: target) }
        throw error
      }
    }
    try IndexFolder.write(
      table, documents: documents, modelFingerprint: model.fingerprint, to: url)
    for name in try files.contentsOfDirectory(atPath: url.path)
    where name.hasPrefix("model-") && name != target.lastPathComponent {
      try? files.removeItem(at: url.appendingPathComponent(name))
    }
  }

  /// Links or copies a file, so that its name appears only when it is complete.
  private static func place(_ source: URL, at folder: URL, name: String) throws {
    let files = FileManager.default
    let target = folder.appendingPathComponent(name)
    let temporary = folder.appendingPathComponent(".glen-\(UUID().uuidString).tmp")
    do {
      try files.linkItem(at: source, to: temporary)
    } catch {
      try? files.removeItem(at: temporary)
      try files.copyItem(at: source, to: temporary)
    }
    do {
      if files.fileExists(atPath: target.path) { try files.removeItem(at: target) }
      try files.moveItem(at: temporary, to: target)
    } catch {
      try? files.removeItem(at: temporary)
      throw error
    }
  }
}

import GLENModel
import GLENPlatform
import GLENTensor
import GLENText

/// Gives every document its identifier and writes the index.
public struct Indexer: Sendable {
  /// The model that reads documents.
  public let model: ModelFolder
  /// How the documents' weights are stored.
  public var weightFormat: WeightFormat
  /// Whether the index holds its documents' keywords, for hybrid search.
  public var keepsKeywords = false

  /// An indexer with a model.
  public init(model: ModelFolder, weightFormat: WeightFormat = .float32) {
    self.model = model
    self.weightFormat = weightFormat
  }

  /// Indexes documents in memory.
  ///
  /// The model keeps the caller's thread busy, for minutes where there are many documents: an app calls this
  /// in a `Task.detached`, which can be cancelled.
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
    return try retriever(documents, records(of: documents, progress: progress))
  }

  /// The documents with the identifiers and weights that the model gives them.
  ///
  /// - Throws: as `index`.
  func records(
    of documents: [Document], progress: (Int) -> Void = { _ in }
  ) throws -> DocumentRecords {
    // Names first: the model's work on two documents of one name would be lost.
    _ = try DocumentCatalog(identifiers: documents.map(\.id))
    if let name = try model.generator.model.nameOfNonFiniteParameter() {
      throw IndexError.invalidIdentifiers(
        "index: the model's tensor \(name) holds something that is not a finite number; expected "
          + "numbers throughout; train the model again, or take an intact copy")
    }
    let (tokens, weights) = try model.generator.identifiers(
      of: documents.map(model.tokens(of:)), progress: progress)
    return try records(of: documents, tokens: tokens, weights: weights)
  }

  /// Indexes documents whose identifiers are already there, such as those of the paper's authors.
  ///
  /// - Parameters:
  ///   - documents: their ids must differ.
  ///   - tokens: the documents' identifiers by this model, `[documents, n]` in row-major order.
  ///   - weights: the documents' own logits at those tokens, laid out in the same way.
  /// - Throws: `IndexError.invalidDocuments` for two documents of one id;
  ///   `IndexError.invalidIdentifiers` for tokens or weights that do not fit model or documents, and
  ///   for tokens that the model never gives.
  public func index(
    _ documents: [Document], tokens: [Int32], weights: [Float]
  ) throws -> Retriever {
    let records = try records(of: documents, tokens: tokens, weights: weights)
    let masked = Set(model.settings.maskedTokens)
    if let place = tokens.firstIndex(where: masked.contains) {
      let id = documents[place / model.settings.identifierLength].id
      throw IndexError.invalidIdentifiers(
        "index: the identifier of \"\(id)\" has the token \(tokens[place]), which the model masks: no "
          + "question would ever find it; expected tokens outside `masked_token_ids` of its glen.json"
      )
    }
    return try retriever(documents, records)
  }

  private func records(
    of documents: [Document], tokens: [Int32], weights: [Float]
  ) throws(IndexError) -> DocumentRecords {
    let n = model.settings.identifierLength
    guard tokens.count == documents.count * n, weights.count == tokens.count else {
      throw .invalidIdentifiers(
        "index: the identifiers do not fit the documents; expected \(n) tokens and weights for each "
          + "of \(documents.count), got \(tokens.count) and \(weights.count); use the model that "
          + "made them")
    }
    var records = DocumentRecords()
    for (place, document) in documents.enumerated() {
      let own = place * n..<(place + 1) * n
      records.append(
        id: document.id, title: document.title, metadata: document.metadata, tokens: tokens[own],
        weights: weights[own])
    }
    return records
  }

  private func retriever(
    _ documents: [Document], _ records: DocumentRecords
  ) throws -> Retriever {
    let size = model.generator.model.configuration.vocabularySize
    let length = model.settings.identifierLength
    let segment = try IndexSegment(
      records, keywords: keepsKeywords ? keywords(of: documents) : nil, identifierLength: length,
      vocabularySize: size, weightFormat: weightFormat)
    return try Retriever(
      model: model,
      snapshot: IndexSnapshot(
        [segment], identifierLength: length, vocabularySize: size,
        modelFingerprint: model.fingerprint))
  }

  /// The keywords of documents in their order.
  ///
  /// - Throws: `IndexError.invalidDocuments` for too many documents.
  func keywords(of documents: [Document]) throws(IndexError) -> KeywordIndex {
    try KeywordIndex(documents: documents.lazy.map { model.keywords(of: $0.fullText) })
  }
}

extension Retriever {
  /// Saves the index with its model into one folder.
  ///
  /// The model's weights are linked where the file system allows it, else copied, and its small files are
  /// copied, into a folder named by the model's fingerprint; then the index is replaced in one step. Whoever
  /// opens the folder sees the old index or the new one. Of several savers one waits for the other. Because of
  /// the links, a file of weights must be replaced, as `glen train` does, and never be written in place.
  ///
  /// - Throws: `IndexError.invalidDocuments` for a test double without a model;
  ///   `IndexError.foreignFolder` if the folder has a `manifest.json` of something else;
  ///   `IndexError.fileSystem`, or `TensorError.file` if the model's own files cannot be
  ///   read; an earlier index is intact, unless only the disk did not confirm at last that it has this one.
  public func save(to url: URL) throws {
    guard let model else {
      throw IndexError.invalidDocuments(
        "save index: this retriever is a test double; expected one with a model folder, which is "
          + "saved too; index the documents with a model")
    }
    try IndexFolder.checkManifest(in: url.path)
    let target = Self.modelURL(in: url, fingerprint: model.fingerprint)
    var madeFolders = try FileSystem.makeFolders(url.path)
    let lock = try FolderLock(url.path)
    defer { lock.release() }
    madeFolders += try FileSystem.makeFolders(target.path)
    let replaced = (try? IndexFolder.readManifest(in: url.path))?.modelFingerprint
    let unconfirmed: IndexError?
    do {
      // An index that was saved where this one came from has taken its model away since then; also where the
      // folder to save in is that one, and the model's own folder was just made again, with nothing in it.
      let configuration = model.url.appendingPathComponent("config.json").path
      guard FileManager.default.fileExists(atPath: configuration) else {
        throw IndexError.fileSystem(
          operation: "save index: find the model that made it", path: configuration, code: ENOENT)
      }
      if model.url.resolvingSymlinksInPath() != target.resolvingSymlinksInPath() {
        for name in FileSystem.names(in: target.path) where IndexFolder.isTemporary(name) {
          FileSystem.remove(target.path + "/" + name)
        }
        let names = try ModelFolder.fileNames(in: model.url)
        for name in names.small + names.weights {
          try Self.place(
            model.url.appendingPathComponent(name), at: target, name: name,
            links: names.weights.contains(name))
        }
        try ModelChecksums.write(names.small + names.weights, in: target.path)
      }
      (_, unconfirmed) = try IndexFolder.commit(snapshot, in: url.path, madeFolders: madeFolders)
    } catch {
      if madeFolders.contains(target.path) {
        for name in FileSystem.names(in: target.path) where name != "." && name != ".." {
          FileSystem.remove(target.path + "/" + name)
        }
      }
      FileSystem.removeFolders(madeFolders)
      throw error
    }
    if let unconfirmed { throw unconfirmed }
    // Only what the replaced index had: the folder may hold other things of its owner's.
    if let replaced, replaced != model.fingerprint, CRC64.isText(replaced) {
      try? FileManager.default.removeItem(at: Self.modelURL(in: url, fingerprint: replaced))
    }
  }

  /// Links or copies a file, so that its name appears only when it is complete.
  ///
  /// - Parameter links: false for what somebody may change with an editor, which would change it here too.
  private static func place(_ source: URL, at folder: URL, name: String, links: Bool) throws {
    let temporary = folder.appendingPathComponent(".glen-\(UUID().uuidString).tmp").path
    // What a symbolic link names, not the link: its target may be relative.
    let file = source.resolvingSymlinksInPath()
    do {
      if !links || link(file.path, temporary) != 0 {
        let bytes = try MappedFile(file)
        try withExtendedLifetime(bytes) {
          try FileSystem.write(UnsafeRawBufferPointer(bytes.bytes), toNew: temporary)
        }
      }
      try FileSystem.move(temporary, to: folder.appendingPathComponent(name).path)
      // Two names of one file are left as they are, for instance where the model is the one before.
      FileSystem.remove(temporary)
    } catch {
      FileSystem.remove(temporary)
      throw error
    }
  }
}

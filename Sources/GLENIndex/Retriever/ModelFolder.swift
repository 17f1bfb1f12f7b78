import GLENModel
import GLENPlatform
import GLENTensor
import GLENText

/// A GLEN model on disk: `config.json`, weights, `spiece.model` and `glen.json`.
public struct ModelFolder: Sendable {
  /// The folder.
  public let url: URL
  /// What `glen.json` says.
  public let settings: IdentifierSettings
  /// The vocabulary.
  public let tokenizer: SentencePieceTokenizer
  /// The network and its settings.
  public let generator: IdentifierGenerator
  /// Tells this model from others: a checksum over its small files and the beginning and end of
  /// every tensor, so that opening does not read all weights.
  public let fingerprint: String

  /// The files that make the model in a folder: the small ones, and all of its weights.
  ///
  /// - Throws: `ModelError` where no weights are found.
  package static func fileNames(in url: URL) throws -> (small: [String], weights: [String]) {
    let weights = try WeightFiles(folder: url)
    let small = ["config.json", "spiece.model", "glen.json"] + (weights.index.map { [$0] } ?? [])
    return (small, weights.names)
  }

  /// What the weights of a model say of the vocabulary that they were trained with.
  ///
  /// A model is several files, each replaced in one step, but not all in one: if a save is cut off, or
  /// a file is copied from elsewhere, this tells.
  public static func metadata(vocabulary: Data) -> [String: String] {
    T5Model.metadata(vocabulary: vocabulary)
  }

  /// Opens a model; weights are mapped, not read.
  ///
  /// - Throws: `ModelError`, `TensorError` or `TokenizerError` that names the file;
  ///   `IndexError.damagedFile` if the vocabulary is larger than the model's table, or not the one
  ///   that the weights were saved with.
  public init(
    opening url: URL, on backend: any Backend = CPUBackend.shared,
    warn: (String) -> Void = { _ in }
  ) throws {
    self.url = url
    settings = try IdentifierSettings(folder: url)
    let configuration = try T5Configuration(folder: url)
    let weights = try WeightFiles(folder: url).open()
    let model = try T5Model(configuration, weights: weights, of: url, on: backend, warn: warn)
    let vocabulary = url.appendingPathComponent("spiece.model")
    let rows = model.configuration.vocabularySize
    let t5 = try SentencePieceTokenizer(contentsOf: vocabulary, sentinelCount: 100)
    guard t5.pieceCount <= rows else {
      throw IndexError.damagedFile(
        path: vocabulary.path,
        problem: "it has \(t5.pieceCount) pieces, but the model's table only \(rows) rows; "
          + "this is another model's vocabulary")
    }
    if T5Model.contradict(weights, vocabulary: t5.modelData) {
      throw IndexError.damagedFile(path: vocabulary.path, problem: T5Model.otherVocabulary)
    }
    // A vocabulary of the model's own has no sentinels; T5's has a hundred above its pieces.
    tokenizer =
      rows - t5.pieceCount < 100
      ? try SentencePieceTokenizer(model: t5.modelData, sentinelCount: 0) : t5
    generator = try IdentifierGenerator(model: model, settings: settings, name: url.path)
    fingerprint = try Self.fingerprint(of: url, weights)
  }

  /// Opens the model in an index folder, which must be the one that made the index.
  ///
  /// - Throws: `IndexError.damagedFile` if it is missing or another one; what opening a model throws.
  init(
    inIndex url: URL, fingerprint: String, on backend: any Backend,
    warn: (String) -> Void = { _ in }
  ) throws {
    let folder = Retriever.modelURL(in: url, fingerprint: fingerprint)
    guard FileManager.default.fileExists(atPath: folder.path) else {
      throw IndexError.damagedFile(
        path: folder.path, problem: "the index's model is missing; index the corpus again")
    }
    try self.init(opening: folder, on: backend, warn: warn)
    guard self.fingerprint == fingerprint else {
      throw IndexError.damagedFile(
        path: folder.path,
        problem: "this is not the model that made the index; index the corpus again")
    }
  }

  /// The tokens of a document, with the end token.
  public func tokens(of document: Document) -> [Int32] {
    tokenizer.encode(
      TextCleaning.clean(document.fullText), maximumLength: settings.maximumDocumentLength)
  }

  /// The tokens of a question, with the end token.
  public func tokens(ofQuery query: String) -> [Int32] {
    tokenizer.encode(TextCleaning.clean(query), maximumLength: settings.maximumQueryLength)
  }

  private static func fingerprint(
    of url: URL, _ weights: [any CheckpointFile]
  ) throws -> String {
    var bytes: [UInt8] = []
    for name in try fileNames(in: url).small {
      let file = try MappedFile(url.appendingPathComponent(name))
      withUnsafeBytes(of: file.bytes.count.littleEndian) { bytes += $0 }
      bytes += file.bytes
    }
    for file in weights { bytes += file.sample(bytesPerEnd: 64) }
    return bytes.withUnsafeBytes { CRC64.text(CRC64.checksum($0)) }
  }
}

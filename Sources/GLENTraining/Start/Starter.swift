import GLENModel
import GLENPlatform
import GLENTensor
import GLENText

/// A pre-trained network that lends its layers to a corpus's own vocabulary.
///
/// `TrainingSession.Start.folder` takes a network as it is, with its vocabulary; a starter's table is
/// made anew for the vocabulary of the corpus (`VocabularyTransfer`), whose words are then pieces.
public struct Starter: Sendable, CustomStringConvertible {
  /// The network.
  public let model: T5Model
  /// Its own vocabulary.
  public let tokenizer: SentencePieceTokenizer

  /// A starter of a network and its vocabulary.
  ///
  /// - Throws: `ModelError.configuration` if the vocabulary has more pieces than the table rows, or
  ///   the network is of low precision or too narrow.
  public init(model: T5Model, tokenizer: SentencePieceTokenizer) throws {
    try self.init(model: model, tokenizer: tokenizer, path: "the starter")
  }

  private init(model: T5Model, tokenizer: SentencePieceTokenizer, path: String) throws {
    try model.requireFloat32(path: path, to: "train")
    guard tokenizer.pieceCount <= model.configuration.vocabularySize else {
      throw ModelError.configuration(
        path: path,
        reason: "the vocabulary has \(tokenizer.pieceCount) pieces, the table only "
          + "\(model.configuration.vocabularySize) rows")
    }
    guard model.configuration.width > T5Model.reservedColumns else {
      throw ModelError.configuration(
        path: path,
        reason: "d_model is \(model.configuration.width); expected more than "
          + "\(T5Model.reservedColumns)")
    }
    self.model = model
    self.tokenizer = tokenizer
  }

  /// What it is, told apart from other starters by a hash of its weights.
  public var description: String {
    // FNV-1a.
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for (_, tensor) in model.parameters {
      for value in (try? tensor.values()) ?? [] {
        hash = (hash ^ UInt64(value.bitPattern)) &* 0x100_0000_01b3
      }
    }
    return "a starter of \(model.parameterCount) parameters (\(String(hash, radix: 16)))"
  }

  /// Reads a folder that `glen pretrain` or `glen train` wrote.
  ///
  /// The table must be one that began with rarities and a constant in its first columns
  /// (`T5Model.beginCopying`): those of other T5s mean something else there.
  ///
  /// - Parameter warn: receives what was left out, such as an untied `lm_head`.
  /// - Throws: `ModelError`, `TensorError`, `TokenizerError`.
  public init(folder: URL, warn: (String) -> Void = { _ in }) throws {
    try self.init(
      model: T5Model(folder: folder, warn: warn),
      tokenizer: SentencePieceTokenizer(
        contentsOf: folder.appendingPathComponent("spiece.model"), sentinelCount: 0),
      path: folder.path)
  }

  /// The table for another vocabulary.
  ///
  /// - Parameters:
  ///   - tokenizer: the vocabulary.
  ///   - documents: the corpus in its tokens.
  ///   - vocabularySize: the rows of the table, at least the vocabulary's pieces.
  /// - Throws: `TensorError`.
  func table(
    for tokenizer: SentencePieceTokenizer, documents: TokenSequences, vocabularySize: Int,
    key: RandomKey
  ) throws -> VocabularyTransfer {
    let semantics = try LatentSemantics(
      of: documents, vocabularySize: vocabularySize,
      dimensions: model.configuration.width - T5Model.reservedColumns, key: key.split(0))
    return try VocabularyTransfer(
      from: model, places: places(of: tokenizer, vocabularySize: vocabularySize),
      counts: documents.tokenCounts(vocabularySize: vocabularySize),
      semantics: semantics, key: key.split(1))
  }

  /// For each row of another vocabulary's table the starter's own token of the same text.
  ///
  /// Special tokens have none, nor have rows without a piece.
  func places(of tokenizer: SentencePieceTokenizer, vocabularySize: Int) -> [Int?] {
    var known: [String: Int] = [:]
    for token in 0..<self.tokenizer.pieceCount where !self.tokenizer.isSpecial(Int32(token)) {
      known[self.tokenizer.piece(Int32(token))] = token
    }
    return (0..<vocabularySize).map { token in
      tokenizer.isSpecial(Int32(token)) ? nil : known[tokenizer.piece(Int32(token))]
    }
  }
}

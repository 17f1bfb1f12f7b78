import GLENPlatform
import GLENTensor

/// What makes a T5 folder a GLEN model: the file `glen.json` beside its weights.
public struct IdentifierSettings: Sendable, Codable, Equatable {
  /// The number n of tokens of an identifier.
  public var identifierLength: Int
  /// The most tokens of a query, the end token included.
  public var maximumQueryLength: Int
  /// The most tokens of a document, the end token included.
  public var maximumDocumentLength: Int
  /// Tokens that no identifier may have, in ascending order.
  public var maskedTokens: [Int32]
  /// Whether decoder steps are fed with tokens instead of states: the paper's ablation.
  public var feedsTokens: Bool

  /// Settings with the paper's lengths.
  public init(
    identifierLength: Int = 3, maximumQueryLength: Int = 32, maximumDocumentLength: Int = 156,
    maskedTokens: [Int32] = [2], feedsTokens: Bool = false
  ) {
    self.identifierLength = identifierLength
    self.maximumQueryLength = maximumQueryLength
    self.maximumDocumentLength = maximumDocumentLength
    self.maskedTokens = maskedTokens
    self.feedsTokens = feedsTokens
  }

  private enum CodingKeys: String, CodingKey {
    case identifierLength = "identifier_length"
    case maximumQueryLength = "maximum_query_length"
    case maximumDocumentLength = "maximum_document_length"
    case maskedTokens = "masked_token_ids"
    case feedsTokens = "feeds_tokens"
  }

  /// Reads `glen.json`; `feeds_tokens` may be absent.
  public init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    identifierLength = try values.decode(Int.self, forKey: .identifierLength)
    maximumQueryLength = try values.decode(Int.self, forKey: .maximumQueryLength)
    maximumDocumentLength = try values.decode(Int.self, forKey: .maximumDocumentLength)
    maskedTokens = try values.decode([Int32].self, forKey: .maskedTokens)
    feedsTokens = try values.decodeIfPresent(Bool.self, forKey: .feedsTokens) ?? false
  }

  /// The tokens that the method never allows: the unknown token, the sentinels, and the rows of the
  /// table that no piece has.
  ///
  /// - Parameters:
  ///   - pieceCount: the pieces of the SentencePiece model.
  ///   - vocabularySize: the rows of the table.
  ///   - isSpecial: says of a piece whether it stands for no text. Pad and the end stay allowed, as in
  ///     the paper; the other pieces of that kind are sentinels, which some vocabularies have as pieces (mT5's).
  public static func maskedTokens(
    pieceCount: Int, vocabularySize: Int, isSpecial: (Int32) -> Bool = { $0 == 2 }
  ) -> [Int32] {
    let pieces = min(pieceCount, vocabularySize)
    return (2..<max(vocabularySize, 3)).map { Int32($0) }.filter {
      $0 == 2 || $0 >= pieces || isSpecial($0)
    }
  }

  /// The mask as a row of 0 and -infinity, `[vocabulary]`.
  ///
  /// - Throws: `TensorError.outOfMemory`.
  public func mask(vocabularySize: Int, on backend: any Backend) throws(TensorError) -> Tensor {
    var values = [Float](repeating: 0, count: vocabularySize)
    for token in maskedTokens where token >= 0 && Int(token) < vocabularySize {
      values[Int(token)] = -.infinity
    }
    return try Tensor(values, shape: [vocabularySize], on: backend)
  }

  /// Reads a model folder's `glen.json`.
  ///
  /// - Throws: `ModelError`.
  public init(folder: URL) throws(ModelError) {
    let url = folder.appendingPathComponent("glen.json")
    guard let data = try? Data(contentsOf: url) else {
      throw .missingFile(
        path: url.path, reason: "cannot be read; a folder that `glen train` wrote has it")
    }
    guard let settings = try? JSONDecoder().decode(Self.self, from: data) else {
      throw .configuration(path: url.path, reason: "is not the JSON of a GLEN model")
    }
    self = settings
    guard (1...64).contains(identifierLength), (2...4096).contains(maximumQueryLength),
      (2...4096).contains(maximumDocumentLength)
    else {
      throw .configuration(
        path: url.path,
        reason: "identifier_length must be 1 to 64 and the maximum lengths 2 to 4096")
    }
  }

  /// Writes `glen.json` into a model folder.
  ///
  /// - Throws: `TensorError.file`.
  public func save(to folder: URL) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
    try AtomicFile.write(
      encoder.encode(self), to: folder.appendingPathComponent("glen.json"))
  }
}

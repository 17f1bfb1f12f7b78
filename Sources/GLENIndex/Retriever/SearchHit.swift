/// One document that answers a question.
public struct SearchHit: Sendable, Codable, Hashable {
  /// The document's own name.
  public var id: String
  /// The sum of the logarithms of the identifier's token probabilities, over the full vocabulary.
  public var score: Float
  /// The identifier in words: its pieces.
  public var identifier: [String]
  /// The identifier's token ids.
  public var tokens: [Int32]
  /// The cosine that ranks documents with one identifier.
  ///
  /// Equation (9) of the paper.
  public var similarity: Float
  /// The probability that this is the document, given that one of the corpus is; nil where the
  /// search was not asked for it.
  ///
  /// With C(z) the documents whose identifier is z, and the sum over all identifiers z' of the index:
  ///
  ///     P(d | q, corpus) = exp(score(z)) / (Σ exp(score(z')) · |C(z)|)   where d is in C(z)
  ///
  /// The model's distribution ends at identifiers, so documents that share one have equal shares of
  /// its probability; the cosine only orders them. The probabilities of all documents add up to 1.
  /// A filter does not change them: where the likely documents are not allowed, those that are get
  /// what is left, so that ``SearchOptions/minimumProbability`` still means the same.
  public var probability: Double?
  /// The score that ordered the hits of a search with keywords, the greatest first; nil for others.
  public var fusedScore: Float?
  /// The document's title, or nil if it has none.
  public var title: String?
  /// What the index keeps about the document beyond its title.
  public var metadata: [String: MetadataValue]

  /// Makes a hit of its parts.
  public init(
    id: String, score: Float, identifier: [String] = [], tokens: [Int32] = [],
    similarity: Float = 0, probability: Double? = nil, fusedScore: Float? = nil,
    title: String? = nil, metadata: [String: MetadataValue] = [:]
  ) {
    self.id = id
    self.score = score
    self.identifier = identifier
    self.tokens = tokens
    self.similarity = similarity
    self.probability = probability
    self.fusedScore = fusedScore
    self.title = title
    self.metadata = metadata
  }
}

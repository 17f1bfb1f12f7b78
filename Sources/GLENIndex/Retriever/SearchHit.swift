/// One document that answers a question.
public struct SearchHit: Sendable, Codable, Equatable {
  /// The document's own name.
  public var id: String
  /// The sum of the logarithms of the identifier's token probabilities.
  public var score: Float
  /// The identifier in words: its pieces.
  public var identifier: [String]
  /// The identifier's token ids.
  public var tokens: [Int32]
  /// The cosine that ranks documents with one identifier.
  ///
  /// Equation (9) of the paper.
  public var similarity: Float
  /// The document's title, if the index keeps titles.
  public var title: String?
}

/// How identifiers are searched.
public enum SearchMode: Sendable, Equatable {
  /// Every stored identifier is scored; the answer is the true top-k.
  case exact
  /// The paper's constrained beam search of the given width.
  case beam(Int)
}

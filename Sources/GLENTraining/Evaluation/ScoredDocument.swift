/// One entry of a ranking: a document and its score.
public struct ScoredDocument: Sendable, Hashable, Codable {
  /// The identifier of the document.
  public var id: String
  /// The score; a higher one is better.
  public var score: Float

  /// Creates an entry.
  public init(id: String, score: Float) {
    self.id = id
    self.score = score
  }
}

/// What a retriever found for one query, best first.
public struct RankedList: Sendable, Hashable, Codable {
  /// The identifier of the query.
  public var query: String
  /// The documents, best first; their order is the ranking, whatever their scores.
  public var documents: [ScoredDocument]

  /// Creates a ranking.
  public init(query: String, documents: [ScoredDocument]) {
    self.query = query
    self.documents = documents
  }
}

import GLENIndex

/// Ranks the queries of a split with a retriever, as evaluation needs them.
public struct SplitRanking: Sendable {
  /// How many documents a query's list has.
  public var depth: Int
  /// How identifiers are searched.
  public var mode: SearchMode

  /// A ranking of the given depth.
  public init(depth: Int = 100, mode: SearchMode = .exact) {
    self.depth = depth
    self.mode = mode
  }

  /// The lists of all queries, in order.
  ///
  /// - Parameter progress: receives the number of queries done.
  /// - Throws: what searching throws.
  public func rankings(
    of queries: [Query], by retriever: Retriever, progress: (Int) -> Void = { _ in }
  ) throws -> [RankedList] {
    var result: [RankedList] = []
    try forEachQuery(queries, retriever) { query, scores in
      let ranked = try retriever.rank(scores, limit: depth, mode: mode)
      result.append(
        RankedList(
          query: query.id,
          documents: ranked.map {
            ScoredDocument(
              id: retriever.snapshot.id(ofDocument: $0.document), score: $0.score)
          }))
      progress(result.count)
    }
    return result
  }

  /// Hands over the scores of every query, in order; the model reads 64 queries at a time.
  func forEachQuery(
    _ queries: [Query], _ retriever: Retriever, _ body: (Query, QueryScores) throws -> Void
  ) throws {
    // Some questions at a time: the scores of all of them together might not fit the memory.
    for first in stride(from: 0, to: queries.count, by: 64) {
      let part = queries[first..<min(first + 64, queries.count)]
      for (query, scores) in zip(part, try retriever.scores(of: part.map(\.text))) {
        try body(query, scores)
      }
    }
  }
}

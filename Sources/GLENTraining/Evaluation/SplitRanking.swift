import GLENIndex
import GLENTensor

/// Ranks the queries of a split with a retriever, as evaluation needs them.
public struct SplitRanking: Sendable {
  /// How many documents a query's list has.
  public var depth: Int
  /// How identifiers are searched.
  public var mode: SearchMode
  /// A device on which identifiers are searched exactly, or nil for the processor; the lists are the
  /// same.
  public var scanner: (any CodeScanner)?
  /// The queries that never find the document of their own id
  /// (`RelevanceJudgements.queriesWithoutOwnDocument(in:)`).
  public var withoutOwnDocument: Set<ExactText> = []

  /// A ranking of the given depth.
  public init(depth: Int = 100, mode: SearchMode = .exact, scanner: (any CodeScanner)? = nil) {
    self.depth = depth
    self.mode = mode
    self.scanner = scanner
  }

  /// The lists of all queries, in order.
  ///
  /// - Parameter progress: receives the number of queries done.
  /// - Throws: what searching throws.
  public func rankings(
    of queries: [Query], by retriever: Retriever, progress: (Int) -> Void = { _ in }
  ) throws -> [RankedList] {
    var result: [RankedList] = []
    func add(_ query: Query, _ ranked: some Sequence<RankedDocument>) {
      result.append(
        RankedList(
          query: query.id,
          documents: ranked.map {
            ScoredDocument(
              id: retriever.snapshot.id(ofDocument: $0.document), score: $0.score)
          }))
      progress(result.count)
    }
    if let scanner, mode == .exact {
      let search = try retriever.search(on: scanner)
      // One more, where one may have to go: a scan has one filter for all queries.
      let limit = withoutOwnDocument.isEmpty || depth == .max ? depth : depth + 1
      try forEachPart(queries, retriever, size: 512) { part, scores in
        for (query, ranked) in zip(part, try search.rank(scores, limit: limit)) {
          let own = identicalDocument(to: query, in: retriever.snapshot)
          add(query, ranked.filter { $0.document != own }.prefix(max(depth, 0)))
        }
      }
    } else {
      try forEachQuery(queries, retriever) { query, scores in
        let filter = allowedDocuments(for: query, in: retriever.snapshot).map(retriever.filter)
        add(query, try retriever.rank(scores, limit: depth, mode: mode, filter: filter))
      }
    }
    return result
  }

  /// The document that a query does not find, because it has the query's id.
  private func identicalDocument(to query: Query, in snapshot: IndexSnapshot) -> Int? {
    withoutOwnDocument.contains(ExactText(query.id)) ? snapshot.document(withID: query.id) : nil
  }

  /// The documents that a query may find; nil for all.
  func allowedDocuments(for query: Query, in snapshot: IndexSnapshot) -> DocumentSet? {
    identicalDocument(to: query, in: snapshot).map { own in
      var others = DocumentSet(capacity: snapshot.documentCount, isFull: true)
      others.remove(own)
      return others
    }
  }

  /// Hands over the scores of every query, in order; the model reads 64 queries at a time.
  func forEachQuery(
    _ queries: [Query], _ retriever: Retriever, _ body: (Query, QueryScores) throws -> Void
  ) throws {
    try forEachPart(queries, retriever, size: 64) { part, scores in
      for (query, scores) in zip(part, scores) { try body(query, scores) }
    }
  }

  /// Hands over the scores of some queries at a time: those of all might not fit the memory.
  private func forEachPart(
    _ queries: [Query], _ retriever: Retriever, size: Int,
    _ body: (ArraySlice<Query>, [QueryScores]) throws -> Void
  ) throws {
    for first in stride(from: 0, to: queries.count, by: size) {
      let part = queries[first..<min(first + size, queries.count)]
      try body(part, try retriever.scores(of: part.map(\.text)))
    }
  }
}

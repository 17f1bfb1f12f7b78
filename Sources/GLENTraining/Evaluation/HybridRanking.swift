import GLENIndex

/// The queries of a split, searched by identifiers and by keywords, ready to be fused.
///
/// The model reads every query once, whatever is made of the two lists afterwards.
public struct HybridRanking: Sendable {
  private let queries: [Query]
  private let candidates: [HybridCandidates]
  private let snapshot: IndexSnapshot
  private let depth: Int

  /// Searches for every query in both ways, exactly.
  ///
  /// - Parameters:
  ///   - queries: the queries, in the order of the lists to come.
  ///   - retriever: the index.
  ///   - keywords: the keywords of the index's documents.
  ///   - depth: how many documents each search contributes, and how many a list has.
  ///   - progress: receives the number of queries done.
  /// - Throws: what searching throws.
  public init(
    of queries: [Query], by retriever: Retriever, keywords: KeywordSearch, depth: Int = 100,
    progress: (Int) -> Void = { _ in }
  ) throws {
    let search = try HybridSearch(retriever.snapshot.tables, keywords: keywords)
    var candidates: [HybridCandidates] = []
    candidates.reserveCapacity(queries.count)
    try SplitRanking(depth: depth).forEachQuery(queries, retriever) { query, scores in
      candidates.append(
        try search.candidates(
          scores, pieces: retriever.keywords(of: query.text), depth: depth))
      progress(candidates.count)
    }
    self.queries = queries
    self.candidates = candidates
    self.depth = depth
    snapshot = retriever.snapshot
  }

  /// The fused lists of all queries.
  public func rankings(_ hybrid: Hybrid) -> [RankedList] {
    lists { $0.fused(hybrid, limit: depth).map { ($0.ranked.document, $0.score) } }
  }

  /// The lists of identifiers alone, and of keywords alone.
  public var parts: (identifiers: [RankedList], keywords: [RankedList]) {
    (
      lists { $0.ranked.map { ($0.document, $0.score) } },
      lists { $0.keywords.map { ($0.document, $0.score) } }
    )
  }

  /// The weight with which interpolation ranks these queries best, in steps of 0.05.
  ///
  /// Of equally good weights the middle one of the longest run is taken: the least sensitive.
  ///
  /// - Parameters:
  ///   - judgements: those of the queries; use a split for development, never the one reported.
  ///   - metric: what is to be large; MRR@10 if nothing is given.
  /// - Throws: `TrainingError.invalidRun` if a query comes twice.
  public func tunedWeight(
    on judgements: RelevanceJudgements, metric: RankingMetric? = nil
  ) throws(TrainingError) -> Float {
    let metric = if let metric { metric } else { try RankingMetric("MRR@10") }
    var values: [Double] = []
    for step in 0...20 {
      let run = try Run(rankings(.interpolated(Float(step) / 20)))
      values.append(
        Evaluation(of: run, against: judgements, metrics: [metric]).report()[metric] ?? 0)
    }
    let best = values.max() ?? 0
    var (longest, begin) = (0..<0, 0)
    for step in values.indices {
      if values[step] < best { begin = step + 1 }
      if step + 1 - begin > longest.count { longest = begin..<step + 1 }
    }
    return Float((longest.lowerBound + longest.upperBound - 1) / 2) / 20
  }

  private func lists(
    _ documents: (HybridCandidates) -> [(document: Int, score: Float)]
  ) -> [RankedList] {
    zip(queries, candidates).map { query, candidates in
      RankedList(
        query: query.id,
        documents: documents(candidates).map {
          ScoredDocument(id: snapshot.id(ofDocument: $0.document), score: $0.score)
        })
    }
  }
}

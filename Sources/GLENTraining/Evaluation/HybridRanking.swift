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
  ///   - depth: how many documents a list has; as in a hybrid search each of both contributes as many,
  ///     and no fewer than a hundred.
  ///   - withoutOwnDocument: as of `SplitRanking`.
  ///   - progress: receives the number of queries done.
  /// - Throws: what searching throws.
  public init(
    of queries: [Query], by retriever: Retriever, keywords: KeywordSearch, depth: Int = 100,
    withoutOwnDocument: Set<ExactText> = [], progress: (Int) -> Void = { _ in }
  ) throws {
    let search = try HybridSearch(retriever.snapshot.tables, keywords: keywords)
    var candidates: [HybridCandidates] = []
    candidates.reserveCapacity(queries.count)
    var split = SplitRanking(depth: depth)
    split.withoutOwnDocument = withoutOwnDocument
    try split.forEachQuery(queries, retriever) { query, scores in
      candidates.append(
        try search.candidates(
          scores, pieces: retriever.keywords(of: query.text), depth: max(depth, 100),
          isAllowed: split.allowedDocuments(for: query, in: retriever.snapshot)))
      progress(candidates.count)
    }
    self.queries = queries
    self.candidates = candidates
    self.depth = max(depth, 0)
    snapshot = retriever.snapshot
  }

  /// The fused lists of all queries.
  public func rankings(_ hybrid: Hybrid) -> [RankedList] {
    lists { $0.fused(hybrid, limit: depth).map { ($0.ranked.document, $0.score) } }
  }

  /// The lists of identifiers alone, and of keywords alone.
  public var parts: (identifiers: [RankedList], keywords: [RankedList]) {
    (
      lists { $0.ranked.prefix(depth).map { ($0.document, $0.score) } },
      lists { $0.keywords.prefix(depth).map { ($0.document, $0.score) } }
    )
  }

  /// The weight of interpolation under which the judged documents are likeliest.
  ///
  /// With identifier scores x and keyword scores y, both in 0...1, a document d among the candidates C
  /// of a query has P(d) = exp(a x_d + b y_d) / Σ_{e in C} exp(a x_e + b y_e). The pair (a, b) maximises
  /// the mean of log P over the positive documents (`WeightLikelihood`), and the weight is
  /// a / (a + b). A rank changes only where two documents change places, so that the best weight by
  /// MRR is one of many that happen to be as good; the likelihood heeds by how much each is ahead.
  ///
  /// - Parameter judgements: those of the queries; use a split for development, never the one
  ///   reported.
  /// - Returns: the weight, 0...1; 0.5 where no positive document is a candidate.
  public func tunedWeight(on judgements: RelevanceJudgements) -> Float {
    var likelihood = WeightLikelihood()
    for (query, candidates) in zip(queries, candidates) {
      guard let grades = judgements.grades[ExactText(query.id)] else { continue }
      likelihood.add(
        candidates.normalizedScores.map {
          let grade = grades[ExactText(snapshot.id(ofDocument: $0.document))] ?? 0
          return (Double($0.identifier), Double($0.keyword), grade > 0)
        })
    }
    return Float(likelihood.weight())
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

import GLENIndex

/// The metrics of a run, query by query.
///
/// A query takes part when at least one document is judged relevant to it (a grade above 0). A
/// query that takes part and that the run lacks counts as 0, as with trec_eval's option -c. A query
/// without a relevant document is left out even where it is judged, and so are queries of the run
/// that nobody judged; trec_eval -c would count the former as 0. Where every judged query has a
/// relevant document, as in the usual collections, the averages are those of trec_eval -c.
public struct Evaluation: Sendable {
  /// What was measured.
  public let metrics: [RankingMetric]
  /// The queries that took part, in the order of their names' bytes.
  public let queries: [QueryEvaluation]

  /// Evaluates a run.
  ///
  /// - Complexity: Linear in the number of ranked documents.
  public init(
    of run: Run, against judgements: RelevanceJudgements,
    metrics: [RankingMetric] = RankingMetric.standard
  ) {
    self.metrics = metrics
    queries = judgements.queries.map { query in
      let grades = judgements.grades[ExactText(query)] ?? [:]
      let ranked = run[query]?.documents.map { grades[ExactText($0.id)] ?? 0 } ?? []
      return QueryEvaluation(
        query: query, values: metrics.map { $0.value(ranked: ranked, judged: grades.values) })
    }
  }

  /// The means over the queries that took part, or over some of them.
  ///
  /// - Parameter isIncluded: Chooses queries by identifier, for instance those whose document was
  ///   seen in training.
  public func report(
    where isIncluded: (_ query: String) -> Bool = { _ in true }
  ) -> EvaluationReport {
    let included = queries.filter { isIncluded($0.query) }
    var means: [RankingMetric: Double] = [:]
    for (position, metric) in metrics.enumerated() {
      let sum = included.reduce(0) { $0 + $1.values[position] }
      means[metric] = included.isEmpty ? 0 : sum / Double(included.count)
    }
    return EvaluationReport(queryCount: included.count, means: means)
  }
}

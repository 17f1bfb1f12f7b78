import GLENIndex
import GLENTensor

/// The rankings of a split with documents of equal score in random order, as often as wanted.
///
/// This is the ablation of collision ranking in the paper's Table 5. A shuffle changes the order
/// inside a run of equal scores and nothing else, so the model reads every query once, and a shuffle
/// moves only grades. A run that reaches over the depth is shuffled as a whole before it is cut.
public struct CollisionShuffles: Sendable {
  /// The mean of every metric over many shuffles, and the bounds of the middle 95 % of them.
  public struct Summary: Sendable, Equatable, Codable {
    /// How many shuffles there were.
    public var count: Int
    /// The means over queries, averaged over the shuffles.
    public var mean: EvaluationReport
    /// The 2.5th percentile of the shuffles' means over queries.
    public var low: EvaluationReport
    /// The 97.5th percentile.
    public var high: EvaluationReport
  }

  private struct Ranking {
    var query: String
    /// The grades of every judged document of the query.
    var judged: [Int]
    /// The grades of the ranked documents, one array for each run of equal scores.
    var runs: [[Int]]
    /// The metrics, where no shuffle changes them.
    var fixed: [Double]?
  }

  private let metrics: [RankingMetric]
  private let depth: Int
  private let rankings: [Ranking]

  /// Ranks the queries of a split once.
  ///
  /// - Throws: what searching throws.
  public init(
    _ split: SplitRanking, of queries: [Query], by retriever: Retriever,
    against judgements: RelevanceJudgements, metrics: [RankingMetric] = RankingMetric.standard
  ) throws {
    self.metrics = metrics
    depth = split.depth
    let relevant = judgements.queries.map { ExactText($0) }
    var found: [ExactText: [[Int]]] = [:]
    let asked = Set(relevant)
    try split.forEachQuery(queries.filter { asked.contains(ExactText($0.id)) }, retriever) {
      query, scores in
      let grades = judgements.grades[ExactText(query.id)] ?? [:]
      found[ExactText(query.id)] = try Self.runs(split, query, scores, retriever).map { run in
        run.map { grades[ExactText(retriever.snapshot.id(ofDocument: $0))] ?? 0 }
      }
    }
    let depth = split.depth
    rankings = relevant.map { query in
      let runs = found[query] ?? []
      let judged = Array((judgements.grades[query] ?? [:]).values)
      let isFixed = runs.allSatisfy { run in run.allSatisfy { $0 == run[0] } }
      let grades = runs.joined().prefix(depth)
      return Ranking(
        query: query.text, judged: judged, runs: runs,
        fixed: isFixed ? metrics.map { $0.value(ranked: grades, judged: judged) } : nil)
    }
  }

  /// The documents of a query by runs of equal score, as many runs as reach into the depth.
  private static func runs(
    _ split: SplitRanking, _ query: Query, _ scores: QueryScores, _ retriever: Retriever
  ) throws -> [[Int]] {
    guard split.depth > 0 else { return [] }
    let filter = split.allowedDocuments(for: query, in: retriever.snapshot).map(retriever.filter)
    var limit = split.depth
    var ranked: [RankedDocument] = []
    repeat {
      limit = limit > Int.max / 4 ? Int.max : 4 * limit
      ranked = try retriever.rank(scores, limit: limit, mode: split.mode, filter: filter)
      // Until the run that reaches over the depth has ended, or there are no more documents.
    } while ranked.count == limit && ranked[limit - 1].score == ranked[split.depth - 1].score
    var runs: [[Int]] = []
    for (place, document) in ranked.enumerated() {
      if place > 0, document.score == ranked[place - 1].score {
        runs[runs.count - 1].append(document.document)
      } else if place < split.depth {
        runs.append([document.document])
      } else {
        break
      }
    }
    return runs
  }

  /// The metrics over a number of shuffles.
  ///
  /// - Parameters:
  ///   - count: How many shuffles, at least 1.
  ///   - seed: The same seed gives the same shuffles.
  ///   - isIncluded: Chooses queries by identifier.
  /// - Complexity: O(count * ranked documents of the queries that a shuffle changes).
  public func summary(
    count: Int, seed: UInt64 = 0, where isIncluded: (_ query: String) -> Bool = { _ in true }
  ) -> Summary {
    let count = max(count, 1)
    let rankings = rankings.filter { isIncluded($0.query) }
    var sums = [[Double]](repeating: [Double](repeating: 0, count: count), count: metrics.count)
    for (index, ranking) in rankings.enumerated() {
      var generator = SeededGenerator(RandomKey(seed: seed).split(index))
      for shuffle in 0..<count {
        let values = ranking.fixed ?? values(of: ranking, using: &generator)
        for metric in metrics.indices { sums[metric][shuffle] += values[metric] }
      }
    }
    func report(_ value: ([Double]) -> Double) -> EvaluationReport {
      var means: [RankingMetric: Double] = [:]
      for (metric, sums) in zip(metrics, sums) {
        means[metric] = value(sums) / Double(max(rankings.count, 1))
      }
      return EvaluationReport(queryCount: rankings.count, means: means)
    }
    let tail = Int(0.025 * Double(count - 1))
    return Summary(
      count: count, mean: report { $0.reduce(0, +) / Double(count) },
      low: report { $0.sorted()[tail] }, high: report { $0.sorted()[count - 1 - tail] })
  }

  private func values(
    of ranking: Ranking, using generator: inout SeededGenerator
  ) -> [Double] {
    var grades: [Int] = []
    for run in ranking.runs {
      let begin = grades.count
      grades += run
      if run.contains(where: { $0 != run[0] }) { grades[begin...].shuffle(using: &generator) }
    }
    grades.removeLast(max(0, grades.count - depth))
    return metrics.map { $0.value(ranked: grades, judged: ranking.judged) }
  }
}

import GLENIndex
import Testing

@testable import GLENTraining

@Suite("Shuffled collisions")
struct CollisionShufflesTests {
  private static func metrics(_ names: String...) throws -> [RankingMetric] {
    try names.map { try RankingMetric($0) }
  }

  private static func shuffles(
    _ index: RandomIndex, _ retriever: Retriever, depth: Int, _ metrics: [RankingMetric]
  ) throws -> CollisionShuffles {
    try CollisionShuffles(
      SplitRanking(depth: depth), of: index.dataset.queries, by: retriever,
      against: try RelevanceJudgements(index.dataset, split: "train"), metrics: metrics)
  }

  @Test("One bucket of all documents: the means are those of uniform chance, at any depth")
  func oneBucket() throws {
    let index = try RandomIndex()
    let retriever = try index.retriever { _ in [5, 6] }
    let metrics = try Self.metrics("R@1", "R@10", "MRR@100")
    // Sixty queries with one relevant document of thirty each.
    let count = 30.0
    let expected = [1 / count, 10 / count, (1...30).reduce(0) { $0 + 1 / Double($1) } / count]
    let summary = try Self.shuffles(index, retriever, depth: 30, metrics).summary(count: 1000)
    #expect(summary.count == 1000 && summary.mean.queryCount == 60)
    for (metric, value) in zip(metrics, expected) {
      let (low, mean, high) = (
        try #require(summary.low[metric]), try #require(summary.mean[metric]),
        try #require(summary.high[metric])
      )
      // Five standard errors of the mean of 60,000 draws.
      let error = (value * (1 - value) / 60_000).squareRoot()
      #expect(abs(mean - value) < 5 * error, "\(metric): \(mean), expected \(value)")
      // The middle 95 % of the means of 60 draws: about two standard errors to each side.
      let spread = (value * (1 - value) / 60).squareRoot()
      #expect(low < value - spread / 2 && high > value + spread / 2)
      #expect(low > value - 4 * spread && high < value + 4 * spread)
    }
    // A bucket that reaches over the depth is drawn from as a whole.
    let shallow = try Self.shuffles(index, retriever, depth: 1, metrics).summary(count: 1000)
    let atOne = try #require(shallow.mean[metrics[0]])
    #expect(abs(atOne - 1 / count) < 5 * (atOne / 60_000).squareRoot())
    #expect(shallow.mean[metrics[1]] == atOne && shallow.mean[metrics[2]] == atOne)
  }

  @Test("Without collisions a shuffle changes nothing")
  func noCollisions() throws {
    let index = try RandomIndex()
    let retriever = try index.retriever { [Int32($0) + 5, 7] }
    let judgements = try RelevanceJudgements(index.dataset, split: "train")
    let run = try Run(SplitRanking().rankings(of: index.dataset.queries, by: retriever))
    let report = Evaluation(of: run, against: judgements).report()
    let summary = try CollisionShuffles(
      SplitRanking(), of: index.dataset.queries, by: retriever, against: judgements
    ).summary(count: 9)
    for metric in RankingMetric.standard {
      for shuffled in [summary.mean, summary.low, summary.high] {
        #expect(abs((shuffled[metric] ?? -1) - (report[metric] ?? -2)) < 1e-12)
      }
    }
  }

  /// Of thirty documents the first six share two identifiers, and the last has one with nobody.
  @Test("Questions collide where their document does")
  func collidingQuestions() throws {
    let index = try RandomIndex()
    let retriever = try index.retriever { $0 < 6 ? [5, Int32($0 % 2) + 6] : [Int32($0) + 5, 5] }
    let judgements = try RelevanceJudgements(index.dataset, split: "train")
    let ids = Set(index.dataset.documents.prefix(6).map(\.id))
    let expected = judgements.grades.filter { !ids.isDisjoint(with: $0.value.keys.map(\.text)) }
    #expect(expected.count == 12)
    #expect(judgements.collidingQueries(in: retriever.snapshot) == Set(expected.keys))
  }

  @Test("The order inside buckets is all that changes, and each seed has its own")
  func buckets() throws {
    let index = try RandomIndex()
    let retriever = try index.retriever { [Int32($0 % 6) + 5, 7] }
    let metrics = try Self.metrics("R@1", "R@5", "R@100", "MRR@100")
    let shuffles = try Self.shuffles(index, retriever, depth: 100, metrics)
    let first = shuffles.summary(count: 200)
    // Buckets hold five documents: one is first, or one of the first five, or none is.
    #expect(
      abs((first.mean[metrics[0]] ?? 0) * 5 - (first.mean[metrics[1]] ?? 0)) < 0.03)
    #expect(first.low[metrics[1]] == first.high[metrics[1]])
    #expect(first.mean[metrics[2]] == 1)
    #expect(first == shuffles.summary(count: 200))
    #expect(first != shuffles.summary(count: 200, seed: 1))
    #expect(shuffles.summary(count: 5) { $0 == "a0" }.mean.queryCount == 1)
    let one = shuffles.summary(count: 0)
    #expect(one.count == 1 && one.low == one.high)
  }
}

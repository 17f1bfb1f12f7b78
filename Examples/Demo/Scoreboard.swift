import GLENIndex
import GLENTraining

/// The measurements of the demo: seen and unseen test questions, for every stage.
struct Scoreboard {
  private let dataset: RetrievalDataset
  private let judgements: RelevanceJudgements
  private let queries: [Query]
  /// Queries whose document has a training question, and those whose document has none.
  private let seen: Set<ExactText>
  private let unseen: Set<ExactText>
  private let metrics: [RankingMetric]
  private var ranking = SplitRanking()
  private var rows: [(label: String, seen: EvaluationReport, unseen: EvaluationReport)] = []

  init(_ dataset: RetrievalDataset) throws {
    self.dataset = dataset
    judgements = try RelevanceJudgements(dataset, split: "test")
    let judgements = judgements
    ranking.withoutOwnDocument = judgements.queriesWithoutOwnDocument(in: dataset)
    queries = dataset.queries.filter { judgements.grades[ExactText($0.id)] != nil }
    let trained = Set(
      try dataset.judgements(split: "train").filter(\.isPositive).map {
        ExactText(dataset.documents[$0.document].id)
      })
    let seen = judgements.grades.filter { _, grades in
      grades.contains { $0.value > 0 && trained.contains($0.key) }
    }
    self.seen = Set(seen.keys)
    unseen = Set(judgements.grades.keys).subtracting(seen.keys)
    metrics = try ["R@1", "R@10", "MRR@100"].map { try RankingMetric($0) }
  }

  mutating func addBM25() throws {
    try add(
      "BM25",
      rankings: BM25Baseline(dataset.documents).rankings(
        of: queries, withoutOwnDocument: ranking.withoutOwnDocument))
  }

  /// Adds a stage: with collision ranking, and with the mean over shuffled collisions.
  mutating func add(_ label: String, _ retriever: Retriever) throws {
    try add(label, rankings: ranking.rankings(of: queries, by: retriever))
    let shuffles = try CollisionShuffles(
      ranking, of: queries, by: retriever, against: judgements, metrics: metrics)
    rows.append(
      (
        "  its collisions shuffled",
        shuffles.summary(count: 1000) { seen.contains(ExactText($0)) }.mean,
        shuffles.summary(count: 1000) { unseen.contains(ExactText($0)) }.mean
      ))
  }

  private mutating func add(_ label: String, rankings: [RankedList]) throws {
    let (seen, unseen) = try reports(rankings)
    rows.append((label, seen, unseen))
  }

  private func reports(
    _ rankings: [RankedList]
  ) throws -> (seen: EvaluationReport, unseen: EvaluationReport) {
    let evaluation = Evaluation(of: try Run(rankings), against: judgements, metrics: metrics)
    return (
      evaluation.report { seen.contains(ExactText($0)) },
      evaluation.report { unseen.contains(ExactText($0)) }
    )
  }

  func table() -> String {
    var lines = [
      "                                      seen test questions      unseen test questions",
      "                                     R@1   R@10  MRR@100       R@1   R@10  MRR@100",
    ]
    for row in rows {
      let numbers = [row.seen, row.unseen].map { report in
        metrics.map { Self.padded(Self.percent(report[$0] ?? 0), 7) }.joined()
      }
      lines.append(
        row.label + String(repeating: " ", count: max(34 - row.label.count, 1))
          + numbers.joined(separator: "    "))
    }
    return lines.joined(separator: "\n")
  }

  /// Prints how much of the exact ranking the paper's beam search finds.
  func printBeamRecall(_ retriever: Retriever) throws {
    let exact = try SplitRanking(depth: 10).rankings(of: queries, by: retriever)
    for width in [10, 100] {
      let beam = try SplitRanking(depth: 10, mode: .beam(width)).rankings(
        of: queries, by: retriever)
      var found = 0
      var wanted = 0
      for (list, truth) in zip(beam, exact) {
        let ids = Set(list.documents.map(\.id))
        found += truth.documents.count { ids.contains($0.id) }
        wanted += truth.documents.count
      }
      let share = 100 * Double(found) / Double(max(wanted, 1))
      print("Beam \(width) finds \(Self.percent(share / 100)) % of the exact search's ten best.")
    }
  }

  /// Test questions to show, spread over the split.
  func examples(_ count: Int) throws -> [Query] {
    guard !queries.isEmpty else { return [] }
    return (0..<min(count, queries.count)).map { queries[$0 * queries.count / count] }
  }

  func relevant(_ query: Query) -> Set<ExactText> {
    Set((judgements.grades[ExactText(query.id)] ?? [:]).filter { $0.value > 0 }.keys)
  }

  private static func percent(_ value: Double) -> String {
    let tenths = Int((value * 1000).rounded())
    return "\(tenths / 10).\(tenths % 10)"
  }

  private static func padded(_ text: String, _ width: Int) -> String {
    String(repeating: " ", count: max(width - text.count, 0)) + text
  }
}

import Foundation
import GLENIndex
import GLENTraining
import Testing

/// Writes random runs with their judgements and our metrics.
///
/// They are for `Scripts/check-trec.py`:
///
///     GLEN_TREC_OUTPUT=DIR swift test --filter TrecComparisonTests
///     for case in DIR/*.run; do
///       Scripts/check-trec.py "$case" "${case%.run}.qrels" "${case%.run}.json"
///     done
@Suite(.enabled(if: TestData.trecOutput != nil, "writes to what GLEN_TREC_OUTPUT names"))
struct TrecComparisonTests {
  @Test(arguments: 0..<5)
  func randomJudgements(seed: Int) throws {
    var random = SeededGenerator(seed: UInt64(seed))
    let documents = (0..<500).map { "doc-\($0)" }
    var grades: [ExactText: [ExactText: Int]] = [:]
    for query in 0..<200 {
      let count = Int.random(in: 1...30, using: &random)
      for document in documents.shuffled(using: &random).prefix(count) {
        grades[ExactText("q\(query)"), default: [:]][ExactText(document)] = Int.random(
          in: -1...3, using: &random)
      }
    }
    try write("random-\(seed)", grades: grades, documents: documents, random: &random)
  }

  @Test(.enabled(if: TestData.hasRealData, "needs the data that GLEN_DATA names"))
  func gradedScifact() throws {
    let folder = try #require(TestData.realData)
    let dataset = try RetrievalDataset(contentsOf: folder.appendingPathComponent("scifact"))
    let judgements = try RelevanceJudgements(dataset, split: "test-graded")
    var random = SeededGenerator(seed: 99)
    try write(
      "scifact", grades: judgements.grades, documents: dataset.documents.map(\.id),
      random: &random)
  }

  /// Writes a run with many equal scores, in which relevant documents tend to be high.
  private func write(
    _ name: String, grades: [ExactText: [ExactText: Int]], documents: [String],
    random: inout SeededGenerator
  ) throws {
    var rankings: [RankedList] = []
    for (query, judged) in grades.sorted(by: { $0.key < $1.key })
    where Int.random(in: 0..<10, using: &random) > 0 {
      let pool = Set(documents.shuffled(using: &random).prefix(120))
        .union(judged.keys.sorted().prefix(5).map(\.text))
      let scored = pool.sorted().map { document in
        let level =
          Int.random(in: -40...0, using: &random) + 10 * (judged[ExactText(document)] ?? 0)
        return ScoredDocument(id: document, score: Float(level) * 0.1)
      }
      rankings.append(
        RankedList(query: query.text, documents: scored.sorted { $0.score > $1.score }))
    }
    let run = try Run(rankings)
    let metrics = RankingMetric.standard + [try RankingMetric("AP@20"), try RankingMetric("nDCG")]
    let report = Evaluation(
      of: run, against: RelevanceJudgements(grades: grades), metrics: metrics
    ).report()

    let folder = try #require(TestData.trecOutput)
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    let file = folder.appendingPathComponent(name)
    try RunWriter().write(run, to: file.appendingPathExtension("run"))
    try report.jsonData().write(to: file.appendingPathExtension("json"))
    let rows = grades.flatMap { query, judged in
      judged.map { "\(query.text) 0 \($0.key.text) \($0.value)" }
    }
    try Data((rows.sorted().joined(separator: "\n") + "\n").utf8)
      .write(to: file.appendingPathExtension("qrels"))
  }
}

import Foundation
import GLENIndex
import GLENTraining
import Testing

struct EvaluationTests {
  @Test func agreesWithTrecEval() throws {
    struct Expected: Decodable {
      var metrics: [String]
      var queries: [String: [Double]]
    }
    let folder = TestData.fixture("Evaluation")
    let expected = try JSONDecoder().decode(
      Expected.self, from: Data(contentsOf: folder.appendingPathComponent("expected.json")))
    let evaluation = Evaluation(
      of: try RunReader().read(contentsOf: folder.appendingPathComponent("run.trec")),
      against: try RelevanceJudgements(
        contentsOf: folder.appendingPathComponent("qrels.trec")),
      metrics: try expected.metrics.map { name in try RankingMetric(name) })
    #expect(evaluation.queries.map(\.query) == expected.queries.keys.sorted())
    #expect(expected.queries.count == 18)
    for query in evaluation.queries {
      let values = try #require(expected.queries[query.query])
      for (metric, (ours, theirs)) in zip(expected.metrics, zip(query.values, values)) {
        #expect(abs(ours - theirs) < 1e-9, "\(metric) of \(query.query)")
      }
    }
  }

  @Test func averagesOverQueriesWithARelevantDocument() throws {
    let judgements = RelevanceJudgements(grades: [
      "found": ["a": 1], "missed": ["a": 1, "b": 2], "absent": ["c": 1],
      "onlyNegative": ["a": 0, "b": -1],
    ])
    let run = try Run([
      list("found", ["a"]), list("missed", ["x", "y"]), list("onlyNegative", ["a"]),
      list("unjudged", ["a"]),
    ])
    let evaluation = Evaluation(of: run, against: judgements)
    #expect(evaluation.queries.map(\.query) == ["absent", "found", "missed"])
    let report = evaluation.report()
    #expect(report.queryCount == 3)
    for metric in RankingMetric.standard { #expect(report[metric] == 1.0 / 3) }
    let found = evaluation.report { $0 == "found" }
    #expect(found.queryCount == 1)
    #expect(found.means.values.allSatisfy { $0 == 1 })
    let none = evaluation.report { _ in false }
    #expect(none.queryCount == 0)
    #expect(none.means.values.allSatisfy { $0 == 0 })
  }

  @Test func judgementsComeFromADatasetByIdentifier() throws {
    let folder = try TemporaryFolder([
      "corpus.jsonl": TestData.corpus, "queries.jsonl": #"{"_id": "q1", "text": "?"}"#,
      "qrels/test.tsv": "query-id\tcorpus-id\tscore\nq1\td2\t2\nq1\td1\t0\n",
    ])
    let dataset = try RetrievalDataset(contentsOf: folder.url)
    let expected = RelevanceJudgements(grades: ["q1": ["d2": 2, "d1": 0]])
    #expect(try RelevanceJudgements(dataset, split: "test") == expected)
    let file = folder.url.appendingPathComponent("qrels/test.tsv")
    #expect(try RelevanceJudgements(contentsOf: file) == expected)
    #expect(
      RelevanceJudgements([Judgement(query: 5, document: 0, grade: 1)], of: dataset).grades.isEmpty)
  }

  /// Two spellings of é are two documents, and two queries.
  @Test func namesAreComparedByTheirBytes() throws {
    let (composed, decomposed) = ("\u{E9}", "e\u{301}")
    let (first, second) = (ExactText(composed), ExactText(decomposed))
    let judgements = RelevanceJudgements(grades: [first: [second: 1], second: ["other": 1]])
    #expect(judgements.queries.map { ExactText($0) } == [second, first])
    let run = try Run([
      list(composed, [composed, decomposed]), list(decomposed, [composed, "other"]),
    ])
    let evaluation = Evaluation(
      of: run, against: judgements, metrics: [try RankingMetric("R@1"), try RankingMetric("R@2")])
    #expect(evaluation.queries.map(\.values) == [[0, 1], [0, 1]])
    let folder = try TemporaryFolder([
      "qrels.tsv": "\(composed)\t\(decomposed)\t1\n\(composed)\t\(composed)\t0\n"
    ])
    let read = try RelevanceJudgements(contentsOf: folder.url.appendingPathComponent("qrels.tsv"))
    #expect(read.grades == [first: [second: 1, first: 0]])
    // A run keeps them apart on its way through a file.
    let file = folder.url.appendingPathComponent("run.trec")
    try RunWriter().write(run, to: file)
    let back = try RunReader().read(contentsOf: file)
    #expect(back[composed]?.documents.map { ExactText($0.id) } == [first, second])
    #expect(back[decomposed]?.documents.map { ExactText($0.id) } == [first, "other"])
  }

  private func list(_ query: String, _ documents: [String]) -> RankedList {
    RankedList(
      query: query,
      documents: documents.enumerated().map {
        ScoredDocument(id: $0.element, score: -Float($0.offset))
      })
  }
}

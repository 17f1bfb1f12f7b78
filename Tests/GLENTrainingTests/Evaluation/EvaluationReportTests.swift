import Foundation
import GLENTraining
import Testing

struct EvaluationReportTests {
  @Test func encodesAsOneFlatObject() throws {
    let means = Dictionary(
      uniqueKeysWithValues: RankingMetric.standard.enumerated().map {
        ($0.element, Double($0.offset) / 8)
      })
    let report = EvaluationReport(queryCount: 12, means: means)
    let data = try report.jsonData()
    let object = try JSONSerialization.jsonObject(with: data) as? [String: Double]
    #expect(
      object == [
        "R@1": 0, "R@10": 0.125, "R@100": 0.25, "MRR@10": 0.375, "MRR@100": 0.5, "nDCG@10": 0.625,
        "AP": 0.75, "queries": 12,
      ])
    #expect(try JSONDecoder().decode(EvaluationReport.self, from: data) == report)
  }

  @Test func theTableIsAligned() throws {
    let all = EvaluationReport(
      queryCount: 300, means: [try RankingMetric("R@10"): 1, try RankingMetric("R@1"): 0.5284])
    let seen = EvaluationReport(queryCount: 7, means: [try RankingMetric("R@1"): 0.06])
    #expect(
      EvaluationReport.table([("all", all), ("seen", seen)]) == """
              queries   R@1   R@10
        all       300  52.8  100.0
        seen        7   6.0      -

        """)
  }
}

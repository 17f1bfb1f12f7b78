import GLENTraining
import Testing

struct RankingMetricTests {
  @Test func standardMetricsHaveTheUsualNamesAndParseBack() throws {
    let names = ["R@1", "R@10", "R@100", "MRR@10", "MRR@100", "nDCG@10", "AP"]
    #expect(RankingMetric.standard.map(\.name) == names)
    #expect(try names.map { name in try RankingMetric(name) } == RankingMetric.standard)
    #expect(RankingMetric.standard.shuffled().sorted() == RankingMetric.standard)
  }

  @Test(arguments: ["", "R@", "R@0", "R@-1", "R@x", "R@1@2", "r@1", "F1", "@10", "AP "])
  func otherNamesAreErrorsThatListTheKnownOnes(name: String) {
    #expect(
      throws: TrainingError.unknownMetric(
        name: name, known: ["R", "MRR", "nDCG", "AP", "Success"])
    ) {
      try RankingMetric(name)
    }
  }
}

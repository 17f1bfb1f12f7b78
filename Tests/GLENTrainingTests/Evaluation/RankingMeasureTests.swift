import Foundation
import GLENTraining
import Testing

struct RankingMeasureTests {
  /// Ranks 2 and 4 are relevant; of the judged documents three are.
  private let ranked = [0, 1, -1, 2, 0]
  private let judged = [1, 2, 3, 0, -1]

  @Test func recall() throws {
    #expect(try value("R@1") == 0)
    #expect(try value("R@2") == 1.0 / 3)
    #expect(try value("R@4") == 2.0 / 3)
    #expect(try value("R@100") == 2.0 / 3)
    #expect(try value("R") == 2.0 / 3)
  }

  @Test func reciprocalRankIsCut() throws {
    #expect(try value("MRR@1") == 0)
    #expect(try value("MRR@2") == 0.5)
    #expect(try value("MRR") == 0.5)
  }

  @Test func normalizedGainUsesGradesAndTheIdealOverAllJudged() throws {
    let gain = 1 / log2(3.0) + 2 / log2(5.0)
    let ideal = 3 + 2 / log2(3.0) + 1 / log2(4.0)
    #expect(abs(try value("nDCG@10") - gain / ideal) < 1e-12)
    // The ideal is cut as well.
    #expect(abs(try value("nDCG@2") - (1 / log2(3.0)) / (3 + 2 / log2(3.0))) < 1e-12)
    #expect(try RankingMetric("nDCG@10").value(ranked: [3, 2, 1], judged: judged) == 1)
  }

  @Test func averagePrecisionDividesByAllRelevant() throws {
    #expect(abs(try value("AP") - (1.0 / 2 + 2.0 / 4) / 3) < 1e-12)
    #expect(abs(try value("AP@2") - (1.0 / 2) / 3) < 1e-12)
  }

  @Test func success() throws {
    #expect(try value("Success@1") == 0)
    #expect(try value("Success@2") == 1)
  }

  @Test(arguments: RankingMeasure.allCases)
  func isZeroWithoutRelevantDocumentsOrRanks(measure: RankingMeasure) {
    #expect(measure.value(ranked: [0, -1], judged: [0, -1]) == 0)
    #expect(measure.value(ranked: [], judged: [1]) == 0)
    #expect(measure.value(ranked: [1], judged: [1], cutoff: 0) == 0)
    #expect(measure.value(ranked: [1], judged: [1], cutoff: -1) == 0)
    #expect(measure.value(ranked: [2, 1], judged: [1, 2]) == 1)
  }

  private func value(_ name: String) throws -> Double {
    try RankingMetric(name).value(ranked: ranked, judged: judged)
  }
}

import Testing

@testable import GLENIndex

@Suite("Reliability") struct ReliabilityTests {
  private static func answer(
    _ probability: Double, _ isCorrect: Bool, answerable: Bool = true
  ) -> JudgedAnswer {
    JudgedAnswer(probability: probability, isCorrect: isCorrect, isAnswerable: answerable)
  }

  @Test func theReportIsWhatAPersonComputes() throws {
    let report = ReliabilityReport([
      Self.answer(1, true), Self.answer(0.95, true), Self.answer(0.95, false, answerable: false),
      Self.answer(0.55, true), Self.answer(0.15, false), Self.answer(0.1, true),
      Self.answer(0.05, false), Self.answer(0, false, answerable: false),
    ])
    #expect(report.count == 8 && report.accuracy == 0.5)
    #expect(report.bins.map(\.count) == [2, 2, 0, 0, 0, 1, 0, 0, 0, 3])
    #expect(report.bins.map(\.lower) == (0..<10).map { Double($0) / 10 })
    let bin = report.bins[9]
    #expect(abs(bin.meanProbability - 2.9 / 3) < 1e-12 && abs(bin.accuracy - 2.0 / 3) < 1e-12)
    // |0 - 0.025| 2/8 + |0.5 - 0.125| 2/8 + |1 - 0.55| 1/8 + |2/3 - 2.9/3| 3/8
    #expect(abs(report.expectedCalibrationError - (0.05 + 0.75 + 0.45 + 0.9) / 8) < 1e-12)
    // Two are equally probable, and one has no hit.
    #expect(report.coverages.map { $0.coverage * 8 } == [1, 3, 3, 4, 4, 5, 6, 7])
    #expect(report.coverages.first?.accuracy == 1)
    #expect(report.coverages.last?.coverage == 0.875)
    // A threshold keeps away from both sides, for probabilities that come out a little otherwise.
    let last = try #require(report.coverages.last?.minimumProbability)
    #expect(last < 0.05 && last > 0.0499)
    let best = try #require(report.bestF1)
    #expect(abs(best.minimumProbability - 0.075) < 1e-12 && best.coverage == 0.75)
    #expect(best.precision == 4.0 / 6 && best.recall == 4.0 / 6)
  }

  /// Against every threshold that there is, on random answers with many ties.
  @Test(arguments: 1...20 as ClosedRange<UInt64>)
  func thresholdsAreTheBest(seed: UInt64) throws {
    var generator = SeededGenerator(seed: seed)
    let answers = (0..<Int.random(in: 1...60, using: &generator)).map { _ in
      let probability = Double(Int.random(in: 0...20, using: &generator)) / 20
      let isCorrect = probability > 0 && Double.random(in: 0..<1.3, using: &generator) < probability
      return Self.answer(
        probability, isCorrect, answerable: isCorrect || Bool.random(using: &generator))
    }
    func figures(_ threshold: Double) -> (answered: Int, precision: Double, recall: Double) {
      let given = answers.filter { $0.probability >= threshold }
      let correct = Double(given.count { $0.isCorrect })
      return (
        given.count, correct / Double(max(given.count, 1)),
        correct / Double(max(answers.count { $0.isAnswerable }, 1))
      )
    }
    let thresholds = (1...20).map { Double($0) / 20 }
    let f1 = thresholds.map { threshold -> Double in
      let (_, p, r) = figures(threshold)
      return p + r == 0 ? 0 : 2 * p * r / (p + r)
    }
    let best = AbstentionThreshold.calibrated(on: answers)
    #expect(abs((best?.f1 ?? 0) - (f1.max() ?? 0)) < 1e-12)
    for wanted in [0.5, 0.8, 1] {
      let most = thresholds.map(figures).filter { $0.precision >= wanted && $0.recall > 0 }
        .map(\.answered).max()
      let found = AbstentionThreshold.calibrated(on: answers, for: .precision(wanted))
      #expect(found.map { Int(($0.coverage * Double(answers.count)).rounded()) } == most)
      guard let found else { continue }
      let (_, precision, recall) = figures(found.minimumProbability)
      #expect(found.precision == precision && found.recall == recall)
      #expect(precision >= wanted)
    }
  }

  @Test func nothingRightHasNoThreshold() {
    #expect(AbstentionThreshold.calibrated(on: []) == nil)
    #expect(AbstentionThreshold.calibrated(on: [Self.answer(0.9, false)]) == nil)
    #expect(
      AbstentionThreshold.calibrated(
        on: [Self.answer(0.9, false), Self.answer(0.5, true)], for: .precision(0.9)) == nil)
    let empty = ReliabilityReport([])
    #expect(empty.count == 0 && empty.expectedCalibrationError == 0 && empty.coverages.isEmpty)
  }

  @Test func hitsAreJudgedByTheirIds() {
    let hits = [SearchHit(id: "a", score: -1, probability: 0.7), SearchHit(id: "b", score: -2)]
    #expect(JudgedAnswer(hits, correct: ["a"]) == Self.answer(0.7, true))
    #expect(JudgedAnswer(hits, correct: ["b"]) == Self.answer(0.7, false))
    #expect(JudgedAnswer(hits, correct: []) == Self.answer(0.7, false, answerable: false))
    #expect(JudgedAnswer([], correct: ["a"]) == Self.answer(0, false))
  }
}

import Foundation
import Testing

@testable import GLENIndex

@Suite struct QueryScoresTests {
  @Test(arguments: [1, 7, 8, 9, 64, 1000])
  func normalizersMatchDoublePrecision(vocabulary: Int) throws {
    var generator = SeededGenerator(seed: UInt64(vocabulary))
    let logits = (0..<3 * vocabulary).map { place -> Float in
      if place == 1, vocabulary > 1 { return -.infinity }
      let span: Float = place < vocabulary ? 30 : 3000
      return Float.random(in: -span...span, using: &generator)
    }
    let scores = try QueryScores(
      logits: logits, identifierLength: 3, vocabularySize: vocabulary)
    for step in 0..<3 {
      let row = logits[step * vocabulary..<(step + 1) * vocabulary].map { Double($0) }
      let largest = try #require(row.max())
      let expected = largest + log(row.reduce(0) { $0 + exp($1 - largest) })
      #expect(abs(scores.logNormalizers[step] - expected) <= 1e-12 * max(1, abs(expected)))
      for token in 0..<vocabulary {
        #expect(scores.logit(step, token) == logits[step * vocabulary + token])
        #expect(scores.logProbability(step, token) <= 0)
      }
    }
  }

  @Test func probabilitiesSumToOne() throws {
    var generator = SeededGenerator(seed: 3)
    let logits = (0..<500).map { _ in Float.random(in: -6...6, using: &generator) }
    let scores = try QueryScores(logits: logits, identifierLength: 1, vocabularySize: 500)
    let total = (0..<500).reduce(0.0) { $0 + exp(Double(scores.logProbability(0, $1))) }
    #expect(abs(total - 1) < 1e-5)
  }

  @Test func stepWithoutTokensHasNoProbability() throws {
    let scores = try QueryScores(
      logits: [-.infinity, -.infinity, 1, 1], identifierLength: 2, vocabularySize: 2)
    #expect(scores.logNormalizers[0] == -.infinity)
    #expect(scores.logProbability(0, 1) == -.infinity)
    #expect(abs(scores.logProbability(1, 1) - Float(log(0.5))) < 1e-6)
  }

  @Test func extremesStayNumbers() throws {
    let huge = Float.greatestFiniteMagnitude
    let scores = try QueryScores(
      logits: [huge, -huge, 0, -huge], identifierLength: 2, vocabularySize: 2)
    #expect(scores.logProbability(0, 0) == 0)
    #expect(scores.logProbability(0, 1) == -.infinity)
    #expect(scores.logProbability(1, 1) == -huge)
  }

  @Test(arguments: [Float.nan, -.nan, .signalingNaN, .infinity], [0, 7, 8, 18])
  func refusesWhatIsNoLogit(value: Float, place: Int) {
    var logits = [Float](repeating: 1, count: 20)
    logits[place] = value
    let error = #expect(throws: IndexError.self) {
      try QueryScores(logits: logits, identifierLength: 2, vocabularySize: 10)
    }
    #expect(error?.description.contains("at token \(place % 10)") == true)
    #expect(error?.description.contains("step \(place / 10)") == true)
  }

  @Test(arguments: [(2, 3), (0, 6), (-2, -3), (Int.max, 2), (7, 1), (1, 0)])
  func refusesOtherCounts(shape: (Int, Int)) {
    #expect(throws: IndexError.self) {
      try QueryScores(
        logits: [1, 2, 3, 4, 5], identifierLength: shape.0, vocabularySize: shape.1)
    }
  }
}

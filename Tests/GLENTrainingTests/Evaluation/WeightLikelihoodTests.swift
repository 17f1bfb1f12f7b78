import Foundation
import GLENTensor
import Testing

@testable import GLENTraining

@Suite("Likelihood of a weight")
struct WeightLikelihoodTests {
  private typealias Candidate = (x: Double, y: Double, isPositive: Bool)

  /// A query whose positive is drawn with P(d) in proportion to exp(a x_d + b y_d).
  private func query(
    _ a: Double, _ b: Double, using generator: inout SeededGenerator
  ) -> [Candidate] {
    let scores = (0..<8).map { _ in
      (
        Double.random(in: 0..<1, using: &generator), Double.random(in: 0..<1, using: &generator)
      )
    }
    let weights = scores.map { exp(a * $0.0 + b * $0.1) }
    var rest = Double.random(in: 0..<weights.reduce(0, +), using: &generator)
    var chosen = 0
    while chosen < 7, rest >= weights[chosen] {
      rest -= weights[chosen]
      chosen += 1
    }
    return scores.enumerated().map { ($1.0, $1.1, $0 == chosen) }
  }

  @Test("The factors that drew the positives are found", arguments: [(6.0, 2.0), (1.0, 3.0)])
  func recovery(a: Double, b: Double) {
    var generator = SeededGenerator(seed: 4)
    var likelihood = WeightLikelihood()
    for _ in 0..<8000 { likelihood.add(query(a, b, using: &generator)) }
    #expect(abs(likelihood.weight() - a / (a + b)) < 0.02)
  }

  @Test("A score that points away from the positives gets no weight")
  func misleading() {
    var generator = SeededGenerator(seed: 5)
    var (first, second) = (WeightLikelihood(), WeightLikelihood())
    for _ in 0..<500 {
      let candidates = query(-2, 4, using: &generator)
      first.add(candidates)
      second.add(candidates.map { ($0.y, $0.x, $0.isPositive) })
    }
    #expect(first.weight() == 0)
    #expect(second.weight() == 1)
  }

  @Test("Scores that tell all positives apart have a finite answer, and so do equal ones")
  func extremes() {
    var separable = WeightLikelihood()
    separable.add([(1, 1, true), (0.5, 0, false), (0, 0.5, false)])
    #expect(abs(separable.weight() - 0.5) < 1e-6)
    var equal = WeightLikelihood()
    equal.add([(0.5, 0.5, true), (0.5, 0.5, false)])
    #expect(equal.weight() == 0.5)
    #expect(WeightLikelihood().weight() == 0.5)
    var unjudged = WeightLikelihood()
    unjudged.add([(1, 0, false), (0, 1, false)])
    #expect(unjudged.weight() == 0.5)
  }
}

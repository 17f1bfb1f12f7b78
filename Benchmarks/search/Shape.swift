import Foundation
import GLENIndex

/// How made-up identifiers and queries look.
package enum Shape: String {
  /// Tokens by Zipf's law, another order of them below every prefix, and queries that are sure of a
  /// few tokens: so do trained models look, and most of an index can be skipped.
  case shared

  /// All tokens and logits alike: hardly anything can be skipped.
  case uniform

  /// T5's.
  package static let vocabularySize = 32_128

  /// One document's tokens.
  package func identifier(_ length: Int, _ generator: inout SplitMix) -> [Int32] {
    var prefix: UInt64 = 0
    return (0..<length).map { _ in
      let token: Int
      switch self {
      case .uniform:
        token = Int.random(in: 0..<Self.vocabularySize, using: &generator)
      case .shared:
        // The token of rank r is drawn in proportion to 1 / r.
        let rank = Int(exp(Double.random(in: 0..<log(32_000.0), using: &generator)))
        var mixed = SplitMix(state: prefix)
        token = (rank + Int(mixed.next() % 32_000)) % 32_000
        prefix = prefix &* 40_503 &+ UInt64(token) &+ 1
      }
      return Int32(token)
    }
  }

  /// The scores of a query that one document answers.
  package func query(for tokens: [Int32], _ generator: inout SplitMix) throws -> QueryScores {
    var logits = (0..<tokens.count * Self.vocabularySize).map { _ in
      Float(-10 + 2.5 * generator.normal())
    }
    if self == .shared {
      for (step, token) in tokens.enumerated() {
        for _ in 0..<30 {
          let related = Int.random(in: 0..<Self.vocabularySize, using: &generator)
          logits[step * Self.vocabularySize + related] += 6
        }
        logits[step * Self.vocabularySize + Int(token)] += 10
      }
    }
    return try QueryScores(
      logits: logits, identifierLength: tokens.count, vocabularySize: Self.vocabularySize)
  }
}

/// SplitMix64: fast, and the same in every run.
package struct SplitMix: RandomNumberGenerator {
  var state: UInt64

  package init(state: UInt64) { self.state = state }

  package mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  /// A normal number, nearly: twelve uniform ones less six.
  package mutating func normal() -> Double {
    var sum: UInt64 = 0
    for word in (0..<3).map({ _ in next() }) {
      for part in 0..<4 { sum += word >> UInt64(16 * part) & 0xFFFF }
    }
    return Double(sum) / 65_536 - 6
  }
}

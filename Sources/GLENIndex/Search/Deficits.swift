/// How far a table's tokens stay behind the best of their steps, in whole numbers below 256.
///
/// A row's log-probabilities lie Σ (largest - own) below the sum of the largest, so a row whose rounded
/// deficits add up to more than ``limit(_:)`` cannot reach a threshold: nearly all rows are left out by
/// that. A step's deficits fit in the first cache (a quarter of the log-probabilities), which is what
/// bounds the speed of a scan. They decide only what is looked at exactly.
struct Deficits: Sendable {
  /// The deficit of every code, step after step, and on for as far as a 16-bit code can reach.
  let values: [UInt8]

  /// The sum of the steps' largest log-probabilities, and what rounding may add to a score.
  private let largestSum: Double

  /// Deficits to one unit of score.
  private let scale: Double

  /// Half for each step, because deficits are rounded, and a little for the arithmetic here.
  private let slack: Double

  /// Divides what a row may lack at a threshold, or nil where that is not a moderate number.
  init?(_ levels: LevelScores, _ table: IdentifierTable, threshold: Float) {
    let length = Double(table.identifierLength)
    let largest = levels.largest.reduce(0) { $0 + Double($1) }
    let span = max(largest - Double(threshold), 0)
    guard span < 1e30 else { return nil }
    // No term of a score that reaches the threshold is larger than its step's largest and the span
    // together, and a sum of n numbers is wrong by n / 2^24 of their magnitudes; four times that.
    let magnitude = levels.largest.reduce(length * span) { $0 + abs(Double($1)) }
    let rounding = length * magnitude * 0x1p-22
    let scale = Double(UInt8.max) / max(span + rounding, 1e-30)
    self.scale = scale
    self.largestSum = largest + rounding
    self.slack = 0.5001 * length + 1
    let count = levels.values.count
    self.values = [UInt8](unsafeUninitializedCapacity: count + 1 << 16) { bytes, initialized in
      bytes.initialize(repeating: .max)
      for step in 0..<table.identifierLength {
        let codes = Int(table.levelOffsets[step])..<Int(table.levelOffsets[step + 1])
        levels.values.withUnsafeBufferPointer { values in
          Self.round(
            UnsafeBufferPointer(rebasing: values[codes]), largest: levels.largest[step],
            scale: Float(scale), into: UnsafeMutableBufferPointer(rebasing: bytes[codes]))
        }
      }
      initialized = bytes.count
    }
  }

  /// The largest sum of deficits that a row with at least some score can have.
  func limit(_ threshold: Float) -> Int32 {
    let sum = (largestSum - Double(threshold)) * scale + slack
    return Int32(min(max(sum, 0), Double(Int32.max)))
  }

  /// Rounds to the nearest whole number: adding 2^23 leaves it in the low bits.
  private static func round(
    _ values: UnsafeBufferPointer<Float>, largest: Float, scale: Float,
    into deficits: UnsafeMutableBufferPointer<UInt8>
  ) {
    for code in values.indices {
      let deficit = (largest - values[code]) * scale
      let sum = (deficit < 255 ? deficit : 255) + 0x1p23
      deficits[code] = UInt8(truncatingIfNeeded: sum.bitPattern)
    }
  }
}

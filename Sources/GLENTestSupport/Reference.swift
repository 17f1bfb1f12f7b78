import GLENPlatform
import GLENTensor

/// Naive loops in double precision: what the operations mean, written as the equations are.
public enum Reference {
  /// C = op(A) op(B); A is `[m, k]` or, transposed, `[k, m]`.
  static func product(
    _ a: [Double], _ b: [Double], m: Int, n: Int, k: Int, transposeA: Bool = false,
    transposeB: Bool = false
  ) -> [Double] {
    var c = [Double](repeating: 0, count: m * n)
    for i in 0..<m {
      for j in 0..<n {
        var sum = 0.0
        for l in 0..<k {
          sum +=
            (transposeA ? a[l * m + i] : a[i * k + l]) * (transposeB ? b[j * k + l] : b[l * n + j])
        }
        c[i * n + j] = sum
      }
    }
    return c
  }

  /// spreadHeads, or joinHeads, one head after the other.
  static func headProjection(
    _ x: [Double], _ weight: [Double], rows: Int, heads: Int, headWidth: Int, width: Int,
    isJoining: Bool
  ) -> [Double] {
    let (from, to) = isJoining ? (width, headWidth) : (headWidth, width)
    var y = [Double](repeating: 0, count: rows * heads * to)
    for part in 0..<rows * heads {
      let head = part % heads
      for i in 0..<to {
        for j in 0..<from {
          let (row, column) = isJoining ? (i, j) : (j, i)
          y[part * to + i] += x[part * from + j] * weight[(head * headWidth + row) * width + column]
        }
      }
    }
    return y
  }

  /// Rows of a matrix.
  static func rows(_ x: [Double], width: Int) -> [ArraySlice<Double>] {
    guard width > 0 else { return [] }
    return stride(from: 0, to: x.count, by: width).map { x[$0..<$0 + width] }
  }

  /// gelu(x) in its tanh form.
  static func gelu(_ x: Double) -> Double {
    x / 2 * (1 + tanh((2 / Double.pi).squareRoot() * (x + 0.044715 * x * x * x)))
  }

  /// The derivative of `gelu`, by the product rule.
  static func geluSlope(_ x: Double) -> Double {
    let root = (2 / Double.pi).squareRoot()
    let t = tanh(root * (x + 0.044715 * x * x * x))
    return (1 + t) / 2 + x / 2 * (1 - t * t) * root * (1 + 3 * 0.044715 * x * x)
  }

  /// Softmax of one row.
  static func softmax(_ row: some Collection<Double>) -> [Double] {
    let greatest = row.max() ?? 0
    let powers = row.map { exp($0 - greatest) }
    let sum = powers.reduce(0, +)
    return powers.map { $0 / sum }
  }

  /// The logarithm of the sum of the exponentials of one row.
  static func logSum(_ row: some Collection<Double>) -> Double {
    let greatest = row.max() ?? 0
    return greatest + log(row.reduce(0) { $0 + exp($1 - greatest) })
  }

  /// The dot product of two rows.
  static func dot(_ a: some Collection<Double>, _ b: some Collection<Double>) -> Double {
    zip(a, b).reduce(0) { $0 + $1.0 * $1.1 }
  }

  /// The cosine distance of two rows; 1 where one is zero.
  static func cosineDistance(
    _ a: some Collection<Double>, _ b: some Collection<Double>
  ) -> Double {
    1 - cosine(a, b)
  }

  /// The cosine of two rows; 0 where one is zero.
  static func cosine(_ a: some Collection<Double>, _ b: some Collection<Double>) -> Double {
    let norms = (dot(a, a) * dot(b, b)).squareRoot()
    return norms > 0 ? dot(a, b) / norms : 0
  }

  /// RMS norm of all rows.
  static func rmsNorm(_ x: [Double], weight: [Double], epsilon: Double) -> [Double] {
    rows(x, width: weight.count).flatMap { row in
      let inverse = 1 / (dot(row, row) / Double(weight.count) + epsilon).squareRoot()
      return zip(row, weight).map { $0 * inverse * $1 }
    }
  }

  /// One block of Philox4x32-10, from the paper's description (Salmon et al., 2011).
  public static func philox(counter: [UInt32], key: [UInt32]) -> [UInt32] {
    var (c, k) = (counter, key)
    for _ in 0..<10 {
      let left = c[0].multipliedFullWidth(by: 0xD251_1F53)
      let right = c[2].multipliedFullWidth(by: 0xCD9E_8D57)
      c = [right.high ^ c[1] ^ k[0], right.low, left.high ^ c[3] ^ k[1], left.low]
      k = [k[0] &+ 0x9E37_79B9, k[1] &+ 0xBB67_AE85]
    }
    return c
  }

  /// What dropout multiplies element `index` with: element i takes word i % 4 of block i / 4.
  static func dropoutFactor(_ index: Int, rate: Float, key: RandomKey) -> Double {
    let block = UInt64(index / 4)
    let words = philox(
      counter: [
        UInt32(truncatingIfNeeded: block), UInt32(truncatingIfNeeded: block >> 32),
        UInt32(truncatingIfNeeded: key.stream), UInt32(truncatingIfNeeded: key.stream >> 32),
      ],
      key: [UInt32(truncatingIfNeeded: key.seed), UInt32(truncatingIfNeeded: key.seed >> 32)])
    let threshold = (Double(rate) * 4_294_967_296).rounded(.down)
    return Double(words[index % 4]) >= threshold ? 1 / (1 - Double(rate)) : 0
  }

  /// T5's bucket of a distance, by comparing whole powers instead of logarithms.
  ///
  /// Beyond the exact buckets, bucket `exact + j` begins at `exact (maximum / exact)^(j / more)`;
  /// both sides are taken to the power of `more`, the number of further buckets.
  public static func bucket(
    distance: Int, buckets: Int, isBidirectional: Bool, maximumDistance: Int
  ) -> Int {
    let half = isBidirectional ? buckets / 2 : buckets
    let side = isBidirectional && distance > 0 ? half : 0
    let away = isBidirectional ? abs(distance) : max(-distance, 0)
    let exact = half / 2
    if away < exact { return side + away }
    let more = half - exact
    var bucket = exact
    for j in 1..<max(more, 1) {
      let begins =
        pow(Double(exact), Double(more)) * pow(Double(maximumDistance) / Double(exact), Double(j))
      if pow(Double(away), Double(more)) >= begins { bucket = exact + j }
    }
    return side + bucket
  }
}

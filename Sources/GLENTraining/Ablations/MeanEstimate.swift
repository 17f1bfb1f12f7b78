import GLENPlatform

/// The mean of a few independent measurements, with its 95 % confidence interval by Student's t
/// distribution.
public struct MeanEstimate: Sendable, Codable, Equatable {
  /// The measurements.
  public let values: [Double]
  /// Their mean; 0 if there are none.
  public let mean: Double
  /// Half the width of the interval; nil for fewer than two measurements, which say nothing about
  /// how far others would lie apart.
  public let halfWidth: Double?

  /// Estimates a mean.
  public init(_ values: [Double]) {
    self.values = values
    let count = Double(values.count)
    let mean = values.isEmpty ? 0 : values.reduce(0, +) / count
    self.mean = mean
    guard values.count > 1 else {
      halfWidth = nil
      return
    }
    let variance = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / (count - 1)
    halfWidth =
      Self.quantile(coverage: 0.95, degreesOfFreedom: values.count - 1)
      * (variance / count).squareRoot()
  }

  /// The t within which a variable of Student's distribution lies, on both sides of 0, with the
  /// given probability.
  static func quantile(coverage: Double, degreesOfFreedom: Int) -> Double {
    var (low, high) = (0.0, Double.pi / 2)
    for _ in 0..<60 {
      let middle = (low + high) / 2
      if Self.coverage(angle: middle, degreesOfFreedom: degreesOfFreedom) < coverage {
        low = middle
      } else {
        high = middle
      }
    }
    return Double(degreesOfFreedom).squareRoot() * tan((low + high) / 2)
  }

  /// P(|T| < t) for t = √ν tan θ: a finite series (Abramowitz and Stegun, 26.7.3 and 26.7.4).
  private static func coverage(angle: Double, degreesOfFreedom: Int) -> Double {
    let (sine, cosine) = (sin(angle), cos(angle))
    let isOdd = degreesOfFreedom % 2 == 1
    var term = isOdd ? cosine : 1
    var sum = degreesOfFreedom > 1 ? term : 0
    for power in stride(from: isOdd ? 3 : 2, through: degreesOfFreedom - 2, by: 2) {
      term *= cosine * cosine * Double(power - 1) / Double(power)
      sum += term
    }
    return isOdd ? 2 / .pi * (angle + sine * sum) : sine * sum
  }
}

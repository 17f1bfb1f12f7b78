import GLENPlatform

/// How likely two scores make the positive documents of queries, and the factors that do best.
///
/// The model of a query is P(d) = exp(a x_d + b y_d) / Σ_e exp(a x_e + b y_e), a conditional logit. The
/// objective is the mean over queries of the mean log P of its positives, less `ridge` / 2 (a² + b²),
/// which keeps a and b finite where they tell all positives apart. It is concave, so that Newton's
/// method finds its one maximum.
struct WeightLikelihood {
  private var queries: [[(x: Double, y: Double, isPositive: Bool)]] = []
  private static let ridge = 1e-4

  /// Adds a query's candidates; one without positives says nothing and is passed over.
  mutating func add(_ candidates: [(x: Double, y: Double, isPositive: Bool)]) {
    if candidates.contains(where: \.isPositive) { queries.append(candidates) }
  }

  /// a / (a + b) at the maximum with a and b at least 0; 0.5 without queries.
  func weight() -> Double {
    guard !queries.isEmpty else { return 0.5 }
    var (a, b) = (0.0, 0.0)
    var current = moments(a, b)
    for _ in 0..<100 {
      let determinant = current.xx * current.yy - current.xy * current.xy
      let stepA = (current.yy * current.x - current.xy * current.y) / determinant
      let stepB = (current.xx * current.y - current.xy * current.x) / determinant
      var share = 1.0
      var next = moments(a + stepA, b + stepB)
      while next.value < current.value, share > 1e-6 {
        share /= 2
        next = moments(a + share * stepA, b + share * stepB)
      }
      guard next.value > current.value else { break }
      let gain = next.value - current.value
      (a, b, current) = (a + share * stepA, b + share * stepB, next)
      if gain < 1e-12 { break }
    }
    // A factor below 0 would have a search ranked upside down: it is left out instead.
    (a, b) = (max(a, 0), max(b, 0))
    return a + b > 0 ? a / (a + b) : 0.5
  }

  /// The objective, its gradient (x, y), and its negated second derivatives (xx, xy, yy).
  private func moments(
    _ a: Double, _ b: Double
  ) -> (value: Double, x: Double, y: Double, xx: Double, xy: Double, yy: Double) {
    var sum = (value: 0.0, x: 0.0, y: 0.0, xx: 0.0, xy: 0.0, yy: 0.0)
    for candidates in queries {
      let logits = candidates.map { a * $0.x + b * $0.y }
      let largest = logits.max() ?? 0
      let weights = logits.map { exp($0 - largest) }
      let total = weights.reduce(0, +)
      var (x, y, xx, xy, yy) = (0.0, 0.0, 0.0, 0.0, 0.0)
      var positives = (count: 0.0, logit: 0.0, x: 0.0, y: 0.0)
      for ((candidate, logit), weight) in zip(zip(candidates, logits), weights) {
        let p = weight / total
        x += p * candidate.x
        y += p * candidate.y
        xx += p * candidate.x * candidate.x
        xy += p * candidate.x * candidate.y
        yy += p * candidate.y * candidate.y
        guard candidate.isPositive else { continue }
        positives.count += 1
        positives.logit += logit
        positives.x += candidate.x
        positives.y += candidate.y
      }
      sum.value += positives.logit / positives.count - largest - log(total)
      sum.x += positives.x / positives.count - x
      sum.y += positives.y / positives.count - y
      sum.xx += xx - x * x
      sum.xy += xy - x * y
      sum.yy += yy - y * y
    }
    let count = Double(queries.count)
    return (
      sum.value / count - Self.ridge / 2 * (a * a + b * b), sum.x / count - Self.ridge * a,
      sum.y / count - Self.ridge * b, sum.xx / count + Self.ridge, sum.xy / count,
      sum.yy / count + Self.ridge
    )
  }
}

import GLENPlatform
import GLENTensor

extension OperationCase {
  /// sum, sumsOfSquares and adamW.
  static let reductions: [OperationCase] = list {
    for count in [0, 1, 3, 17, 64, 1000, 65_536, 200_003] {
      OperationCase("sum", "\(count)", tolerance: 1e-6) { bench in
        let x = bench.values(count)
        let out = try bench.output(1)
        bench.backend.sum(try bench.region(x), scale: -0.5, into: out, count: count)
        try bench.expect("out", out, [-0.5 * x.reduce(0.0) { $0 + Double($1) }])
      }
      OperationCase("sumsOfSquares", "\(count) beside others", tolerance: 1e-6) { bench in
        let counts = [count, 0, 17, 0, 16_385, count]
        let runs = counts.map { bench.values($0) }
        let out = try bench.output(counts.count)
        bench.backend.sumsOfSquares(
          try runs.map { (try bench.region($0), $0.count) }, into: out)
        try bench.expect(
          "out", out, runs.map { $0.reduce(0.0) { $0 + Double($1) * Double($1) } })
      }
      OperationCase("sumsOfSquares", "\(count) empty runs", tolerance: 0) { bench in
        let out = try bench.output(count)
        let empty = try bench.region([Float]())
        bench.backend.sumsOfSquares(
          [(x: Region, count: Int)](repeating: (empty, 0), count: count), into: out)
        try bench.expect("out", out, [Double](repeating: 0, count: count))
      }
      OperationCase("adamW", "\(count) five steps", tolerance: 3e-6) { bench in
        // Decays that float32 holds exactly, so that 1 - beta^t has no error of its own.
        let (rate, beta1, beta2, epsilon, decay) = (0.01, 0.875, 0.984375, 1e-6, 0.1)
        let start = bench.values(count)
        let weight = try bench.region(start)
        let first = try bench.region([Float](repeating: 0, count: count))
        let second = try bench.region([Float](repeating: 0, count: count))
        var (w, m) = (start.map(Double.init), [Double](repeating: 0, count: count))
        var v = m
        for t in 1...5 {
          let g = bench.values(count)
          let corrections = (1 - pow(beta1, Double(t)), 1 - pow(beta2, Double(t)))
          // Beside it others, one empty, each of which shall stay apart.
          let zeros = try (0..<3).map { _ in
            try bench.region([Float](repeating: 0, count: 4097))
          }
          let step = AdamWStep(
            rate: Float(rate), beta1: Float(beta1), beta2: Float(beta2),
            epsilon: Float(epsilon), decay: Float(decay), update: t, gradientScale: 0.5)
          let other = [0, 4097].map { size in
            AdamWUpdate(
              gradient: zeros[0], weight: zeros[0], firstMoment: zeros[1], secondMoment: zeros[2],
              count: size, step: step)
          }
          let own = AdamWUpdate(
            gradient: try bench.region(g), weight: weight, firstMoment: first,
            secondMoment: second, count: count, step: step)
          bench.backend.adamW([other[0], own, other[1]])
          try bench.expect("another", zeros[1], [Double](repeating: 0, count: 4097))
          for i in 0..<count {
            let scaled = 0.5 * Double(g[i])
            m[i] = beta1 * m[i] + (1 - beta1) * scaled
            v[i] = beta2 * v[i] + (1 - beta2) * scaled * scaled
            let update = m[i] / corrections.0 / ((v[i] / corrections.1).squareRoot() + epsilon)
            w[i] -= rate * (update + decay * w[i])
          }
        }
        try bench.expect("weight", weight, w)
        try bench.expect("first moment", first, m)
        try bench.expect("second moment", second, v)
      }
    }
  }
}

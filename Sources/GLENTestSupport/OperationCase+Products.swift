import GLENTensor

extension OperationCase {
  /// Rows, columns and the extent that is summed over: for the own kernel, for BLAS, and none.
  private static let productExtents: [(Int, Int, Int)] = {
    let small = [
      (1, 1, 1), (1, 64, 64), (2, 5, 17), (3, 17, 3), (4, 100, 33), (5, 18, 16), (6, 64, 100),
      (7, 66, 31), (12, 67, 65), (13, 30, 48), (31, 35, 20), (47, 19, 5), (48, 33, 64),
      (49, 33, 64), (60, 21, 17),
    ]
    let large = [(130, 70, 64), (64, 300, 129), (300, 260, 65), (25, 1003, 96), (1, 4099, 64)]
    let edges = [(0, 4, 3), (4, 0, 3), (3, 4, 0), (130, 5, 0), (1, 1, 0), (80, 1, 70), (1, 80, 70)]
    return small + large + edges
  }()

  /// matrixProduct in all transposes, from one row to sizes that are split over threads.
  static let products: [OperationCase] = list {
    for (m, n, k) in productExtents {
      for (a, b) in [(false, false), (false, true), (true, false), (true, true)] {
        for (alpha, beta) in [(1, 0), (0.5, 1), (-2, 0)] as [(Float, Float)] {
          OperationCase(
            "matrixProduct",
            "\(m)x\(n)x\(k)\(a ? " At" : "")\(b ? " Bt" : "") alpha \(alpha) beta \(beta)",
            tolerance: 1e-5 + 4e-7 * Double(k)
          ) { bench in
            let (left, right) = (bench.values(m * k), bench.values(k * n))
            let (c, old) = try bench.destination(m * n, accumulating: beta != 0)
            bench.backend.matrixProduct(
              MatrixProduct(
                m: m, n: n, k: k, a: try bench.region(left), b: try bench.region(right), c: c,
                transposeA: a, transposeB: b, alpha: alpha, beta: beta))
            let product = Reference.product(
              left.map(Double.init), right.map(Double.init), m: m, n: n, k: k, transposeA: a,
              transposeB: b)
            try bench.expect(
              "C", c, zip(product, old).map { Double(alpha) * $0 + Double(beta) * $1 })
          }
        }
      }
    }
  }
}

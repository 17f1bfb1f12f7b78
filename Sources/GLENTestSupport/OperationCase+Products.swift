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
    // Beyond the blocks of `large_product.c` in each of the three, by one thread too.
    let blocks = [(350, 20, 17), (66, 1050, 20), (67, 33, 790)]
    let edges = [(0, 4, 3), (4, 0, 3), (3, 4, 0), (130, 5, 0), (1, 1, 0), (80, 1, 70), (1, 80, 70)]
    return small + large + blocks + edges
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

  /// matrixProducts in all transposes, on columns of wider matrices.
  static let productBatches: [OperationCase] = list {
    for (count, m, n, k) in [(1, 3, 4, 5), (4, 5, 6, 7), (3, 60, 18, 33), (2, 1, 1, 0)] {
      for (a, b) in [(false, false), (false, true), (true, false), (true, true)] {
        for beta in [0, 1] as [Float] {
          OperationCase(
            "matrixProducts",
            "\(count)x\(m)x\(n)x\(k)\(a ? " At" : "")\(b ? " Bt" : "") beta \(beta)",
            tolerance: 1e-5 + 4e-7 * Double(k)
          ) { bench in
            try productBatch(
              bench, count: count, m: m, n: n, k: k, transposeA: a, transposeB: b, beta: beta)
          }
        }
      }
    }
  }

  /// A's matrices stand one behind the other; those of B and of C side by side.
  private static func productBatch(
    _ bench: Workbench, count: Int, m: Int, n: Int, k: Int, transposeA: Bool, transposeB: Bool,
    beta: Float
  ) throws {
    let left = bench.values(count * m * k)
    let right = bench.values(count * k * n)
    let (c, old) = try bench.destination(count * m * n, accumulating: beta != 0)
    let width = transposeB ? k : n
    bench.backend.matrixProducts(
      MatrixProductBatch(
        count: count, m: m, n: n, k: k,
        a: .init(try bench.region(left), stride: transposeA ? m : k, step: m * k),
        b: .init(try bench.region(right), stride: count * width, step: width),
        c: .init(c, stride: count * n, step: n), transposeA: transposeA, transposeB: transposeB,
        beta: beta))
    var expected: [Double] = old.map { Double(beta) * $0 }
    for index in 0..<count {
      var own: [Double] = []
      for row in 0..<(transposeB ? n : k) {
        let first = (row * count + index) * width
        own += right[first..<first + width].map(Double.init)
      }
      let product = Reference.product(
        left[index * m * k..<(index + 1) * m * k].map(Double.init), own, m: m, n: n, k: k,
        transposeA: transposeA, transposeB: transposeB)
      for (place, value) in product.enumerated() {
        let (row, column) = (place / n, place % n)
        expected[(row * count + index) * n + column] += value
      }
    }
    try bench.expect("C", c, expected)
  }
}

import GLENPlatform
import GLENTensor

extension OperationCase {
  /// Softmax, cross-entropy and arg max over rows of scores.
  static let vocabulary: [OperationCase] = list {
    for (rows, width) in rowExtents {
      let count = rows * width
      for isMasked in [false, true] {
        let extents = "\(rows)x\(width)" + (isMasked ? " masked" : "")
        OperationCase("softmax", extents, tolerance: 2e-6) { bench in
          let mask = isMasked ? alternating(width) : nil
          let x = bench.values(count, in: -10...10)
          let region = try bench.region(x)
          bench.backend.softmax(
            region, mask: try mask.map { try bench.region($0) }, scale: 0.75, rows: rows,
            width: width)
          try bench.expect(
            "y", region,
            Reference.rows(x.map(Double.init), width: width).flatMap { row in
              Reference.softmax(
                zip(row, mask ?? row.map { _ in 0 }).map { 0.75 * ($0 + Double($1)) })
            })
        }
        OperationCase("argMax", extents, tolerance: 1e-300) { bench in
          let mask = isMasked ? alternating(width) : nil
          // Coarse values, so that there are ties: the first of them wins.
          let x = bench.values(count, in: -10...10).map { ($0 / 4).rounded() }
          let indices = try bench.region([Int32](repeating: -7, count: rows))
          let values = try bench.output(rows)
          bench.backend.argMax(
            try bench.region(x), mask: try mask.map { try bench.region($0) }, indices: indices,
            values: values, rows: rows, width: width)
          let best = (0..<rows).map { row -> (Int, Float) in
            var best = (-1, -Float.infinity)
            for column in 0..<width where (mask?[column] ?? 0) == 0 {
              let value = x[row * width + column]
              if value > best.1 { best = (column, value) }
            }
            return best
          }
          try bench.expect("values", values, best.map { Double($0.1) })
          let found = try bench.readIntegers(indices, rows)
          bench.expect("indices", found.map(Float.init), best.map { Double($0.0) })
        }
      }
      OperationCase("softmaxBackward", "\(rows)x\(width)", tolerance: 2e-5) { bench in
        let (scores, dy) = (bench.values(count), bench.values(count))
        let y = Reference.rows(scores.map(Double.init), width: width).flatMap(Reference.softmax)
        let region = try bench.region(dy)
        bench.backend.softmaxBackward(
          y: try bench.region(y.map(Float.init)), dy: region, scale: 1.5, rows: rows, width: width)
        let means = zip(
          Reference.rows(y, width: width), Reference.rows(dy.map(Double.init), width: width)
        ).map(Reference.dot)
        try bench.expect(
          "dx", region, y.indices.map { 1.5 * y[$0] * (Double(dy[$0]) - means[$0 / width]) })
      }
      OperationCase("crossEntropy", "\(rows)x\(width)", tolerance: 3e-6) { bench in
        let logits = bench.values(count, in: -10...10)
        var targets = bench.integers(rows, in: 0..<Int32(width))
        if rows > 2 { targets[rows / 2] = -1 }
        let region = try bench.region(logits)
        let losses = try bench.output(rows)
        bench.backend.crossEntropy(
          region, targets: try bench.region(targets), scale: 0.25, losses: losses, rows: rows,
          width: width)
        let all = Reference.rows(logits.map(Double.init), width: width)
        try bench.expect(
          "losses", losses,
          zip(all, targets).map { row, target in
            target < 0 ? 0 : Reference.logSum(row) - row[row.startIndex + Int(target)]
          })
        try bench.expect(
          "dLogits", region,
          zip(all, targets).flatMap { row, target -> [Double] in
            if target < 0 { return row.map { _ in 0 } }
            return Reference.softmax(row).enumerated().map {
              0.25 * ($1 - ($0 == Int(target) ? 1 : 0))
            }
          })
      }
    }
  }

  /// A mask that leaves every third column, and always the last.
  static func alternating(_ width: Int) -> [Float] {
    (0..<width).map { $0 % 3 == 1 || $0 == width - 1 ? 0 : -.infinity }
  }
}

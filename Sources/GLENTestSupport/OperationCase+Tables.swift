import GLENTensor

extension OperationCase {
  /// Rows that are named, rows of the table, and its width.
  private static let tableExtents = [
    (0, 3, 4), (1, 1, 1), (5, 3, 17), (130, 7, 100), (300, 41, 65), (400, 50, 300), (3, 2, 40_001),
  ]

  /// gather and scatterAdd.
  static let tables: [OperationCase] = list {
    for (count, tableRows, width) in tableExtents {
      let extents = "\(count) of \(tableRows)x\(width)"
      OperationCase("gather", extents, tolerance: 1e-300) { bench in
        let table = bench.values(tableRows * width)
        let rows = bench.integers(count, in: 0..<Int32(tableRows))
        let out = try bench.output(count * width)
        bench.backend.gather(
          try bench.region(table), rows: try bench.region(rows), into: out, count: count,
          width: width)
        try bench.expect(
          "out", out,
          rows.flatMap { row in table[Int(row) * width..<(Int(row) + 1) * width].map(Double.init) })
      }
      OperationCase("scatterAdd", extents, tolerance: 3e-5) { bench in
        let x = bench.values(count * width)
        let rows = bench.integers(count, in: 0..<Int32(tableRows))
        let (table, old) = try bench.destination(tableRows * width, accumulating: true)
        bench.backend.scatterAdd(
          try bench.region(x), rows: try bench.region(rows), into: table, count: count,
          width: width)
        var expected = old
        for (index, row) in rows.enumerated() {
          for column in 0..<width {
            expected[Int(row) * width + column] += Double(x[index * width + column])
          }
        }
        try bench.expect("table", table, expected)
      }
    }
  }
}

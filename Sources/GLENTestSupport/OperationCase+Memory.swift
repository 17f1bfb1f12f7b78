import GLENTensor

extension OperationCase {
  /// upload, download, copy, copyRows, stack, unstack and fill.
  static let memory: [OperationCase] = list {
    for count in [0, 1, 17, 1000, 600_001] {
      OperationCase("copy", "\(count)", tolerance: 1e-300) { bench in
        let x = bench.values(count)
        let y = try bench.output(count)
        bench.backend.copy(try bench.region(x), to: y, count: count)
        try bench.expect("y", y, x.map(Double.init))
      }
    }
    for count in [0, 1, 17, 1000, 600_001] {
      OperationCase("fill", "\(count)", tolerance: 1e-300) { bench in
        let y = try bench.output(count)
        bench.backend.fill(y, with: -1.25, count: count)
        try bench.expect("y", y, [Double](repeating: -1.25, count: count))
      }
    }
    for (rows, width) in [(0, 3), (1, 1), (5, 17), (130, 64), (700, 300)] {
      for accumulating in [false, true] {
        OperationCase(
          "copyRows", "\(rows)x\(width)" + (accumulating ? " adding" : ""), tolerance: 1e-6
        ) { bench in
          let (from, to) = (width + 2, width + 5)
          let x = bench.values(rows * from)
          let (y, old) = try bench.destination(rows * to, accumulating: accumulating)
          bench.backend.copyRows(
            try bench.region(x), stride: from, to: y, stride: to, rows: rows, width: width,
            accumulating: accumulating)
          // What lies between the rows stays as it was.
          let expected = (0..<rows * to).map { index in
            let (row, column) = (index / to, index % to)
            if column < width { return old[index] + Double(x[row * from + column]) }
            return accumulating ? old[index] : .nan
          }
          try bench.expect("y", y, expected)
        }
      }
    }
    for (steps, rows, width) in [
      (1, 3, 8), (2, 5, 3), (3, 4, 16), (9, 2, 40), (17, 1, 300), (3, 0, 4),
    ] {
      OperationCase("stack", "\(steps) of \(rows)x\(width)", tolerance: 1e-6) { bench in
        let values = (0..<steps).map { _ in bench.values(rows * width) }
        let stacked = try bench.output(steps * rows * width)
        bench.backend.stack(
          try values.map { try bench.region($0) }, into: stacked, rows: rows, width: width)
        var expected: [Double] = []
        for row in 0..<rows {
          for step in values { expected += step[row * width..<(row + 1) * width].map(Double.init) }
        }
        try bench.expect("stacked", stacked, expected)
      }
      OperationCase("unstack", "\(steps) of \(rows)x\(width)", tolerance: 1e-6) { bench in
        let x = bench.values(steps * rows * width)
        func step(_ index: Int) -> [Double] {
          var own: [Double] = []
          for row in 0..<rows {
            let first = (row * steps + index) * width
            own += x[first..<first + width].map(Double.init)
          }
          return own
        }
        // Some are assigned, some added to, some passed over.
        var targets: [(region: Region, old: [Double])?] = []
        for index in 0..<steps {
          let isWanted = index % 4 != 3
          targets.append(
            isWanted
              ? try bench.destination(rows * width, accumulating: index % 2 == 1) : nil)
        }
        var places: [(region: Region, accumulating: Bool)?] = []
        for (index, target) in targets.enumerated() {
          places.append(target.map { ($0.region, index % 2 == 1) })
        }
        bench.backend.unstack(try bench.region(x), into: places, rows: rows, width: width)
        for (index, target) in targets.enumerated() {
          guard let target else { continue }
          let expected = zip(target.old, step(index)).map { $0 + $1 }
          try bench.expect("step \(index)", target.region, expected)
        }
      }
    }
    OperationCase("upload", "and synchronize", tolerance: 1e-300) { bench in
      let x = bench.values(33)
      let region = try bench.output(40)
      x.withUnsafeBytes { bench.backend.upload($0, to: region.advanced(by: 3)) }
      bench.backend.upload(UnsafeRawBufferPointer(start: nil, count: 0), to: region)
      try bench.backend.synchronize()
      let nan = { [Double](repeating: .nan, count: $0) }
      try bench.expect("region", region, nan(3) + x.map(Double.init) + nan(4))
    }
  }
}

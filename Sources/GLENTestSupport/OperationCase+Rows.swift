import GLENTensor

/// Rows and widths: none, one, odd, and enough for several threads.
let rowExtents = [
  (0, 5), (1, 1), (1, 3), (5, 17), (3, 64), (130, 100), (257, 131), (2, 40_001),
]

extension OperationCase {
  /// The functions that go row by row.
  static let rows: [OperationCase] = list {
    for (rows, width) in rowExtents + [(70, 256), (5, 512), (67, 768), (3, 1024)] {
      let extents = "\(rows)x\(width)"
      let count = rows * width
      OperationCase("rmsNorm", extents) { bench in
        let (x, weight) = (bench.values(count), bench.values(width))
        let (y, inverse) = (try bench.output(count), try bench.output(rows))
        bench.backend.rmsNorm(
          try bench.region(x), weight: try bench.region(weight), epsilon: 1e-3, into: y,
          inverse: inverse, rows: rows, width: width)
        try bench.expect(
          "y", y,
          Reference.rmsNorm(
            x.map(Double.init), weight: weight.map(Double.init), epsilon: Double(Float(1e-3))))
        try bench.expect(
          "inverse", inverse,
          Reference.rows(x.map(Double.init), width: width).map {
            1 / (Reference.dot($0, $0) / Double(width) + 1e-3).squareRoot()
          })
      }
      OperationCase("rowDot", extents, tolerance: 3e-5) { bench in
        let (a, b) = (bench.values(count), bench.values(count))
        let out = try bench.output(rows)
        bench.backend.rowDot(
          try bench.region(a), try bench.region(b), into: out, rows: rows, width: width)
        try bench.expect("out", out, rowwise(a, b, width, Reference.dot))
      }
      OperationCase("cosineDistance", extents) { bench in
        var (a, b) = (bench.values(count), bench.values(count))
        // The first row of a and the last of b are zero.
        for index in 0..<min(width, count) {
          a[index] = 0
          b[count - 1 - index] = 0
        }
        let out = try bench.output(rows)
        bench.backend.cosineDistance(
          try bench.region(a), try bench.region(b), into: out, rows: rows, width: width)
        try bench.expect("out", out, rowwise(a, b, width, Reference.cosineDistance))
      }
      OperationCase("addMask", extents, tolerance: 1e-6) { bench in
        var mask = bench.values(width)
        mask[width / 2] = -.infinity
        let (x, old) = try bench.destination(count, accumulating: true)
        bench.backend.addMask(try bench.region(mask), to: x, rows: rows, width: width)
        try bench.expect("x", x, old.indices.map { old[$0] + Double(mask[$0 % width]) })
      }
      for accumulating in [false, true] {
        OperationCase(
          "rowScale", extents + (accumulating ? " adding" : ""), tolerance: 1e-6
        ) { bench in
          let (x, scale) = (bench.values(count), bench.values(rows))
          let (y, old) = try bench.destination(count, accumulating: accumulating)
          bench.backend.rowScale(
            try bench.region(x), by: try bench.region(scale), into: y, rows: rows, width: width,
            accumulating: accumulating)
          try bench.expect(
            "y", y, old.indices.map { old[$0] + Double(x[$0]) * Double(scale[$0 / width]) })
        }
        rmsNormBackward(rows, width, accumulating: accumulating, wantsWeight: true)
        rmsNormBackward(rows, width, accumulating: accumulating, wantsWeight: false)
      }
      for (addA, addB) in bothWays { cosineDistanceBackward(rows, width, addA, addB) }
    }
  }

  private static func rmsNormBackward(
    _ rows: Int, _ width: Int, accumulating: Bool, wantsWeight: Bool
  ) -> OperationCase {
    OperationCase(
      "rmsNormBackward",
      "\(rows)x\(width)" + (accumulating ? " adding" : "") + (wantsWeight ? "" : " without weight"),
      tolerance: 3e-5
    ) { bench in
      let count = rows * width
      let (x, dy, weight) = (bench.values(count), bench.values(count), bench.values(width))
      let inverse = Reference.rows(x.map(Double.init), width: width).map {
        1 / (Reference.dot($0, $0) / Double(width) + 1e-3).squareRoot()
      }
      let (dx, old) = try bench.destination(count, accumulating: accumulating)
      let (dWeight, oldWeight) = try bench.destination(width, accumulating: true)
      bench.backend.rmsNormBackward(
        x: try bench.region(x), weight: try bench.region(weight),
        inverse: try bench.region(inverse.map(Float.init)), dy: try bench.region(dy), dx: dx,
        dWeight: wantsWeight ? dWeight : nil, rows: rows, width: width,
        accumulating: accumulating)
      var expected = old
      var expectedWeight = oldWeight
      for row in 0..<rows {
        let scale = inverse[row]
        let here = row * width..<(row + 1) * width
        let g = here.map { Double(dy[$0]) * Double(weight[$0 % width]) }
        let mean = Reference.dot(g, here.map { Double(x[$0]) }) / Double(width)
        for index in here {
          expected[index] +=
            scale * g[index - here.lowerBound] - Double(x[index]) * scale * scale * scale * mean
          if wantsWeight {
            expectedWeight[index % width] += Double(dy[index]) * Double(x[index]) * scale
          }
        }
      }
      try bench.expect("dx", dx, expected)
      try bench.expect("dWeight", dWeight, expectedWeight)
    }
  }

  private static func cosineDistanceBackward(
    _ rows: Int, _ width: Int, _ addA: Bool, _ addB: Bool
  ) -> OperationCase {
    OperationCase("cosineDistanceBackward", "\(rows)x\(width) adding \(addA) \(addB)") { bench in
      let count = rows * width
      let (a, b, dOut) = (bench.values(count), bench.values(count), bench.values(rows))
      let (dA, oldA) = try bench.destination(count, accumulating: addA)
      let (dB, oldB) = try bench.destination(count, accumulating: addB)
      bench.backend.cosineDistanceBackward(
        try bench.region(a), try bench.region(b), dOut: try bench.region(dOut), dA: dA, dB: dB,
        rows: rows, width: width, accumulatingA: addA, accumulatingB: addB)
      func gradient(_ a: [Float], _ b: [Float], _ old: [Double]) -> [Double] {
        zip(
          Reference.rows(a.map(Double.init), width: width),
          Reference.rows(b.map(Double.init), width: width)
        ).enumerated().flatMap { row, pair -> [Double] in
          let (u, v) = pair
          let (uu, vv) = (Reference.dot(u, u), Reference.dot(v, v))
          let cosine = Reference.cosine(u, v)
          return zip(u.indices, zip(u, v)).map { index, values in
            old[index] + Double(dOut[row])
              * (cosine * values.0 / uu - values.1 / (uu * vv).squareRoot())
          }
        }
      }
      try bench.expect("dA", dA, gradient(a, b, oldA))
      try bench.expect("dB", dB, gradient(b, a, oldB))
    }
  }

  private static func rowwise(
    _ a: [Float], _ b: [Float], _ width: Int,
    _ f: (ArraySlice<Double>, ArraySlice<Double>) -> Double
  ) -> [Double] {
    zip(
      Reference.rows(a.map(Double.init), width: width),
      Reference.rows(b.map(Double.init), width: width)
    ).map(f)
  }
}

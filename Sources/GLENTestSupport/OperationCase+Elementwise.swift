import GLENTensor

extension OperationCase {
  /// Whether the first and the second gradient are added to.
  static let bothWays = [(false, false), (false, true), (true, false), (true, true)]

  private static let counts = [0, 1, 3, 17, 64, 100, 1000, 100_003]

  /// The elementwise functions, forward and backward.
  static let elementwise: [OperationCase] = list {
    for count in counts {
      OperationCase("addScaled", "\(count)", tolerance: 1e-6) { bench in
        let x = bench.values(count)
        let (y, old) = try bench.destination(count, accumulating: true)
        bench.backend.addScaled(try bench.region(x), scale: -0.75, to: y, count: count)
        try bench.expect("y", y, zip(x, old).map { -0.75 * Double($0) + $1 })
      }
      OperationCase("scale", "\(count)", tolerance: 1e-6) { bench in
        let x = bench.values(count)
        let y = try bench.output(count)
        bench.backend.scale(try bench.region(x), by: 1.5, into: y, count: count)
        try bench.expect("y", y, x.map { 1.5 * Double($0) })
      }
      OperationCase("relu", "\(count)", tolerance: 1e-300) { bench in
        let x = bench.values(count)
        let y = try bench.output(count)
        bench.backend.relu(try bench.region(x), into: y, count: count)
        try bench.expect("y", y, x.map { max(Double($0), 0) })
      }
      OperationCase("gatedGELU", "\(count)", tolerance: 1e-6) { bench in
        let (gate, up) = (bench.values(count, in: -8...8), bench.values(count))
        let y = try bench.output(count)
        bench.backend.gatedGELU(
          gate: try bench.region(gate), up: try bench.region(up), into: y, count: count)
        try bench.expect(
          "y", y, zip(gate, up).map { Reference.gelu(Double($0)) * Double($1) })
      }
      for accumulating in [false, true] {
        OperationCase(
          "reluBackward", "\(count)" + (accumulating ? " adding" : ""), tolerance: 1e-6
        ) { bench in
          let (y, dy) = (bench.values(count), bench.values(count))
          let (dx, old) = try bench.destination(count, accumulating: accumulating)
          bench.backend.reluBackward(
            y: try bench.region(y), dy: try bench.region(dy), dx: dx, count: count,
            accumulating: accumulating)
          try bench.expect(
            "dx", dx, (0..<count).map { old[$0] + (y[$0] > 0 ? Double(dy[$0]) : 0) })
        }
      }
      for (addGate, addUp) in bothWays {
        OperationCase(
          "gatedGELUBackward", "\(count) adding \(addGate) \(addUp)", tolerance: 1e-5
        ) { bench in
          let (gate, up) = (bench.values(count, in: -8...8), bench.values(count))
          let dy = bench.values(count)
          let (dGate, oldGate) = try bench.destination(count, accumulating: addGate)
          let (dUp, oldUp) = try bench.destination(count, accumulating: addUp)
          bench.backend.gatedGELUBackward(
            gate: try bench.region(gate), up: try bench.region(up), dy: try bench.region(dy),
            dGate: dGate, dUp: dUp, count: count, accumulatingGate: addGate,
            accumulatingUp: addUp)
          var (wantedGate, wantedUp) = (oldGate, oldUp)
          for i in 0..<count {
            let (x, seed) = (Double(gate[i]), Double(dy[i]))
            wantedGate[i] += seed * Double(up[i]) * Reference.geluSlope(x)
            wantedUp[i] += seed * Reference.gelu(x)
          }
          try bench.expect("dGate", dGate, wantedGate)
          try bench.expect("dUp", dUp, wantedUp)
        }
      }
      for accumulating in [false, true] {
        for (rate, first) in [(0.1, 0), (0.5, 0), (0.5, 6), (0.3, 1_000_003)] as [(Float, Int)] {
          OperationCase(
            "dropout", "\(count) rate \(rate) from \(first)" + (accumulating ? " adding" : ""),
            tolerance: 1e-6
          ) { bench in
            let key = RandomKey(seed: 0x1234_5678_9ABC_DEF0, stream: 0xFEDC_BA98_7654_3210)
            let x = bench.values(count)
            let (y, old) = try bench.destination(count, accumulating: accumulating)
            bench.backend.dropout(
              try bench.region(x), rate: rate, key: key, first: first, into: y, count: count,
              accumulating: accumulating)
            try bench.expect(
              "y", y,
              (0..<count).map {
                old[$0] + Double(x[$0])
                  * Reference.dropoutFactor(first + $0, rate: rate, key: key)
              })
          }
        }
      }
    }
  }
}

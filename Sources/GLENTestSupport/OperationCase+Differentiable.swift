import GLENTensor

/// An input of a differentiable case.
struct CaseInput: Sendable {
  var shape: [Int]
  var range: ClosedRange<Float> = -1...1
  /// Values nearer to zero than this are moved away from it (kinks).
  var margin: Float = 0
}

extension OperationCase {
  /// A differentiable operation, held against its reference: the values; the gradients of all
  /// inputs against central differences of the reference; and the same with the operation used
  /// twice in one computation, so that each gradient is added to one that is there already.
  ///
  /// Memory that the backend hands out again is filled with NaN first.
  static func differentiable(
    _ name: String, _ extents: String, tolerance: Double = 2e-5, gradientStep: Double = 1e-4,
    samples: Int = 24, inputs: [CaseInput],
    _ apply: @escaping @Sendable ([Tensor]) throws -> [Tensor],
    reference: @escaping @Sendable ([[Double]]) -> [[Double]]
  ) -> OperationCase {
    OperationCase(name, extents, tolerance: tolerance, gradientStep: gradientStep) { bench in
      let backend = bench.backend
      let values = inputs.map { input in
        bench.values(count(input.shape), in: input.range).map {
          abs($0) < input.margin ? $0 + (input.margin * ($0 < 0 ? -2 : 2)) : $0
        }
      }
      let tensors = try zip(inputs, values).map {
        try Tensor($1, shape: $0.shape, on: backend)
      }
      let wide = values.map { $0.map(Double.init) }
      let expected = reference(wide)

      try poison(inputs.map(\.shape), on: backend)
      let plain = try apply(tensors)
      for (index, (value, wanted)) in zip(plain, expected).enumerated() {
        bench.expect("value \(index)", try value.values(), wanted)
      }

      // How each output changes with a sampled element of each input.
      let places = wide.map { bench.places(samples, of: $0.count) }
      let changes = wide.indices.map { input in
        places[input].map { place in
          let ends = [gradientStep, -gradientStep].map { step in
            var moved = wide
            moved[input][place] += step
            return reference(moved)
          }
          return zip(ends[0], ends[1]).map { zip($0, $1).map { ($0 - $1) / (2 * gradientStep) } }
        }
      }
      for uses in [1, 2] {
        try poison(inputs.map(\.shape) + plain.map(\.shape), on: backend)
        let (outputs, pullback) = try valueWithPullback(of: tensors) { tracked in
          try (0..<uses).flatMap { _ in try apply(tracked) }
        }
        for (index, output) in outputs.enumerated() {
          bench.expect(
            "tracked value \(index)", try output.values(), expected[index % expected.count])
        }
        let seeds = outputs.map { bench.values($0.count) }
        try poison(inputs.map(\.shape) + plain.map(\.shape), on: backend)
        let gradients = try pullback(
          zip(seeds, outputs).map { try Tensor($0, shape: $1.shape, on: backend) })
        for input in wide.indices {
          let gradient = try gradients[String(input)]?.values()
          let wanted = changes[input].map { change in
            seeds.enumerated().reduce(0.0) { sum, seed in
              sum
                + zip(seed.element, change[seed.offset % change.count])
                .reduce(0.0) { $0 + Double($1.0) * $1.1 }
            }
          }
          bench.expect(
            "gradient of input \(input), \(uses) uses",
            places[input].map { gradient?[$0] ?? .nan }, wanted)
          // What was not sampled is at least a number.
          bench.expect(
            "not numbers in the gradient of input \(input)",
            [Float(gradient?.count { !$0.isFinite } ?? -1)], [0])
        }
      }
    }
  }

  /// Fills memory with NaN and gives it back.
  private static func poison(_ shapes: [[Int]], on backend: any Backend) throws {
    var held: [Tensor] = []
    for shape in shapes {
      for _ in 0..<3 { held.append(try Tensor(repeating: .nan, shape: shape, on: backend)) }
    }
  }

  static func count(_ shape: [Int]) -> Int { shape.reduce(1, *) }
}

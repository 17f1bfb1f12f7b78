import Testing

@testable import GLENTensor

@Suite struct RecomputationTests {
  /// A layer with two weights and a branch, whose inside is larger than its result.
  private struct Layer: ParameterContainer, Sendable {
    var narrow: Tensor
    var wide: Tensor
    var shared: Tensor

    init(seed: Int) throws {
      func values(_ count: Int, _ place: Int) -> [Float] {
        (0..<count).map { Float(($0 * 7 + seed * 13 + place * 5) % 11) / 11 - 0.45 }
      }
      wide = try Tensor(values(256 * 4, 0), shape: [256, 4])
      narrow = try Tensor(values(4 * 256, 1), shape: [4, 256])
      shared = try Tensor(values(4, 2), shape: [4])
    }

    mutating func visitParameters(_ body: (String, inout Tensor) throws -> Void) rethrows {
      try body("wide", &wide)
      try body("narrow", &narrow)
    }

    func callAsFunction(_ x: Tensor, scale: Tensor) throws(TensorError) -> Tensor {
      let normed = try rmsNorm(x, weight: scale, epsilon: 1e-6)
      return try linear(relu(linear(normed, wide)), narrow, adding: x)
    }
  }

  private struct Stack: ParameterContainer, Sendable {
    var layers: [Layer]
    var scale: Tensor

    init(_ count: Int) throws {
      layers = try (0..<count).map { try Layer(seed: $0) }
      scale = try Tensor([1, 0.5, -0.7, 2], shape: [4])
    }

    mutating func visitParameters(_ body: (String, inout Tensor) throws -> Void) rethrows {
      for index in layers.indices {
        try layers[index].visitParameters { try body("\(index).\($0)", &$1) }
      }
      try body("scale", &scale)
    }

    func callAsFunction(_ x: Tensor, recomputing: Bool) throws -> Tensor {
      var x = x
      for layer in layers {
        guard recomputing else {
          x = try layer(x, scale: scale)
          continue
        }
        x = try recomputed(layer, [x, scale]) { layer, inputs throws(TensorError) in
          try layer(inputs[0], scale: inputs[1])
        }
      }
      return x
    }
  }

  private func input(rows: Int, on backend: any Backend = CPUBackend.shared) throws -> Tensor {
    try Tensor(
      (0..<rows * 4).map { Float($0 % 9) / 9 - 0.3 }, shape: [rows, 4], on: backend)
  }

  /// With 4,000 rows the inside of a layer is of the size that memory's gaps are given back from.
  @Test(arguments: [12, 4000])
  func gradientsAreThoseOfTheOrdinaryWayToTheBit(rows: Int) throws {
    let stack = try Stack(3)
    let x = try input(rows: rows)
    let seed = try input(rows: rows)
    func step(recomputing: Bool) throws -> (value: [Float], gradients: Gradients) {
      // The sum that is there already is added to.
      var sum = Gradients()
      sum["scale"] = try Tensor([1, 2, 3, 4], shape: [4])
      let (values, pullback) = try valueWithPullback(of: stack) {
        [try $0(x, recomputing: recomputing)]
      }
      try pullback([seed], addingTo: &sum)
      return (try values[0].values(), sum)
    }
    let (plain, again) = (try step(recomputing: false), try step(recomputing: true))
    #expect(plain.value == again.value)
    #expect(plain.gradients.tensors.count == 7)
    #expect(again.gradients.tensors.keys == plain.gradients.tensors.keys)
    for (name, gradient) in plain.gradients.tensors {
      #expect(try again.gradients[name]?.values() == gradient.values(), "\(name)")
    }
  }

  @Test func theInsideOfALayerIsNotKept() throws {
    func peak(recomputing: Bool) throws -> Int {
      let backend = CPUBackend(threadCount: 1)
      let stack = try Stack(8).moved(to: backend)
      let x = try input(rows: 2000, on: backend)
      let (_, pullback) = try valueWithPullback(of: stack) {
        [try $0(x, recomputing: recomputing)]
      }
      _ = try pullback([x])
      return backend.peakByteCount
    }
    // Of eight insides of 4 MB (before and after the ReLU) one is there at a time.
    #expect(try peak(recomputing: true) * 3 < peak(recomputing: false))
  }

  @Test func withoutATapeTheBodyJustRuns() throws {
    let stack = try Stack(2)
    let x = try input(rows: 3)
    #expect(try stack(x, recomputing: true).values() == stack(x, recomputing: false).values())
    #expect(try !stack(x, recomputing: true).isTracked)
  }

  @Test func constantsHaveNoGradients() throws {
    let layer = try Layer(seed: 1)
    let scale = try Tensor([1, 1, 1, 1], shape: [4])
    let x = try input(rows: 5)
    // Only the input is tracked: the layer's weights are constants.
    let (_, pullback) = try valueWithPullback(of: [x]) { tracked in
      [
        try recomputed(layer, [tracked[0], scale]) { layer, inputs throws(TensorError) in
          try layer(inputs[0], scale: inputs[1])
        }
      ]
    }
    let (_, ordinary) = try valueWithPullback(of: [x]) { [try layer($0[0], scale: scale)] }
    #expect(try pullback([x])["0"]?.values() == ordinary([x])["0"]?.values())
  }

  @Test func aTensorOfAnotherDifferentiationIsRefused() throws {
    let layer = try Layer(seed: 1)
    let x = try input(rows: 5)
    #expect(throws: TensorError.self) {
      try valueWithPullback(of: [x]) { outer in
        let (values, _) = try valueWithPullback(of: [x]) { inner in
          [
            try recomputed(layer, [inner[0], outer[0]]) { layer, inputs throws(TensorError) in
              try layer(inputs[0], scale: inputs[1])
            }
          ]
        }
        return values
      }
    }
  }
}

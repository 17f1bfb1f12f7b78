import GLENTensor
import Testing

@testable import GLENTraining

struct AdamWTests {
  /// Parameters with names, for groups.
  private struct Named: ParameterContainer {
    var parameters: [String: Tensor]

    mutating func visitParameters(_ body: (String, inout Tensor) throws -> Void) rethrows {
      for name in parameters.keys.sorted() {
        guard var tensor = parameters[name] else { continue }
        try body(name, &tensor)
        parameters[name] = tensor
      }
    }
  }

  private static let names = ["decoder.w", "encoder.layer_norm.weight", "w"]

  @Test func followsItsFormula() throws {
    var random = GLENTensor.SeededGenerator(RandomKey(seed: 1))
    func numbers() -> [Float] { (0..<37).map { _ in Float.random(in: -1...1, using: &random) } }
    var model = Named(parameters: [:])
    var expected: [String: [Double]] = [:]
    for name in Self.names {
      let values = numbers()
      model.parameters[name] = try Tensor(values, shape: [37])
      expected[name] = values.map(Double.init)
    }
    var first = expected.mapValues { $0.map { _ in 0.0 } }
    var second = first
    var optimizer = AdamW()
    optimizer.decay = 0.1
    func rate(_ name: String) -> Float { name.hasPrefix("decoder") ? 0.02 : 0.01 }
    for update in 1...6 {
      var gradients = Gradients()
      for name in Self.names {
        let values = numbers()
        gradients[name] = try Tensor(values, shape: [37])
        for (index, value) in values.enumerated() {
          let g = Double(value) * 0.5
          let m = 0.9 * (first[name]?[index] ?? 0) + 0.1 * g
          let v = 0.999 * (second[name]?[index] ?? 0) + 0.001 * g * g
          first[name]?[index] = m
          second[name]?[index] = v
          let step =
            m / (1 - power(0.9, update)) / ((v / (1 - power(0.999, update))).squareRoot() + 1e-8)
          let w = expected[name]?[index] ?? 0
          let decay = name.hasSuffix("norm.weight") ? 0 : 0.1
          expected[name]?[index] = w - Double(rate(name)) * (step + decay * w)
        }
      }
      try optimizer.update(&model, gradients, gradientScale: 0.5, rate: rate)
      #expect(optimizer.step == update)
    }
    for name in Self.names {
      let got = try model.parameters[name]?.values() ?? []
      let want = (expected[name] ?? []).map { Float($0) }
      #expect(relativeDifference(got, want) < 1e-5, "\(name)")
    }
  }

  private func power(_ base: Double, _ exponent: Int) -> Double {
    (0..<exponent).reduce(1) { product, _ in product * base }
  }

  @Test func aParameterWithoutGradientStays() throws {
    var model: [Tensor] = [try Tensor([1, 2], shape: [2]), try Tensor([3], shape: [1])]
    var gradients = Gradients()
    gradients["1"] = try Tensor([1], shape: [1])
    var optimizer = AdamW()
    try optimizer.update(&model, gradients) { _ in 0.1 }
    #expect(try model[0].values() == [1, 2])
    #expect(try model[1].values()[0] < 3)
  }

  /// Whoever holds the model from before an update still sees it.
  @Test func copiesAreNotTouched() throws {
    var model: [Tensor] = [try Tensor([1, 2], shape: [2])]
    let before = model
    var gradients = Gradients()
    gradients["0"] = try Tensor([1, 1], shape: [2])
    var optimizer = AdamW()
    try optimizer.update(&model, gradients) { _ in 0.1 }
    #expect(try before[0].values() == [1, 2])
    #expect(try model[0].values() != [1, 2])
  }
}

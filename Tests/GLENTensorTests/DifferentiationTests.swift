import Testing

@testable import GLENTensor

@Suite("Differentiation")
struct DifferentiationTests {
  @Test func seedsThatAreNilContributeNothing() throws {
    let x = try Tensor([1, 2, 3], shape: [3])
    let run = { (seeds: [Tensor?]) throws -> [Float]? in
      let (_, pullback) = try valueWithPullback(of: [x]) {
        [try scaled($0[0], by: 2), try scaled($0[0], by: 10)]
      }
      return try pullback(seeds)["0"]?.values()
    }
    let ones = try Tensor(repeating: 1, shape: [3])
    #expect(try run([ones, nil]) == [2, 2, 2])
    #expect(try run([nil, ones]) == [10, 10, 10])
    #expect(try run([ones, ones]) == [12, 12, 12])
    #expect(try run([nil, nil]) == nil)
  }

  @Test func aSeedIsNotWrittenTo() throws {
    let x = try Tensor([1, 2], shape: [2])
    let seed = try Tensor([5, 7], shape: [2])
    // The same seed for three values, of which two are the parameter itself: its memory is taken
    // over as the first gradient and then added to.
    let (_, pullback) = try valueWithPullback(of: [x]) {
      [$0[0], $0[0], try scaled($0[0], by: 3)]
    }
    let gradient = try pullback([seed, seed, seed])["0"]
    #expect(try gradient?.values() == [25, 35])
    #expect(try seed.values() == [5, 7])
  }

  @Test func theGradientIsApartFromItsSeed() throws {
    let x = try Tensor([1, 2], shape: [2])
    let seed = try Tensor([5, 7], shape: [2])
    let (_, pullback) = try valueWithPullback(of: [x]) { [try $0[0].reshaped(to: [1, 2])] }
    var gradients = try pullback([try seed.reshaped(to: [1, 2])])
    var other = Gradients()
    other["0"] = try Tensor([100, 100], shape: [2])
    try gradients.add(other)
    #expect(try gradients["0"]?.values() == [105, 107])
    #expect(try seed.values() == [5, 7])
  }

  /// Its memory is a quarter of what its shape says.
  @Test(arguments: LowPrecision.allCases)
  func lowPrecisionIsNoGradient(precision: LowPrecision) throws {
    let x = try Tensor(repeating: 0.5, shape: [64, 64])
    let packed = try x.packed(as: precision)
    func pullback() throws -> Pullback {
      try valueWithPullback(of: [x]) { [try scaled($0[0], by: 2)] }.pullback
    }
    #expect(throws: TensorError.self) { try pullback()([packed]) }
    var sum = Gradients()
    sum["0"] = packed
    #expect(throws: TensorError.self) { try pullback()([x], addingTo: &sum) }
    #expect(throws: TensorError.self) { try sum.norm() }
    var floats = Gradients()
    floats["0"] = x
    #expect(throws: TensorError.self) { try floats.add(sum) }
    #expect(throws: TensorError.self) { try sum.add(floats) }
    #expect(try floats["0"]?.values() == x.values())
  }

  @Test func aParameterWithoutInfluenceHasNoGradient() throws {
    let x = try Tensor([1], shape: [1])
    let (value, gradients) = try valueAndGradient(of: [x, x]) { try sum($0[1]) }
    #expect(try value.scalar() == 1)
    #expect(gradients["0"] == nil)
    #expect(try gradients["1"]?.values() == [1])
  }

  @Test func aConstantHasNoGradients() throws {
    let x = try Tensor([1], shape: [1])
    let (value, gradients) = try valueAndGradient(of: [x]) { _ in
      try Tensor(repeating: 4, shape: [])
    }
    #expect(try value.scalar() == 4)
    #expect(gradients.tensors.isEmpty)
  }

  @Test func valuesComeBackUntracked() throws {
    let x = try Tensor([1], shape: [1])
    let (values, _) = try valueWithPullback(of: [x]) { [$0[0], try scaled($0[0], by: 2)] }
    #expect(values.allSatisfy { !$0.isTracked })
  }

  @Test func nothingIsRecordedOutsideOfATape() throws {
    let x = try Tensor([1, 2], shape: [1, 2])
    let y = try linear(relu(x), x, adding: nil)
    #expect(!y.isTracked)
    // No pullback holds the operand: it is gone with its last name.
    weak var storage: Storage?
    let z = try {
      let operand = try scaled(x, by: 2)
      storage = operand.storage
      return try rmsNorm(operand, weight: Tensor([1, 1], shape: [2]), epsilon: 0)
    }()
    #expect(storage == nil)
    #expect(!z.isTracked)
  }

  @Test func thePullbackFreesWhatTheForwardKept() throws {
    let x = try Tensor([1, 2], shape: [1, 2])
    weak var kept: Storage?
    let (_, pullback) = try valueWithPullback(of: [x]) { model in
      let inner = try scaled(model[0], by: 2)
      kept = inner.storage
      return [try linear(inner, inner)]
    }
    #expect(kept != nil)
    _ = try pullback([Tensor([1], shape: [1, 1])])
    #expect(kept == nil)
  }

  @Test func aPullbackThatIsDroppedFreesEverything() throws {
    let x = try Tensor([1, 2], shape: [1, 2])
    weak var kept: Storage?
    weak var tape: Tape?
    do {
      let (values, _) = try valueWithPullback(of: [x]) { model in
        let inner = try scaled(model[0], by: 2)
        kept = inner.storage
        tape = inner.node?.tape
        return [try everyOperation(inner)]
      }
      #expect(values.count == 1)
    }
    #expect(kept == nil)
    #expect(tape == nil)
  }

  @Test func aBodyThatThrowsLeaksNothing() throws {
    let x = try Tensor([1, 2], shape: [1, 2])
    weak var kept: Storage?
    weak var tape: Tape?
    struct Stop: Error {}
    #expect(throws: Stop.self) {
      try valueWithPullback(of: [x]) { model in
        let inner = try scaled(model[0], by: 2)
        kept = inner.storage
        tape = inner.node?.tape
        _ = try everyOperation(inner)
        throw Stop()
      }
    }
    #expect(kept == nil)
    #expect(tape == nil)
  }

  /// Every operation that records something, on one tracked `[1, 2]` tensor.
  private func everyOperation(_ x: Tensor) throws -> Tensor {
    let one = try SequenceOffsets(lengths: [1])
    let flat = try x.reshaped(to: [2])
    var y = try add(x, scaled(relu(x), by: 2))
    y = try gatedGELU(gate: y, up: x)
    y = try dropout(y, DropoutMask(rate: 0.5, key: RandomKey(seed: 1)))
    y = try rmsNorm(y, weight: flat, epsilon: 1)
    y = try gather(stack([y, x]).reshaped(to: [2, 2]), rows: TokenIDs([1]))
    y = try linear(
      y, x.reshaped(to: [2, 1]).reshaped(to: [1, 2]), adding: rowDot(x, x).reshaped(to: [1, 1]))
    y = try add(y, cosineDistance(x, x).reshaped(to: [1, 1]))
    let bias = try RelativePositionBias(
      table: x.reshaped(to: [2, 1]), length: 1, isBidirectional: false, maximumDistance: 4)
    let attended = try attention(
      queries: x, keys: x, values: x, heads: 1, queryOffsets: one, keyOffsets: one, bias: bias)
    let pass = try identifierRepresentation(
      states: x, table: attended, scale: 1, temperature: 1, mask: rowDot(x, x))
    let losses = try [
      crossEntropy(states: x, table: pass.representations, scale: 1, targets: TokenIDs([0])),
      crossEntropy(logits: x, targets: TokenIDs([0])), sum(y),
    ]
    let again = try recomputed([flat], [x]) { part, inputs throws(TensorError) in
      try sum(rmsNorm(inputs[0], weight: part[0], epsilon: 1))
    }
    return try add(add(losses[0], losses[1]), add(losses[2], again))
  }

  @Test func aTapeOfManyStepsRunsWithoutRecursion() throws {
    let x = try Tensor([1], shape: [1])
    let (_, gradients) = try valueAndGradient(of: [x]) { model in
      var y = model[0]
      for _ in 0..<100_000 { y = try add(y, model[0]) }
      return y
    }
    #expect(try gradients["0"]?.values() == [100_001])
  }

  @Test func oneMayDifferentiateInsideADifferentiation() throws {
    let x = try Tensor([3], shape: [1])
    let (_, gradients) = try valueAndGradient(of: [x]) { outer in
      let (_, inner) = try valueAndGradient(of: [x]) { try scaled($0[0], by: 5) }
      return try scaled(outer[0], by: inner["0"]?.values()[0] ?? 0)
    }
    #expect(try gradients["0"]?.values() == [5])
  }

  @Test func aModelIsLeftUntracked() throws {
    let model = [try Tensor([3], shape: [1])]
    _ = try valueAndGradient(of: model) { try sum($0[0]) }
    #expect(!model[0].isTracked)
    #expect(model.parameterCount == 1)
    #expect(model.parameters.map(\.name) == ["0"])
  }

  @Test func gradientsAddAndHaveANorm() throws {
    var a = Gradients()
    a["x"] = try Tensor([1, 2], shape: [2])
    var b = a
    b["y"] = try Tensor([4], shape: [1])
    try a.add(b)
    #expect(try a["x"]?.values() == [2, 4])
    #expect(try a["y"]?.values() == [4])
    #expect(try a.norm() == 6)
    // Addends are values: what was added is as it was.
    #expect(try b["x"]?.values() == [1, 2])
  }

  @Test func aFailedAdditionLosesNothing() throws {
    var a = Gradients()
    a["x"] = try Tensor([1, 2], shape: [2])
    var b = Gradients()
    b["x"] = try Tensor([1], shape: [1])
    #expect(throws: TensorError.self) { try a.add(b) }
    #expect(try a["x"]?.values() == [1, 2])
  }

  // MARK: Sums of gradients

  /// Several ways back into one sum, which is added to in place.
  @Test func gradientsAreAddedToASum() throws {
    let (x, y) = (try Tensor([1, 2], shape: [2]), try Tensor([3, 4], shape: [2]))
    let seed = try Tensor([1, 10], shape: [2])
    var sum = Gradients()
    for factor in [2, 3] as [Float] {
      let (_, pullback) = try valueWithPullback(of: [x, y]) { [try scaled($0[0], by: factor)] }
      try pullback([seed], addingTo: &sum)
    }
    #expect(try sum["0"]?.values() == [5, 50])
    #expect(sum["1"] == nil)
    let (_, pullback) = try valueWithPullback(of: [x, y]) { [try add($0[0], $0[1])] }
    let storage = try #require(sum["0"]).storage
    let before = ObjectIdentifier(storage)
    try pullback([seed], addingTo: &sum)
    #expect(try sum["0"]?.values() == [6, 60] && sum["1"]?.values() == [1, 10])
    // Held here too, so it was copied rather than written.
    #expect(try ObjectIdentifier(#require(sum["0"]).storage) != before)
    let inPlace = ObjectIdentifier(try #require(sum["0"]).storage)
    let (_, again) = try valueWithPullback(of: [x]) { [try scaled($0[0], by: 1)] }
    try again([seed], addingTo: &sum)
    #expect(ObjectIdentifier(try #require(sum["0"]).storage) == inPlace)
    #expect(try sum["0"]?.values() == [7, 70] && sum["1"]?.values() == [1, 10])
  }

  @Test func aSumOfOtherShapesIsRefused() throws {
    let x = try Tensor([1, 2], shape: [2])
    let (_, pullback) = try valueWithPullback(of: [x]) { [try scaled($0[0], by: 2)] }
    var sum = Gradients()
    sum["0"] = try Tensor([1, 2, 3], shape: [3])
    #expect(throws: TensorError.self) { try pullback([x], addingTo: &sum) }
    // Nothing was taken from it, and the pullback may still be called.
    #expect(try sum["0"]?.values() == [1, 2, 3])
    #expect(try pullback([x])["0"]?.values() == [2, 4])
  }

  /// In place where nobody sees it, on the way there and back.
  @Test func reluWritesOverWhatNobodyHas() throws {
    let x = try Tensor([-1, 2, -3, 4], shape: [4], on: CPUBackend.shared)
    let held = try relu(x)
    #expect(try x.values() == [-1, 2, -3, 4] && held.values() == [0, 2, 0, 4])
    #expect(held.storage !== x.storage)

    let address = ObjectIdentifier(held.storage)
    #expect(ObjectIdentifier(try relu(consume held).storage) == address)

    // x W + relu(x W) needs x W twice, and its gradient is that of both.
    let weight = try Tensor([1, 0, 0, 1], shape: [2, 2], on: CPUBackend.shared)
    let input = try Tensor([1, -1], shape: [1, 2], on: CPUBackend.shared)
    let (value, gradients) = try valueAndGradient(of: [weight]) {
      let product = try linear(input, $0[0])
      return try sum(add(product, relu(product)))
    }
    #expect(try value.scalar() == 1)
    #expect(try #require(gradients["0"]).values() == [2, -2, 1, -1])

    // A seed that somebody holds stays as it is.
    let seed = try Tensor([10, 20, 30, 40], shape: [4], on: CPUBackend.shared)
    let (_, pullback) = try valueWithPullback(of: [x]) { [try relu($0[0])] }
    #expect(try pullback([seed])["0"]?.values() == [0, 20, 0, 40])
    #expect(try seed.values() == [10, 20, 30, 40])
  }
}

import Testing

@testable import GLENTensor

@Suite("Means of two containers") struct MixingTests {
  /// Two parameters, or fewer, or under other names.
  private struct Pair: ParameterContainer {
    var names = ["a", "b"]
    var tensors: [Tensor]

    mutating func visitParameters(_ body: (String, inout Tensor) throws -> Void) rethrows {
      for index in names.indices { try body(names[index], &tensors[index]) }
    }
  }

  private static func pair(_ names: [String] = ["a", "b"], from first: Float) throws -> Pair {
    Pair(
      names: names,
      tensors: [
        try Tensor([first, -2, 0.3, 1e-3, 5, 7], shape: [2, 3]), try Tensor([first], shape: [1]),
      ])
  }

  private static func bits(_ pair: Pair) throws -> [[UInt32]] {
    try pair.parameters.map { try $0.tensor.values().map(\.bitPattern) }
  }

  @Test(arguments: [0.25, 0.5, 0.9] as [Float])
  func everyValueIsTheMean(share: Float) throws {
    let left = try Self.pair(from: 1)
    var right = try Self.pair(from: 3)
    right.tensors[0] = try Tensor([3, 8, -0.7, 0, 5, 1], shape: [2, 3])
    let mean = try left.mixed(with: right, share: share)
    #expect(mean.parameters.map(\.name) == ["a", "b"])
    for index in 0..<2 {
      let expected = zip(try left.tensors[index].values(), try right.tensors[index].values()).map {
        (1 - Double(share)) * Double($0) + Double(share) * Double($1)
      }
      #expect(mean.tensors[index].shape == left.tensors[index].shape)
      for (value, expected) in zip(try mean.tensors[index].values(), expected) {
        #expect(abs(Double(value) - expected) < 1e-6, "\(value), not \(expected)")
      }
    }
  }

  @Test func theEndsAreTheContainersThemselves() throws {
    let (left, right) = (try Self.pair(from: 1), try Self.pair(from: 0.1))
    #expect(try Self.bits(left.mixed(with: right, share: 0)) == Self.bits(left))
    #expect(try Self.bits(left.mixed(with: right, share: 1)) == Self.bits(right))
  }

  @Test func parametersThatDoNotFitAreNamed() throws {
    let pair = try Self.pair(from: 1)
    func text(_ left: Pair, _ right: Pair) -> String {
      do {
        _ = try left.mixed(with: right, share: 0.5)
        return "nothing was thrown"
      } catch {
        return "\(error)"
      }
    }
    let other = try Self.pair(["a", "c"], from: 1)
    #expect(text(pair, other).contains("mixed: the other container has no parameter b there"))
    let fewer = try Self.pair(["a"], from: 1)
    #expect(text(pair, fewer).contains("mixed: the other container has no parameter b there"))
    #expect(text(fewer, pair).contains("mixed: only the other container has a parameter b"))
    var wider = pair
    wider.tensors[0] = try Tensor([1, 2], shape: [2])
    #expect(text(pair, wider).contains("the shapes do not fit; expected [2, 3], got [2]"))
  }
}

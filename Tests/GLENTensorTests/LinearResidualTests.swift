import GLENTensor
import Testing

@Suite("A residual that nobody else has")
struct LinearResidualTests {
  private let weight: Tensor
  private let x: Tensor

  init() throws {
    weight = try Tensor([1, 2, 3, 4], shape: [2, 2])
    x = try Tensor([1, 10], shape: [1, 2])
  }

  @Test func isTaken() throws {
    var residual: Tensor = try Tensor([100, 200], shape: [1, 2])
    let address = residual.storage.address
    residual = try linear(x, weight, adding: consume residual)
    #expect(residual.storage.address == address)
    #expect(try residual.values() == [121, 243])
  }

  @Test func isCopiedWhereSomebodyElseHasIt() throws {
    let residual = try Tensor([100, 200], shape: [1, 2])
    let y = try linear(x, weight, adding: residual)
    #expect(try y.values() == [121, 243])
    #expect(try residual.values() == [100, 200])
  }

  private struct Residual: ParameterContainer {
    var tensor: Tensor

    mutating func visitParameters(_ body: (String, inout Tensor) throws -> Void) rethrows {
      try body("residual", &tensor)
    }
  }

  @Test func isCopiedWhereItIsDifferentiated() throws {
    let model = Residual(tensor: try Tensor([100, 200], shape: [1, 2]))
    let (values, pullback) = try valueWithPullback(of: model) {
      [try linear(x, weight, adding: $0.tensor)]
    }
    #expect(try values[0].values() == [121, 243])
    #expect(try model.tensor.values() == [100, 200])
    _ = pullback
  }
}

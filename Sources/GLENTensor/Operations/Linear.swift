/// What of a linear layer may be left in the precision of products' factors, on a backend that has
/// such: what only products, activations, attention and norms' gradients read, for which that is enough.
public struct Roundable: OptionSet, Sendable {
  /// The bits.
  public let rawValue: Int

  /// The set of the given bits.
  public init(rawValue: Int) { self.rawValue = rawValue }

  /// The result; one that a residual is part of is not rounded.
  public static let result = Roundable(rawValue: 1)
  /// The gradient of the input, where it is not added to another's.
  public static let inputGradient = Roundable(rawValue: 2)
}

/// y = scale x Wᵀ + residual.
///
/// x is `[..., inputs]`, the weight `[outputs, inputs]`, y and the residual `[..., outputs]`. Any
/// two matrices with rows of equal width can be multiplied so. Where nothing is tracked, the weight may
/// be of low precision.
///
/// - Throws: `TensorError.shapeMismatch`, `.invalidArgument`, `.backendMismatch`, `.outOfMemory`.
public func linear(
  _ x: Tensor, _ weight: Tensor, adding residual: consuming Tensor? = nil, scale: Float = 1,
  rounding: Roundable = []
) throws(TensorError) -> Tensor {
  var residual = consume residual
  let tape = try Operation.tape("linear", x, residual, weight: weight)
  try Operation.require(
    weight.shape.count == 2 && x.width == weight.width, "linear",
    expected: "[..., k] and [n, k]", got: "\(x.shape) and \(weight.shape)")
  let (rows, inputs, outputs) = (x.rows, weight.shape[1], weight.shape[0])
  let shape = Array(x.shape.dropLast()) + [outputs]
  let residualInput = tape == nil ? nil : residual.map(Input.init)
  let (y, beta): (Tensor, Float)
  if let given = residual.take() {
    try Operation.require(
      given.shape == shape, "linear", expected: "a residual of \(shape)", got: "\(given.shape)")
    (y, beta) = (try (consume given).takenOrCopied(), 1)
  } else {
    (y, beta) = (try Tensor(unset: shape, on: x.backend), 0)
  }
  Operation.product(
    rows: rows, x.region, weight, into: y.region, alpha: scale, beta: beta,
    isRoundable: rounding.contains(.result))

  guard let tape else { return y }
  let (xInput, weightInput) = (Input(x), Input(weight))
  let (x, weight) = (x.detached, weight.detached)
  return tape.record(y) { (gradients, dy) throws(TensorError) in
    let backend = dy.backend
    if let (dx, accumulating) = try gradients.destination(for: xInput, on: backend) {
      backend.matrixProduct(
        MatrixProduct(
          m: rows, n: inputs, k: outputs, a: dy.region, b: weight.region, c: dx, alpha: scale,
          beta: accumulating ? 1 : 0, isRoundable: rounding.contains(.inputGradient)))
    }
    if let (dWeight, accumulating) = try gradients.destination(for: weightInput, on: backend) {
      backend.matrixProduct(
        MatrixProduct(
          m: outputs, n: inputs, k: rows, a: dy.region, b: x.region, c: dWeight, transposeA: true,
          alpha: scale, beta: accumulating ? 1 : 0))
    }
    if let residualInput { try gradients.add(dy, to: residualInput) }
  }
}

extension Tensor {
  /// The same values where they may be written: this tensor's own memory if nobody else has it, else a
  /// copy.
  fileprivate consuming func takenOrCopied() throws(TensorError) -> Tensor {
    var own = consume self
    if own.node == nil, own.packed == nil, own.isSole { return own }
    let copy = try Tensor(unset: own.shape, on: own.backend)
    copy.backend.copy(own.region, to: copy.region, count: copy.count)
    return copy
  }
}

extension Operation {
  /// y = alpha x Wᵀ + beta y for `rows` rows, in the weight's precision.
  static func product(
    rows: Int, _ x: Region, _ weight: Tensor, into y: Region, alpha: Float, beta: Float = 0,
    isRoundable: Bool = false
  ) {
    if let packed = weight.packed {
      packed.backend.packedProduct(rows: rows, x, packed, into: y, alpha: alpha, beta: beta)
    } else {
      weight.backend.matrixProduct(
        MatrixProduct(
          m: rows, n: weight.shape[0], k: weight.shape[1], a: x, b: weight.region, c: y,
          transposeB: true, alpha: alpha, beta: beta, isRoundable: isRoundable))
    }
  }
}

/// Each head's part of x times the head's rows of the weight: y[r, h] = x[r, h] W[h].
///
/// x is `[rows, heads × d]`, the weight `[heads × d, width]` and y `[rows × heads, width]`, the heads
/// of a row one after the other. It takes queries to where the inputs of keys are, because
/// q · (W x) = (q W) · x.
///
/// - Throws: `TensorError.shapeMismatch`, `.backendMismatch`, `.outOfMemory`.
public func spreadHeads(_ x: Tensor, _ weight: Tensor, heads: Int) throws(TensorError) -> Tensor {
  let tape = try Operation.tape("spreadHeads", x, weight)
  let e = try HeadExtents("spreadHeads", weight, heads: heads, rows: x.rows)
  try Operation.require(
    x.width == e.inner, "spreadHeads", expected: "[..., \(e.inner)]", got: "\(x.shape)")
  let y = try Tensor(unset: [e.rows * heads, e.width], on: x.backend)
  y.backend.matrixProducts(
    e.batch(
      m: e.rows, n: e.width, k: e.headWidth, e.narrow(x.region), e.weight(weight.region),
      e.wide(y.region)))

  guard let tape else { return y }
  let (xInput, weightInput) = (Input(x), Input(Operation.apart(weight, from: x)))
  let (x, weight) = (x.detached, weight.detached)
  return tape.record(y) { (gradients, dy) throws(TensorError) in
    let backend = dy.backend
    if let (dx, accumulating) = try gradients.destination(for: xInput, on: backend) {
      backend.matrixProducts(
        e.batch(
          m: e.rows, n: e.headWidth, k: e.width, e.wide(dy.region), e.weight(weight.region),
          e.narrow(dx), transposeB: true, accumulating: accumulating))
    }
    if let (dWeight, accumulating) = try gradients.destination(for: weightInput, on: backend) {
      backend.matrixProducts(
        e.batch(
          m: e.headWidth, n: e.width, k: e.rows, e.narrow(x.region), e.wide(dy.region),
          e.weight(dWeight),
          transposeA: true, accumulating: accumulating))
    }
  }
}

/// Each head's row of x times the transpose of the head's rows of the weight: y[r, h] = x[r, h] W[h]ᵀ.
///
/// x is `[rows × heads, width]`, the weight `[heads × d, width]` and y `[rows, heads × d]`. It takes
/// sums of inputs to sums of values, because Σ p (W x) = W (Σ p x).
///
/// - Throws: `TensorError.shapeMismatch`, `.backendMismatch`, `.outOfMemory`.
public func joinHeads(_ x: Tensor, _ weight: Tensor, heads: Int) throws(TensorError) -> Tensor {
  let tape = try Operation.tape("joinHeads", x, weight)
  let e = try HeadExtents("joinHeads", weight, heads: heads, rows: x.rows / max(heads, 1))
  try Operation.require(
    x.width == e.width && x.rows == e.rows * heads, "joinHeads",
    expected: "[rows × \(heads), \(e.width)]", got: "\(x.shape)")
  let y = try Tensor(unset: [e.rows, e.inner], on: x.backend)
  y.backend.matrixProducts(
    e.batch(
      m: e.rows, n: e.headWidth, k: e.width, e.wide(x.region), e.weight(weight.region),
      e.narrow(y.region),
      transposeB: true))

  guard let tape else { return y }
  let (xInput, weightInput) = (Input(x), Input(Operation.apart(weight, from: x)))
  let (x, weight) = (x.detached, weight.detached)
  return tape.record(y) { (gradients, dy) throws(TensorError) in
    let backend = dy.backend
    if let (dx, accumulating) = try gradients.destination(for: xInput, on: backend) {
      backend.matrixProducts(
        e.batch(
          m: e.rows, n: e.width, k: e.headWidth, e.narrow(dy.region), e.weight(weight.region),
          e.wide(dx),
          accumulating: accumulating))
    }
    if let (dWeight, accumulating) = try gradients.destination(for: weightInput, on: backend) {
      backend.matrixProducts(
        e.batch(
          m: e.headWidth, n: e.width, k: e.rows, e.narrow(dy.region), e.wide(x.region),
          e.weight(dWeight),
          transposeA: true, accumulating: accumulating))
    }
  }
}

/// The extents of both operations, and how their operands lie in memory head by head.
private struct HeadExtents: Sendable {
  let rows: Int, heads: Int, headWidth: Int, width: Int
  var inner: Int { heads * headWidth }

  init(
    _ operation: String, _ weight: Tensor, heads: Int, rows: Int
  ) throws(TensorError) {
    try Operation.require(
      weight.shape.count == 2 && heads > 0 && weight.shape[0] % heads == 0, operation,
      expected: "a weight [\(heads) × d, width]", got: "\(weight.shape)")
    (self.rows, self.heads) = (rows, heads)
    (headWidth, width) = (weight.shape[0] / heads, weight.shape[1])
  }

  /// `[rows, heads × d]`.
  func narrow(_ region: Region) -> MatrixProductBatch.Matrices {
    .init(region, stride: inner, step: headWidth)
  }

  /// `[rows × heads, width]`.
  func wide(_ region: Region) -> MatrixProductBatch.Matrices {
    .init(region, stride: heads * width, step: width)
  }

  /// `[heads × d, width]`.
  func weight(_ region: Region) -> MatrixProductBatch.Matrices {
    .init(region, stride: width, step: headWidth * width)
  }

  func batch(
    m: Int, n: Int, k: Int, _ a: MatrixProductBatch.Matrices, _ b: MatrixProductBatch.Matrices,
    _ c: MatrixProductBatch.Matrices, transposeA: Bool = false, transposeB: Bool = false,
    accumulating: Bool = false
  ) -> MatrixProductBatch {
    MatrixProductBatch(
      count: heads, m: m, n: n, k: k, a: a, b: b, c: c, transposeA: transposeA,
      transposeB: transposeB, beta: accumulating ? 1 : 0)
  }
}

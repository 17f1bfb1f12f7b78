/// y = x weight / √(mean(x²) + epsilon) for each row of the last dimension.
///
/// x is `[..., width]`, the weight `[width]`. Zhang and Sennrich, "Root Mean Square Layer
/// Normalization" (2019); T5's layer norm.
///
/// - Throws: `TensorError.shapeMismatch`, `.backendMismatch`, `.outOfMemory`.
public func rmsNorm(
  _ x: Tensor, weight: Tensor, epsilon: Float
) throws(TensorError) -> Tensor {
  let tape = try Operation.tape("rmsNorm", x, weight)
  try Operation.require(
    weight.shape == [x.width], "rmsNorm", expected: "a weight of [\(x.width)]",
    got: "\(weight.shape)")
  let (rows, width) = (x.rows, x.width)
  let y = try Tensor(unset: x.shape, on: x.backend)
  let inverse = try Tensor(unset: [rows], on: x.backend)
  y.backend.rmsNorm(
    x.region, weight: weight.region, epsilon: epsilon, into: y.region, inverse: inverse.region,
    rows: rows, width: width)

  guard let tape else { return y }
  let (xInput, weightInput) = (Input(x), Input(Operation.apart(weight, from: x)))
  let (x, weight) = (x.detached, weight.detached)
  return tape.record(y) { (gradients, dy) throws(TensorError) in
    let backend = dy.backend
    let dWeight = try gradients.summingDestination(for: weightInput, on: backend)
    var dx = try gradients.destination(for: xInput, on: backend)
    if dx == nil { dx = (try Tensor(unset: dy.shape, on: backend).region, false) }
    guard let dx else { return }
    backend.rmsNormBackward(
      x: x.region, weight: weight.region, inverse: inverse.region, dy: dy.region, dx: dx.region,
      dWeight: dWeight, rows: rows, width: width, accumulating: dx.accumulating)
  }
}

/// The softmax of each row of `[..., width]`; -infinity counts as probability 0.
///
/// - Throws: `TensorError.outOfMemory`.
public func softmax(_ x: Tensor) throws(TensorError) -> Tensor {
  let tape = try Operation.tape("softmax", x)
  let y = try Tensor(unset: x.shape, on: x.backend)
  y.backend.copy(x.region, to: y.region, count: y.count)
  y.backend.softmax(y.region, mask: nil, scale: 1, rows: y.rows, width: y.width)

  guard let tape else { return y }
  let input = Input(x)
  let result = y.detached
  return tape.record(y) { (gradients, dy) throws(TensorError) in
    let dx = try Tensor(unset: dy.shape, on: dy.backend)
    dx.backend.copy(dy.region, to: dx.region, count: dx.count)
    dx.backend.softmaxBackward(
      y: result.region, dy: dx.region, scale: 1, rows: dx.rows, width: dx.width)
    try gradients.add(dx, to: input)
  }
}

/// a + scale b, for tensors of one shape.
///
/// - Throws: `TensorError.shapeMismatch`, `.backendMismatch`, `.outOfMemory`.
public func add(
  _ a: Tensor, _ b: Tensor, scale: Float = 1
) throws(TensorError) -> Tensor {
  let tape = try Operation.tape("add", a, b)
  try Operation.require(
    a.shape == b.shape, "add", expected: "\(a.shape)", got: "\(b.shape)")
  let y = try Tensor(unset: a.shape, on: a.backend)
  y.backend.copy(a.region, to: y.region, count: y.count)
  y.backend.addScaled(b.region, scale: scale, to: y.region, count: y.count)

  guard let tape else { return y }
  let (aInput, bInput) = (Input(a), Input(b))
  return tape.record(y) { (gradients, dy) throws(TensorError) in
    try gradients.add(dy, scale: scale, to: bInput)
    try gradients.add(dy, to: aInput)
  }
}

/// scale x.
///
/// - Throws: `TensorError.outOfMemory`.
public func scaled(_ x: Tensor, by scale: Float) throws(TensorError) -> Tensor {
  let tape = try Operation.tape("scaled", x)
  let y = try Tensor(unset: x.shape, on: x.backend)
  y.backend.scale(x.region, by: scale, into: y.region, count: y.count)

  guard let tape else { return y }
  let input = Input(x)
  return tape.record(y) { (gradients, dy) throws(TensorError) in
    try gradients.add(dy, scale: scale, to: input)
  }
}

/// max(x, 0), in the memory of `x` if nobody else has it; its gradient likewise.
///
/// - Throws: `TensorError.outOfMemory`.
public func relu(_ x: consuming Tensor) throws(TensorError) -> Tensor {
  var x = consume x
  let tape = try Operation.tape("relu", x)
  // What computed x has no need of its values on the way back, or would hold them.
  let y = x.isSole ? x.detached : try Tensor(unset: x.shape, on: x.backend)
  y.backend.relu(x.region, into: y.region, count: y.count)

  guard let tape else { return y }
  let input = Input(x)
  return tape.record(y) { (gradients, dy: consuming Tensor) throws(TensorError) in
    if let (dx, accumulating) = try gradients.destination(for: input, replacing: &dy) {
      y.backend.reluBackward(
        y: y.region, dy: dy.region, dx: dx, count: y.count, accumulating: accumulating)
    }
  }
}

/// gelu(gate) up, elementwise, with gelu(x) = x/2 (1 + tanh(√(2/π) (x + 0.044715 x³))).
///
/// - Throws: `TensorError.shapeMismatch`, `.backendMismatch`, `.outOfMemory`.
public func gatedGELU(gate: Tensor, up: Tensor) throws(TensorError) -> Tensor {
  let tape = try Operation.tape("gatedGELU", gate, up)
  try Operation.require(
    gate.shape == up.shape, "gatedGELU", expected: "\(gate.shape)", got: "\(up.shape)")
  let y = try Tensor(unset: gate.shape, on: gate.backend)
  y.backend.gatedGELU(gate: gate.region, up: up.region, into: y.region, count: y.count)

  guard let tape else { return y }
  let (gateInput, upInput) = (Input(gate), Input(Operation.apart(up, from: gate)))
  let (gate, up) = (gate.detached, up.detached)
  return tape.record(y) { (gradients, dy) throws(TensorError) in
    // Both are wanted or neither: gate and up come from two products with the same input.
    let dGate = try gradients.destination(for: gateInput, on: dy.backend)
    let dUp = try gradients.destination(for: upInput, on: dy.backend)
    let unwanted = try dGate == nil || dUp == nil ? Tensor(unset: gate.shape, on: dy.backend) : nil
    guard let toGate = dGate?.region ?? unwanted?.region,
      let toUp = dUp?.region ?? unwanted?.region
    else { return }
    dy.backend.gatedGELUBackward(
      gate: gate.region, up: up.region, dy: dy.region, dGate: toGate, dUp: toUp, count: dy.count,
      accumulatingGate: dGate?.accumulating ?? false, accumulatingUp: dUp?.accumulating ?? false)
  }
}

/// Dropout: each element is kept with probability 1 - rate and then divided by it.
///
/// The mask follows from the key and the element's position; the backward makes it again. Rate 0
/// returns `x` itself.
///
/// - Throws: `TensorError.invalidArgument` for a rate outside 0 ..< 1, `.outOfMemory`.
public func dropout(_ x: Tensor, _ mask: DropoutMask) throws(TensorError) -> Tensor {
  let (rate, key, first) = (mask.rate, mask.key, mask.firstRow * x.width)
  if rate == 0 { return x }
  guard rate > 0, rate < 1 else {
    throw .invalidArgument(
      operation: "dropout", reason: "the rate is \(rate); expected 0 or more and below 1")
  }
  let tape = try Operation.tape("dropout", x)
  let y = try Tensor(unset: x.shape, on: x.backend)
  y.backend.dropout(
    x.region, rate: rate, key: key, first: first, into: y.region, count: y.count,
    accumulating: false)

  guard let tape else { return y }
  let input = Input(x)
  return tape.record(y) { (gradients, dy) throws(TensorError) in
    if let (dx, accumulating) = try gradients.destination(for: input, on: dy.backend) {
      dy.backend.dropout(
        dy.region, rate: rate, key: key, first: first, into: dx, count: dy.count,
        accumulating: accumulating)
    }
  }
}

/// The sum of all elements, times `scale`; a scalar.
///
/// - Throws: `TensorError.outOfMemory`.
public func sum(_ x: Tensor, scale: Float = 1) throws(TensorError) -> Tensor {
  let tape = try Operation.tape("sum", x)
  let y = try Tensor(unset: [], on: x.backend)
  y.backend.sum(x.region, scale: scale, into: y.region, count: x.count)

  guard let tape else { return y }
  let input = Input(x)
  let count = x.count
  return tape.record(y) { (gradients, dy) throws(TensorError) in
    guard let dx = try gradients.summingDestination(for: input, on: dy.backend) else { return }
    // dx += scale dy for every element: a column of ones times the one number.
    let ones = try Tensor(repeating: scale, shape: [count], on: dy.backend)
    dy.backend.rowScale(
      ones.region, by: dy.region, into: dx, rows: 1, width: count, accumulating: true)
  }
}

extension Tensor {
  /// The same values with other extents.
  ///
  /// - Throws: `TensorError.shapeMismatch` if the number of elements differs.
  public func reshaped(to shape: [Int]) throws(TensorError) -> Tensor {
    try Operation.require(
      shape.isPossible && shape.product == count, "reshaped", expected: "\(count) elements",
      got: "\(shape)")
    if let precision { throw Operation.lowPrecision("reshaped", precision) }
    let y = Tensor(shape: shape, storage: storage)
    guard let node else { return y }
    let input = Input(self)
    return node.tape.record(y) { (gradients, dy) throws(TensorError) in
      try gradients.add(dy, to: input)
    }
  }
}

/// Rows of a table: y[i] = table[rows[i]].
///
/// The table is `[rows, width]`, y `[count, width]`. The embedding of token ids, and any other
/// choice of rows. The gradient of a row is the sum over its uses, in a fixed order.
///
/// - Throws: `TensorError.shapeMismatch`, `.invalidArgument` for a row that the table has not,
///   `.backendMismatch`, `.outOfMemory`.
public func gather(_ table: Tensor, rows: TokenIDs) throws(TensorError) -> Tensor {
  let tape = try Operation.tape("gather", weight: table)
  try Operation.require(
    table.shape.count == 2, "gather", expected: "a table [rows, width]", got: "\(table.shape)")
  try Operation.require(rows.storage, on: table.backend, "gather")
  guard rows.validCount == rows.count, rows.upperBound <= table.shape[0] else {
    throw .invalidArgument(
      operation: "gather", reason: "a row number lies outside the table's 0 ..< \(table.shape[0])")
  }
  let (count, width) = (rows.count, table.width)
  let y = try Tensor(unset: [count, width], on: table.backend)
  if let packed = table.packed {
    packed.backend.packedGather(packed, rows: rows.region, into: y.region, count: count)
    return y
  }
  y.backend.gather(table.region, rows: rows.region, into: y.region, count: count, width: width)

  guard let tape else { return y }
  let input = Input(table)
  return tape.record(y) { (gradients, dy) throws(TensorError) in
    if let dTable = try gradients.summingDestination(for: input, on: dy.backend) {
      dy.backend.scatterAdd(
        dy.region, rows: rows.region, into: dTable, count: count, width: width)
    }
  }
}

/// Puts the steps of a rollout side by side: y[b, t] = steps[t][b].
///
/// Each step is `[batch, width]`, y `[batch, steps, width]`.
///
/// - Throws: `TensorError.shapeMismatch`, `.invalidArgument` for no steps, `.outOfMemory`.
public func stack(_ steps: [Tensor]) throws(TensorError) -> Tensor {
  guard let first = steps.first else {
    throw .invalidArgument(operation: "stack", reason: "there are no steps")
  }
  let tape = try Operation.tape("stack", all: steps)
  for step in steps {
    try Operation.require(
      step.shape == first.shape && step.shape.count == 2, "stack",
      expected: "steps of \(first.shape)", got: "\(step.shape)")
  }
  let (batch, width, length) = (first.shape[0], first.width, steps.count)
  let y = try Tensor(unset: [batch, length, width], on: first.backend)
  y.backend.stack(steps.map(\.region), into: y.region, rows: batch, width: width)

  guard let tape else { return y }
  let inputs = steps.map(Input.init)
  return tape.record(y) { (gradients, dy) throws(TensorError) in
    let numbers = inputs.compactMap(\.number)
    let areApart = Set(numbers).count == numbers.count
    var targets = [(region: Region, accumulating: Bool)?](repeating: nil, count: length)
    for (index, input) in inputs.enumerated() {
      targets[index] = try gradients.destination(for: input, on: dy.backend)
      // A gradient that another step adds to must be there by then.
      if !areApart {
        dy.backend.unstack(dy.region, into: targets, rows: batch, width: width)
        targets[index] = nil
      }
    }
    if areApart { dy.backend.unstack(dy.region, into: targets, rows: batch, width: width) }
  }
}

/// Puts the rows of several tensors one after the other.
///
/// Each part is `[rows, ...]` with the same extents after the first; so is the result.
///
/// - Throws: `TensorError.shapeMismatch`, `.invalidArgument` for no parts, `.backendMismatch`,
///   `.outOfMemory`.
public func joined(_ parts: [Tensor]) throws(TensorError) -> Tensor {
  guard let first = parts.first else {
    throw .invalidArgument(operation: "joined", reason: "there are no parts")
  }
  let tape = try Operation.tape("joined", all: parts)
  for part in parts {
    try Operation.require(
      !part.shape.isEmpty && part.shape.dropFirst() == first.shape.dropFirst(), "joined",
      expected: "parts of rows \(first.shape.dropFirst())", got: "\(part.shape)")
  }
  let rows = parts.reduce(0) { $0 + $1.shape[0] }
  let y = try Tensor(unset: [rows] + first.shape.dropFirst(), on: first.backend)
  var offset = 0
  for part in parts {
    y.backend.copy(part.region, to: y.region.advanced(by: offset), count: part.count)
    offset += part.count
  }

  guard let tape else { return y }
  let inputs = parts.map(Input.init)
  return tape.record(y) { (gradients, dy) throws(TensorError) in
    var offset = 0
    for input in inputs {
      let count = input.shape.product
      if let (dx, accumulating) = try gradients.destination(for: input, on: dy.backend) {
        dy.backend.copyRows(
          dy.region.advanced(by: offset), stride: count, to: dx, stride: count, rows: 1,
          width: count, accumulating: accumulating)
      }
      offset += count
    }
  }
}

/// The dot product of each pair of rows: y[i] = a[i] · b[i].
///
/// a and b are `[rows, width]`, y `[rows]`.
///
/// - Throws: `TensorError.shapeMismatch`, `.backendMismatch`, `.outOfMemory`.
public func rowDot(_ a: Tensor, _ b: Tensor) throws(TensorError) -> Tensor {
  let tape = try Operation.tape("rowDot", a, b)
  try Operation.require(
    a.shape == b.shape && a.shape.count == 2, "rowDot", expected: "\(a.shape) twice",
    got: "\(b.shape)")
  let (rows, width) = (a.rows, a.width)
  let y = try Tensor(unset: [rows], on: a.backend)
  y.backend.rowDot(a.region, b.region, into: y.region, rows: rows, width: width)

  guard let tape else { return y }
  let (aInput, bInput) = (Input(a), Input(b))
  let (a, b) = (a.detached, b.detached)
  return tape.record(y) { (gradients, dy) throws(TensorError) in
    for (input, other) in [(aInput, b), (bInput, a)] {
      guard let (dx, accumulating) = try gradients.destination(for: input, on: dy.backend) else {
        continue
      }
      dy.backend.rowScale(
        other.region, by: dy.region, into: dx, rows: rows, width: width,
        accumulating: accumulating)
    }
  }
}

/// The cosine distance of each pair of rows: y[i] = 1 - cos(a[i], b[i]); 1 where a row is zero.
///
/// a and b are `[rows, width]`, y `[rows]`. The distance of Equation (7) of the paper.
///
/// - Throws: `TensorError.shapeMismatch`, `.backendMismatch`, `.outOfMemory`.
public func cosineDistance(_ a: Tensor, _ b: Tensor) throws(TensorError) -> Tensor {
  let tape = try Operation.tape("cosineDistance", a, b)
  try Operation.require(
    a.shape == b.shape && a.shape.count == 2, "cosineDistance", expected: "\(a.shape) twice",
    got: "\(b.shape)")
  let (rows, width) = (a.rows, a.width)
  let y = try Tensor(unset: [rows], on: a.backend)
  y.backend.cosineDistance(a.region, b.region, into: y.region, rows: rows, width: width)

  guard let tape else { return y }
  let (aInput, bInput) = (Input(a), Input(Operation.apart(b, from: a)))
  let (a, b) = (a.detached, b.detached)
  return tape.record(y) { (gradients, dy) throws(TensorError) in
    let backend = dy.backend
    let da = try gradients.destination(for: aInput, on: backend)
    let db = try gradients.destination(for: bInput, on: backend)
    let unwanted = try da == nil || db == nil ? Tensor(unset: a.shape, on: backend) : nil
    guard let toA = da?.region ?? unwanted?.region, let toB = db?.region ?? unwanted?.region
    else { return }
    backend.cosineDistanceBackward(
      a.region, b.region, dOut: dy.region, dA: toA, dB: toB, rows: rows, width: width,
      accumulatingA: da?.accumulating ?? false, accumulatingB: db?.accumulating ?? false)
  }
}

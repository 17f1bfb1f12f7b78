/// How many scores one chunk of a pass over the vocabulary may hold: 32 MB.
///
/// The vocabulary's score matrix `[states, V]` is the largest thing that GLEN computes and is never
/// held whole; rows are taken in chunks of this size.
let scoreChunkCount = 1 << 23

/// The mean cross-entropy of states against target tokens, through the tied table.
///
/// loss = mean over i of -log softmax(scale states[i] tableᵀ + mask)[targets[i]]. States are
/// `[count, width]`, the table `[V, width]`, the mask `[V]` with 0 and -infinity. Targets below 0
/// are left out of the mean. Equation (4) of the paper. Only a chunk of the `[count, V]` scores
/// exists at a time; gradients are made in the same pass while the chunk is at hand.
///
/// - Throws: `TensorError.shapeMismatch`, `.invalidArgument` for a target that the table has not,
///   `.backendMismatch`, `.outOfMemory`.
public func crossEntropy(
  states: Tensor, table: Tensor, scale: Float, targets: TokenIDs, mask: Tensor? = nil
) throws(TensorError) -> Tensor {
  try crossEntropy(
    states: states, table: table, scale: scale, targets: targets, mask: mask,
    scoresPerChunk: scoreChunkCount)
}

/// As above, with chunks of another size.
package func crossEntropy(
  states: Tensor, table: Tensor, scale: Float, targets: TokenIDs, mask: Tensor?,
  scoresPerChunk: Int
) throws(TensorError) -> Tensor {
  let tape = try Operation.tape("crossEntropy", states, table, mask)
  try Operation.require(
    table.shape.count == 2 && table.count > 0 && states.shape == [targets.count, table.width]
      && (mask == nil || mask?.shape == [table.shape[0]]),
    "crossEntropy", expected: "states [\(targets.count), m], a table [V, m], a mask [V]",
    got: "\(states.shape), \(table.shape), \(mask?.shape ?? [])")
  try requireTargets(targets, below: table.shape[0], on: states.backend)
  let backend = states.backend
  let (count, width, vocabulary) = (targets.count, table.width, table.shape[0])
  let losses = try Tensor(unset: [count], on: backend)
  let mean = 1 / Float(max(targets.validCount, 1))
  let dStates = try states.isTracked ? Tensor(unset: states.shape, on: backend) : nil
  let dTable = try table.isTracked ? Tensor(unset: table.shape, on: backend) : nil

  if let dTable, count == 0 { backend.fill(dTable.region, with: 0, count: dTable.count) }
  let chunk = min(max(scoresPerChunk / vocabulary, 1), max(count, 1))
  let logits = try Tensor(unset: [chunk, vocabulary], on: backend)
  for first in stride(from: 0, to: count, by: chunk) {
    let rows = min(chunk, count - first)
    let chunkStates = states.region.advanced(by: first * width)
    backend.matrixProduct(
      MatrixProduct(
        m: rows, n: vocabulary, k: width, a: chunkStates, b: table.region, c: logits.region,
        transposeB: true, alpha: scale))
    if let mask {
      backend.addMask(mask.region, to: logits.region, rows: rows, width: vocabulary)
    }
    backend.crossEntropy(
      logits.region, targets: targets.region.advanced(by: first), scale: mean,
      losses: losses.region.advanced(by: first), rows: rows, width: vocabulary)
    if let dStates {
      backend.matrixProduct(
        MatrixProduct(
          m: rows, n: width, k: vocabulary, a: logits.region, b: table.region,
          c: dStates.region.advanced(by: first * width), alpha: scale))
    }
    if let dTable {
      backend.matrixProduct(
        MatrixProduct(
          m: vocabulary, n: width, k: rows, a: logits.region, b: chunkStates, c: dTable.region,
          transposeA: true, alpha: scale, beta: first == 0 ? 0 : 1))
    }
  }
  let loss = try Tensor(unset: [], on: backend)
  backend.sum(losses.region, scale: mean, into: loss.region, count: count)

  guard let tape else { return loss }
  let inputs = [(Input(states), dStates), (Input(table), dTable)]
  return tape.record(loss) { (gradients, seed) throws(TensorError) in
    for case (let input, let gradient?) in inputs {
      try gradients.add(multiplied(gradient, by: seed), to: input)
    }
  }
}

/// The mean cross-entropy of rows of logits against their targets.
///
/// logits are `[count, classes]`. Equation (5) of the paper, with one row a query and one column a
/// document.
///
/// - Throws: `TensorError.shapeMismatch`, `.invalidArgument` for a target that is no class,
///   `.backendMismatch`, `.outOfMemory`.
public func crossEntropy(logits: Tensor, targets: TokenIDs) throws(TensorError) -> Tensor {
  let tape = try Operation.tape("crossEntropy", logits)
  try Operation.require(
    logits.shape.count == 2 && logits.shape[0] == targets.count, "crossEntropy",
    expected: "logits [\(targets.count), classes]", got: "\(logits.shape)")
  try requireTargets(targets, below: logits.width, on: logits.backend)
  let backend = logits.backend
  let (count, classes) = (targets.count, logits.width)
  let mean = 1 / Float(max(targets.validCount, 1))
  let dLogits = try Tensor(unset: logits.shape, on: backend)
  backend.copy(logits.region, to: dLogits.region, count: logits.count)
  let losses = try Tensor(unset: [count], on: backend)
  backend.crossEntropy(
    dLogits.region, targets: targets.region, scale: mean, losses: losses.region, rows: count,
    width: classes)
  let loss = try Tensor(unset: [], on: backend)
  backend.sum(losses.region, scale: mean, into: loss.region, count: count)

  guard let tape else { return loss }
  let input = Input(logits)
  return tape.record(loss) { (gradients, seed) throws(TensorError) in
    try gradients.add(multiplied(dLogits, by: seed), to: input)
  }
}

/// Throws unless the targets live on the backend and are classes that there are.
private func requireTargets(
  _ targets: TokenIDs, below classes: Int, on backend: any Backend
) throws(TensorError) {
  try Operation.require(targets.storage, on: backend, "crossEntropy")
  guard targets.upperBound <= classes else {
    throw .invalidArgument(
      operation: "crossEntropy",
      reason: "target \(targets.upperBound - 1) lies outside the classes 0 ..< \(classes)")
  }
}

/// A tensor times a scalar that lives on the device.
private func multiplied(_ x: Tensor, by scalar: Tensor) throws(TensorError) -> Tensor {
  let y = try Tensor(unset: x.shape, on: x.backend)
  y.backend.rowScale(
    x.region, by: scalar.region, into: y.region, rows: 1, width: x.count, accumulating: false)
  return y
}

/// What one pass of document states over the vocabulary gives.
public struct IdentifierPass: Sendable {
  /// r = softmax((scale states tableᵀ + mask) / temperature) table, `[count, width]`; differentiable.
  public let representations: Tensor
  /// The masked arg max of each state: the identifier's token.
  public let tokens: TokenIDs
  /// The arg max of each state without the mask.
  public let unmaskedTokens: TokenIDs
}

/// The identifier representations of document states: Equation (6) of the paper.
///
/// It is one attention head whose query is `scale state / temperature` and whose keys and values
/// are the table; scores exist for a chunk of states at a time, in the forward and again in the
/// backward. No gradient flows through the arg max.
///
/// Where a low temperature or the mask leaves a chunk's probabilities on few rows of the table, its products
/// take those alone: what the others would add to a state's r is less than rounding does.
///
/// - Parameters:
///   - states: `[count, width]`, unscaled.
///   - table: `[V, width]`.
///   - scale: the tied head's factor.
///   - temperature: τ, above 0.
///   - mask: `[V]`, -infinity for tokens that no identifier may have.
/// - Throws: `TensorError.shapeMismatch`, `.invalidArgument`, `.backendMismatch`, `.outOfMemory`.
public func identifierRepresentation(
  states: Tensor, table: Tensor, scale: Float, temperature: Float, mask: Tensor?
) throws(TensorError) -> IdentifierPass {
  try identifierRepresentation(
    states: states, table: table, scale: scale, temperature: temperature, mask: mask,
    scoresPerChunk: scoreChunkCount)
}

/// As above, with chunks of another size.
package func identifierRepresentation(
  states: Tensor, table: Tensor, scale: Float, temperature: Float, mask: Tensor?,
  scoresPerChunk: Int
) throws(TensorError) -> IdentifierPass {
  let tape = try Operation.tape("identifierRepresentation", states, table, mask)
  try Operation.require(
    table.shape.count == 2 && table.count > 0 && states.shape.count == 2
      && states.width == table.width && (mask == nil || mask?.shape == [table.shape[0]]),
    "identifierRepresentation", expected: "states [count, m], a table [V, m], a mask [V]",
    got: "\(states.shape), \(table.shape), \(mask?.shape ?? [])")
  guard temperature > 0, temperature.isFinite, (1 / temperature).isFinite else {
    throw .invalidArgument(
      operation: "identifierRepresentation",
      reason: "the temperature is \(temperature); expected a number above 0 with an inverse")
  }
  let backend = states.backend
  let scores = VocabularyScores(
    states: states.detached, table: table.detached, scale: scale, mask: mask?.detached,
    scoresPerChunk: scoresPerChunk)
  let representations = try Tensor(unset: states.shape, on: backend)
  let tokens = try TokenIDs(unset: states.rows, below: scores.vocabulary, on: backend)
  let unmaskedTokens = try TokenIDs(unset: states.rows, below: scores.vocabulary, on: backend)
  let values = try Tensor(unset: [states.rows], on: backend)
  let width = table.width
  try scores.forEachChunk { first, rows, chunk throws(TensorError) in
    backend.argMax(
      chunk.region, mask: mask?.region, indices: tokens.region.advanced(by: first),
      values: values.region, rows: rows, width: scores.vocabulary)
    backend.argMax(
      chunk.region, mask: nil, indices: unmaskedTokens.region.advanced(by: first),
      values: values.region, rows: rows, width: scores.vocabulary)
    backend.softmax(
      chunk.region, mask: mask?.region, scale: 1 / temperature, rows: rows,
      width: scores.vocabulary)
    let kept = try scores.rowsThatMatter(of: chunk, rows: rows)
    backend.matrixProduct(
      MatrixProduct(
        m: rows, n: width, k: kept.count, a: chunk.region, b: kept.table.region,
        c: representations.region.advanced(by: first * width)))
  }

  guard let tape else {
    return IdentifierPass(
      representations: representations, tokens: tokens, unmaskedTokens: unmaskedTokens)
  }
  let (statesInput, tableInput) = (Input(states), Input(Operation.apart(table, from: states)))
  let tracked = tape.record(representations) { (gradients, dr) throws(TensorError) in
    let dStates = try gradients.destination(for: statesInput, on: backend)
    let dTable = try gradients.summingDestination(for: tableInput, on: backend)
    try scores.addGradients(
      dr, temperature: temperature, dStates: dStates, dTable: dTable)
  }
  return IdentifierPass(
    representations: tracked, tokens: tokens, unmaskedTokens: unmaskedTokens)
}

/// The masked arg max of each state and its score: an identifier's tokens and weights.
///
/// States are `[count, width]`; the weights are those of Equation (9), unmasked logits at the
/// chosen tokens.
///
/// - Throws: `TensorError.shapeMismatch`, `.backendMismatch`, `.outOfMemory`.
public func bestTokens(
  states: Tensor, table: Tensor, scale: Float, mask: Tensor?
) throws(TensorError) -> (tokens: TokenIDs, weights: Tensor) {
  _ = try Operation.tape("bestTokens", states.detached, mask, weight: table.detached)
  try Operation.require(
    table.shape.count == 2 && table.count > 0 && states.shape.count == 2
      && states.width == table.width && (mask == nil || mask?.shape == [table.shape[0]]),
    "bestTokens", expected: "states [count, m], a table [V, m], a mask [V]",
    got: "\(states.shape), \(table.shape), \(mask?.shape ?? [])")
  let scores = VocabularyScores(
    states: states.detached, table: table.detached, scale: scale, mask: mask?.detached)
  let tokens = try TokenIDs(unset: states.rows, below: scores.vocabulary, on: states.backend)
  let weights = try Tensor(unset: [states.rows], on: states.backend)
  try scores.forEachChunk { first, rows, chunk throws(TensorError) in
    states.backend.argMax(
      chunk.region, mask: mask?.region, indices: tokens.region.advanced(by: first),
      values: weights.region.advanced(by: first), rows: rows, width: scores.vocabulary)
  }
  return (tokens, weights)
}

/// The scores of states against the whole vocabulary, a chunk of states at a time.
private struct VocabularyScores: Sendable {
  let states: Tensor
  let table: Tensor
  let scale: Float
  let mask: Tensor?
  var scoresPerChunk = scoreChunkCount
  var vocabulary: Int { table.shape[0] }
  private var chunk: Int { min(max(scoresPerChunk / vocabulary, 1), max(states.rows, 1)) }

  /// Calls `body` with the first state, the number of states and their scores `[rows, V]`, which it
  /// may overwrite.
  func forEachChunk(
    _ body: (Int, Int, Tensor) throws(TensorError) -> Void
  ) throws(TensorError) {
    let scores = try Tensor(unset: [chunk, vocabulary], on: states.backend)
    for first in stride(from: 0, to: states.rows, by: chunk) {
      let rows = min(chunk, states.rows - first)
      Operation.product(
        rows: rows, states.region.advanced(by: first * table.width), table, into: scores.region,
        alpha: scale)
      try body(first, rows, scores)
    }
  }

  /// Rows of the table, of which the probabilities of a chunk are now the columns.
  struct KeptRows {
    let table: Tensor
    /// Which rows of the whole table they are; nil where they are all.
    let numbers: TokenIDs?
    var count: Int { table.shape[0] }
  }

  /// Leaves in a chunk of probabilities only the columns that matter, if those are few.
  ///
  /// Less than 2^-25 is left out of a state's probabilities, half a unit in the last place of 1, since
  /// none of at most V columns holds more than the V-th part of it.
  func rowsThatMatter(of probabilities: Tensor, rows: Int) throws(TensorError) -> KeptRows {
    let backend = states.backend
    let numbers = try TokenIDs(unset: vocabulary, below: vocabulary, on: backend)
    // Gathering rows, and adding their gradients to the table, has to be worth it.
    guard
      let count = backend.keepColumns(
        of: probabilities.region, atLeast: 0x1p-25 / Float(vocabulary), atMost: vocabulary / 4,
        columns: numbers.region, rows: rows, width: vocabulary)
    else { return KeptRows(table: table, numbers: nil) }
    let kept = try Tensor(unset: [count, table.width], on: backend)
    backend.gather(
      table.region, rows: numbers.region, into: kept.region, count: count, width: table.width)
    return KeptRows(table: kept, numbers: numbers)
  }

  /// With P the softmax and r = P E: dP = dr Eᵀ, dS = P (dP - rowsum(P dP)) / τ,
  /// dstates = scale dS E, dE = Pᵀ dr + scale dSᵀ states.
  func addGradients(
    _ dr: Tensor, temperature: Float, dStates: (region: Region, accumulating: Bool)?,
    dTable: Region?
  ) throws(TensorError) {
    let backend = states.backend
    let width = table.width
    let slopes = try Tensor(unset: [chunk, vocabulary], on: backend)
    try forEachChunk { first, rows, scores throws(TensorError) in
      let chunkGradient = dr.region.advanced(by: first * width)
      backend.softmax(
        scores.region, mask: mask?.region, scale: 1 / temperature, rows: rows, width: vocabulary)
      let kept = try rowsThatMatter(of: scores, rows: rows)
      backend.matrixProduct(
        MatrixProduct(
          m: rows, n: kept.count, k: width, a: chunkGradient, b: kept.table.region,
          c: slopes.region, transposeB: true))
      backend.softmaxBackward(
        y: scores.region, dy: slopes.region, scale: 1 / temperature, rows: rows, width: kept.count)
      if let dStates {
        backend.matrixProduct(
          MatrixProduct(
            m: rows, n: width, k: kept.count, a: slopes.region, b: kept.table.region,
            c: dStates.region.advanced(by: first * width), alpha: scale,
            beta: dStates.accumulating ? 1 : 0))
      }
      guard let dTable else { return }
      // The gathered rows have been read for the last time.
      let dKept = kept.numbers == nil ? dTable : kept.table.region
      backend.matrixProduct(
        MatrixProduct(
          m: kept.count, n: width, k: rows, a: scores.region, b: chunkGradient, c: dKept,
          transposeA: true, beta: kept.numbers == nil ? 1 : 0))
      backend.matrixProduct(
        MatrixProduct(
          m: kept.count, n: width, k: rows, a: slopes.region,
          b: states.region.advanced(by: first * width), c: dKept, transposeA: true, alpha: scale,
          beta: 1))
      guard let numbers = kept.numbers else { return }
      backend.scatterAdd(
        dKept, rows: numbers.region, into: dTable, count: kept.count, width: width)
    }
  }
}

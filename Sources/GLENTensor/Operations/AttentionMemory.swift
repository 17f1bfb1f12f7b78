import Synchronization

/// Keys and values that several attentions read, as the steps of a rollout read an encoder's.
///
/// Each of these attentions would add to gradients as long as all keys and values. On a
/// `KeyGradientGatherer` they leave what the gradients are made of instead, two numbers for each key and head
/// (`AttentionStep`), and the gradients are written once, when all have gone back.
public struct AttentionMemory: Sendable {
  /// The keys, `[total keys, heads × headWidth]`.
  public let keys: Tensor
  /// The values, of the same shape.
  public let values: Tensor
  /// The number of heads.
  public let heads: Int
  private let gathered: Gathered?
  /// An empty value on the tape before the attentions: a gradient of it says that one has gone back.
  private let signal: Input?

  /// What the attentions have left so far.
  private final class Gathered: Sendable {
    let steps = Mutex<[AttentionStep]>([])
    let backend: any KeyGradientGatherer

    init(on backend: any KeyGradientGatherer) { self.backend = backend }
  }

  /// A memory of keys and values, which may be tracked.
  ///
  /// - Throws: `TensorError.shapeMismatch`, `.backendMismatch`, `.outOfMemory`.
  public init(keys: Tensor, values: Tensor, heads: Int) throws(TensorError) {
    let tape = try Operation.tape("AttentionMemory", keys, values)
    try Operation.require(
      keys.shape == values.shape && keys.shape.count == 2 && heads > 0 && keys.width % heads == 0,
      "AttentionMemory",
      expected: "keys and values of one shape [total keys, h·d]",
      got: "\(keys.shape) and \(values.shape)")
    (self.keys, self.values, self.heads) = (keys, values, heads)
    guard let tape, let backend = keys.backend as? any KeyGradientGatherer,
      backend.gathersKeyGradients(headWidth: keys.width / heads)
    else {
      (gathered, signal) = (nil, nil)
      return
    }
    let gathered = Gathered(on: backend)
    let inputs = (Input(keys), Input(Operation.apart(values, from: keys)))
    let signal = tape.record(try Tensor(unset: [0], on: backend)) {
      (gradients, _) throws(TensorError) in
      let steps = gathered.steps.withLock { steps in
        defer { steps = [] }
        return steps
      }
      let toKeys = try gradients.target(for: inputs.0, on: gathered.backend)
      let toValues = try gradients.target(for: inputs.1, on: gathered.backend)
      gathered.backend.attentionKeysBackward(
        steps, dKeys: toKeys.region, dValues: toValues.region,
        accumulatingKeys: toKeys.accumulating, accumulatingValues: toValues.accumulating)
    }
    (self.gathered, self.signal) = (gathered, Input(signal))
  }

  /// Multi-head attention of at most one query a sequence, softmax(Q Kᵀ) V, over this memory.
  ///
  /// - Throws: as `attention`.
  public func callAsFunction(
    queries: Tensor, queryOffsets: SequenceOffsets, keyOffsets: SequenceOffsets,
    dropout: DropoutMask? = nil
  ) throws(TensorError) -> Tensor {
    guard let gathered, let signal, queryOffsets.longest <= 1 else {
      return try attention(
        queries: queries, keys: keys, values: values, heads: heads, queryOffsets: queryOffsets,
        keyOffsets: keyOffsets, dropout: dropout)
    }
    let tape = try Operation.tape("attention", queries, keys, values)
    let (output, arguments) = try Operation.attention(
      queries: queries, keys: keys, values: values, heads: heads, queryOffsets: queryOffsets,
      keyOffsets: keyOffsets, bias: nil, isCausal: false, dropout: dropout)
    guard let tape else { return output }
    let input = Input(queries)
    return tape.record(output) { (gradients, dOutput) throws(TensorError) in
      let backend = gathered.backend
      let weights = try Tensor(unset: [2, heads, keyOffsets.totalLength], on: backend)
      let toQueries = try gradients.target(for: input, on: backend)
      let step = AttentionStep(
        attention: arguments, dOutput: dOutput.region, weights: weights.region)
      backend.attentionQueriesBackward(
        step, dQueries: toQueries.region, accumulating: toQueries.accumulating)
      gathered.steps.withLock { $0.append(step) }
      try gradients.add(try Tensor(unset: [0], on: backend), to: signal)
    }
  }
}

/// A stack's relative position bias: one number for each head and each bucket of distances.
public struct RelativePositionBias: Sendable {
  /// The learned biases, `[buckets, heads]`.
  public let table: Tensor
  /// The bucket of every distance from -reach to reach.
  let bucketOfDistance: TokenIDs
  let reach: Int

  /// The bias of positions up to `length`.
  ///
  /// - Parameters:
  ///   - table: `[buckets, heads]`.
  ///   - length: the longest sequence of queries or keys.
  ///   - isBidirectional: whether keys after the query have buckets of their own.
  ///   - maximumDistance: beyond it all distances share a bucket.
  /// - Throws: `TensorError.shapeMismatch`, `.invalidArgument` for too few buckets or too small a
  ///   distance, `.outOfMemory`.
  public init(
    table: Tensor, length: Int, isBidirectional: Bool, maximumDistance: Int
  ) throws(TensorError) {
    try Operation.require(
      table.shape.count == 2, "RelativePositionBias", expected: "[buckets, heads]",
      got: "\(table.shape)")
    let exact = table.shape[0] / (isBidirectional ? 4 : 2)
    guard exact > 0, maximumDistance > exact else {
      throw .invalidArgument(
        operation: "RelativePositionBias",
        reason: "\(table.shape[0]) buckets up to distance \(maximumDistance) leave nothing to "
          + "divide; expected \(isBidirectional ? 4 : 2) buckets or more and a distance above \(exact)"
      )
    }
    self.table = table
    reach = max(length - 1, 0)
    let buckets = table.shape[0]
    bucketOfDistance = try TokenIDs(
      (-reach...reach).map {
        Int32(
          Self.bucket(
            distance: $0, buckets: buckets, isBidirectional: isBidirectional,
            maximumDistance: maximumDistance))
      }, on: table.backend)
  }

  private init(table: Tensor, bucketOfDistance: TokenIDs, reach: Int) {
    (self.table, self.bucketOfDistance, self.reach) = (table, bucketOfDistance, reach)
  }

  /// The same positions with another table of the same shape.
  package func replacing(table: Tensor) -> RelativePositionBias {
    RelativePositionBias(table: table, bucketOfDistance: bucketOfDistance, reach: reach)
  }

  /// T5's bucket of a distance (key position minus query position): half of the buckets are exact,
  /// the others grow logarithmically up to the maximum distance.
  static func bucket(
    distance: Int, buckets: Int, isBidirectional: Bool, maximumDistance: Int
  ) -> Int {
    var buckets = buckets
    var offset = 0
    var away = max(-distance, 0)
    if isBidirectional {
      buckets /= 2
      if distance > 0 { offset = buckets }
      away = abs(distance)
    }
    let exact = buckets / 2
    if away < exact { return offset + away }
    // In float32 and in this order, because that is how checkpoints were trained.
    let greatest = logarithm(Float(maximumDistance) / Float(exact))
    let ratio = logarithm(Float(away) / Float(exact)) / greatest
    let further = exact + Int(ratio * Float(buckets - exact))
    return offset + min(further, buckets - 1)
  }
}

/// Multi-head attention on packed sequences: softmax(Q Kᵀ + bias) V for each sequence and head.
///
/// queries are `[total queries, heads × headWidth]`, keys and values `[total keys, ...]`; T5 does
/// not scale the product. With `isCausal`, query i of a sequence sees the keys up to position
/// i + keys - queries.
///
/// On the processor a thread holds one head's scores of one sequence, queries × keys, and two or three
/// times that on the way back.
///
/// - Throws: `TensorError.shapeMismatch`, `.backendMismatch`, `.invalidArgument` for a dropout
///   outside 0 ..< 1 or a causal sequence with more queries than keys, `.outOfMemory`.
public func attention(
  queries: Tensor, keys: Tensor, values: Tensor, heads: Int, queryOffsets: SequenceOffsets,
  keyOffsets: SequenceOffsets, bias: RelativePositionBias? = nil, isCausal: Bool = false,
  dropout: DropoutMask? = nil
) throws(TensorError) -> Tensor {
  let tape = try Operation.tape("attention", queries, keys, values, bias?.table)
  let (output, arguments) = try Operation.attention(
    queries: queries, keys: keys, values: values, heads: heads, queryOffsets: queryOffsets,
    keyOffsets: keyOffsets, bias: bias, isCausal: isCausal, dropout: dropout)

  guard let tape else { return output }
  let inputs = (
    Input(queries), Input(Operation.apart(keys, from: queries)),
    Input(Operation.apart(values, from: queries, keys))
  )
  let biasInput = bias.map { Input(Operation.apart($0.table, from: queries, keys, values)) }
  // `arguments` holds the storages that the backward reads.
  return tape.record(output) { (gradients, dOutput) throws(TensorError) in
    let backend = dOutput.backend
    let toQueries = try gradients.target(for: inputs.0, on: backend)
    let toKeys = try gradients.target(for: inputs.1, on: backend)
    let toValues = try gradients.target(for: inputs.2, on: backend)
    let dBias: Region? =
      if let biasInput {
        try gradients.summingDestination(for: biasInput, on: backend)
      } else {
        nil
      }
    backend.attentionBackward(
      arguments,
      AttentionGradients(
        dOutput: dOutput.region, dQueries: toQueries.region, dKeys: toKeys.region,
        dValues: toValues.region, accumulatingQueries: toQueries.accumulating,
        accumulatingKeys: toKeys.accumulating, accumulatingValues: toValues.accumulating,
        dBias: dBias))
  }
}

extension Operation {
  /// Attention without its gradients, and what these need.
  static func attention(
    queries: Tensor, keys: Tensor, values: Tensor, heads: Int, queryOffsets: SequenceOffsets,
    keyOffsets: SequenceOffsets, bias: RelativePositionBias?, isCausal: Bool,
    dropout: DropoutMask?
  ) throws(TensorError) -> (output: Tensor, arguments: AttentionArguments) {
    let inner = queries.width
    try require(
      heads > 0 && inner > 0 && inner % heads == 0 && queryOffsets.count == keyOffsets.count
        && queries.shape == [queryOffsets.totalLength, inner]
        && keys.shape == [keyOffsets.totalLength, inner] && values.shape == keys.shape
        && (bias == nil
          || bias?.table.shape.last == heads
            && (bias?.reach ?? 0) >= max(queryOffsets.longest, keyOffsets.longest) - 1),
      "attention",
      expected: "queries [\(queryOffsets.totalLength), h·d], keys and values "
        + "[\(keyOffsets.totalLength), h·d], a bias of \(heads) heads that reaches far enough",
      got: "\(queries.shape), \(keys.shape), \(values.shape), \(bias?.table.shape ?? [])")
    try Operation.require(
      queryOffsets.storage, keyOffsets.storage, on: queries.backend, "attention")
    if isCausal {
      for index in 0..<queryOffsets.count
      where queryOffsets.length(of: index) > keyOffsets.length(of: index) {
        throw .invalidArgument(
          operation: "attention",
          reason: "sequence \(index) has more queries than keys; "
            + "the first of them would see nothing")
      }
    }
    if let rate = dropout?.rate, !(rate >= 0 && rate < 1) {
      throw .invalidArgument(
        operation: "attention", reason: "the dropout is \(rate); expected 0 or more and below 1")
    }
    let backend = queries.backend
    let output = try Tensor(unset: queries.shape, on: backend)
    let logSums = try Tensor(unset: [heads, queryOffsets.totalLength], on: backend)
    let arguments = AttentionArguments(
      sequences: queryOffsets.count, heads: heads, headWidth: inner / heads,
      longestQueries: queryOffsets.longest, longestKeys: keyOffsets.longest,
      totalQueries: queryOffsets.totalLength, totalKeys: keyOffsets.totalLength, isCausal: isCausal,
      queries: queries.region, keys: keys.region, values: values.region,
      queryOffsets: Region(queryOffsets.storage), keyOffsets: Region(keyOffsets.storage),
      bias: bias.map {
        .init(
          table: $0.table.region, bucketOfDistance: $0.bucketOfDistance.region, reach: $0.reach)
      },
      dropout: dropout.flatMap { $0.rate > 0 ? $0 : nil }, output: output.region,
      logSums: logSums.region)
    backend.attention(arguments)
    return (output, arguments)
  }
}

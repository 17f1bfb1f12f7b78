import GLENTensor

extension OperationCase {
  /// attention with its gradients, the bias's among them.
  static let differentiableAttention: [OperationCase] = list {
    for s in attentionSettings
    where !s.queryLengths.isEmpty && !s.queryLengths.contains(0) && s.totalQueries < 100 {
      let queries = CaseInput(shape: [s.totalQueries, s.inner])
      let keys = CaseInput(shape: [s.totalKeys, s.inner])
      let table = CaseInput(shape: [s.bias?.buckets ?? 1, s.heads])
      differentiable(
        "attention", s.description, samples: s.totalQueries > 30 ? 4 : 12,
        inputs: [queries, keys, keys] + (s.bias == nil ? [] : [table])
      ) { x in
        [try apply(s, x[0], x[1], x[2], table: s.bias == nil ? nil : x[3])]
      } reference: { x in
        let table = s.bias == nil ? [] : x[3]
        return [Reference.attention(s, q: x[0], k: x[1], v: x[2], table: table).output]
      }
    }
    memory(AttentionSetting(queryLengths: [1, 1, 1], keyLengths: [4, 9, 2]), steps: 3)
    memory(AttentionSetting(queryLengths: [1, 1, 1], keyLengths: [3, 2, 17]), steps: 9)
    memory(AttentionSetting(queryLengths: [1, 1], keyLengths: [5, 6]), steps: 2, oneTensor: true)
    memory(
      AttentionSetting(
        queryLengths: [1, 1], keyLengths: [7, 30],
        dropout: DropoutMask(rate: 0.4, key: RandomKey(seed: 1))), steps: 3)
    selfAttention(AttentionSetting(queryLengths: [4, 6], keyLengths: [4, 6]))
    selfAttention(AttentionSetting(queryLengths: [1, 1, 1], keyLengths: [1, 1, 1]))
    selfAttention(
      AttentionSetting(
        queryLengths: [4, 6], keyLengths: [4, 6],
        dropout: DropoutMask(rate: 0.4, key: RandomKey(seed: 1))))
  }

  /// Single queries of several steps over the same keys and values, which something else reads, too.
  private static func memory(
    _ s: AttentionSetting, steps: Int, oneTensor: Bool = false
  ) -> OperationCase {
    let settings = (0..<steps).map { index in
      var own = s
      own.dropout?.key = RandomKey(seed: UInt64(index + 1))
      return own
    }
    let queries = CaseInput(shape: [s.totalQueries, s.inner])
    let keys = CaseInput(shape: [s.totalKeys, s.inner])
    return differentiable(
      "attention", s.description + " over a memory, \(steps) steps" + (oneTensor ? " of one" : ""),
      samples: 6, inputs: [keys] + (oneTensor ? [] : [keys]) + (0..<steps).map { _ in queries }
    ) { x in
      let values = oneTensor ? x[0] : x[1]
      let memory = try AttentionMemory(keys: x[0], values: values, heads: s.heads)
      let keyOffsets = try SequenceOffsets(lengths: s.keyLengths, on: x[0].backend)
      return try (0..<steps).map { index in
        try memory(
          queries: x[x.count - steps + index],
          queryOffsets: SequenceOffsets(lengths: s.queryLengths, on: x[0].backend),
          keyOffsets: keyOffsets, dropout: settings[index].dropout)
      } + [scaled(values, by: 0.5)]
    } reference: { x in
      let values = oneTensor ? x[0] : x[1]
      return (0..<steps).map { index in
        Reference.attention(
          settings[index], q: x[x.count - steps + index], k: x[0], v: values, table: []
        ).output
      } + [values.map { 0.5 * $0 }]
    }
  }

  /// Queries, keys and values that are one tensor.
  private static func selfAttention(_ s: AttentionSetting) -> OperationCase {
    differentiable(
      "attention", s.description + " of one tensor",
      inputs: [CaseInput(shape: [s.totalQueries, s.inner])]
    ) {
      [try apply(s, $0[0], $0[0], $0[0], table: nil)]
    } reference: {
      [Reference.attention(s, q: $0[0], k: $0[0], v: $0[0], table: []).output]
    }
  }

  private static func apply(
    _ s: AttentionSetting, _ q: Tensor, _ k: Tensor, _ v: Tensor, table: Tensor?
  ) throws -> Tensor {
    try attention(
      queries: q, keys: k, values: v, heads: s.heads,
      queryOffsets: SequenceOffsets(lengths: s.queryLengths, on: q.backend),
      keyOffsets: SequenceOffsets(lengths: s.keyLengths, on: q.backend),
      bias: table.map { table in
        try RelativePositionBias(
          table: table, length: max(s.longestQueries, s.longestKeys),
          isBidirectional: s.bias?.isBidirectional ?? false, maximumDistance: s.maximumDistance)
      }, isCausal: s.isCausal, dropout: s.dropout)
  }
}

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
    selfAttention(AttentionSetting(queryLengths: [4, 6], keyLengths: [4, 6]))
    selfAttention(AttentionSetting(queryLengths: [1, 1, 1], keyLengths: [1, 1, 1]))
    selfAttention(
      AttentionSetting(
        queryLengths: [4, 6], keyLengths: [4, 6],
        dropout: DropoutMask(rate: 0.4, key: RandomKey(seed: 1))))
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

import GLENTensor

/// What a decoder's steps attend to: the encoder's states, in the cheaper of two ways.
///
/// Usually their keys and values are computed once for all steps. But an identifier has few steps, and
/// most texts are much longer: then a step's queries are taken to the states instead,
/// q · (K x) = (Kᵀ q) · x and Σ p V x = V (Σ p x), and no key or value of a token ever exists. The
/// result is the same up to rounding.
struct T5CrossAttention: Sendable {
  private let weights: [T5Attention]
  private let heads: Int
  private let offsets: SequenceOffsets
  private let memory: Memory

  private enum Memory: Sendable {
    /// For each block `[encoder length, heads × headWidth]`.
    case projected([AttentionMemory])
    /// `[encoder length, width]`, and one row for each head of each step.
    case states(keys: Tensor, values: Tensor, headOffsets: SequenceOffsets)
  }

  /// The attention of some blocks over encoded texts.
  ///
  /// - Parameters:
  ///   - weights: each block's projections.
  ///   - encoded: the encoder's states, `[encoder length, width]`.
  ///   - offsets: where each sequence's states begin.
  ///   - steps: how many steps will attend.
  ///   - readsStates: which way to take; the cheaper one if nil.
  /// - Throws: `TensorError`.
  init(
    _ weights: [T5Attention], heads: Int, encoded: Tensor, offsets: SequenceOffsets, steps: Int,
    readsStates: Bool? = nil
  ) throws {
    self.weights = weights
    self.heads = heads
    self.offsets = offsets
    // The heads' products take float32 weights. Matrix units have little to do at a few rows of the
    // whole width: there the way of the states took half of a training step (H100, T5-base).
    let isCheaper =
      !encoded.backend.hasMatrixUnits && weights.allSatisfy { $0.key.precision == nil }
      && Self.readsStates(
        tokens: offsets.totalLength, sequences: offsets.count, steps: steps, heads: heads,
        inner: weights.first?.key.shape[0] ?? 0, width: encoded.width)
    if readsStates ?? isCheaper {
      memory = .states(
        // A node of its own, so that both gradients are added in place.
        keys: encoded, values: try encoded.reshaped(to: encoded.shape),
        headOffsets: try SequenceOffsets(
          lengths: [Int](repeating: heads, count: offsets.count), on: encoded.backend))
    } else {
      memory = .projected(
        try weights.map {
          try AttentionMemory(
            keys: linear(encoded, $0.key, rounding: .result),
            values: linear(encoded, $0.value, rounding: .result), heads: heads)
        })
    }
  }

  /// Whether taking queries to the states costs fewer multiplications than taking the states to keys.
  ///
  /// The values cost as much again in both ways. A product with few rows takes as long as reading its
  /// weights: it counts as one with 16 rows.
  static func readsStates(
    tokens: Int, sequences: Int, steps: Int, heads: Int, inner: Int, width: Int
  ) -> Bool {
    let projecting = tokens * inner * width + steps * tokens * inner
    let reading = steps * (max(sequences, 16) * inner * width + heads * tokens * width)
    return reading < projecting
  }

  /// One step's mix of values, `[batch, heads × headWidth]`.
  ///
  /// - Parameters:
  ///   - normed: the normed input of the block's cross-attention, `[batch, width]`.
  ///   - stepOffsets: one row for each sequence.
  /// - Throws: `TensorError`.
  func callAsFunction(
    _ normed: Tensor, block: Int, offsets stepOffsets: SequenceOffsets,
    dropout: DropoutMask
  ) throws -> Tensor {
    let queries = try linear(normed, weights[block].query)
    switch memory {
    case .projected(let memories):
      return try memories[block](
        queries: queries, queryOffsets: stepOffsets, keyOffsets: offsets, dropout: dropout)
    case .states(let keys, let values, let headOffsets):
      // A row for each head, which makes the numbers of the mask those of the other way.
      var dropout = dropout
      dropout.firstRow *= heads
      let mixed = try attention(  // [batch × heads, width]
        queries: spreadHeads(queries, weights[block].key, heads: heads), keys: keys,
        values: values, heads: 1, queryOffsets: headOffsets, keyOffsets: offsets, dropout: dropout)
      return try joinHeads(mixed, weights[block].value, heads: heads)
    }
  }
}

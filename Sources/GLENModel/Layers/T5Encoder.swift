import GLENTensor

/// One block of the encoder.
struct T5EncoderBlock: Sendable, ParameterContainer {
  var attention: T5Attention
  var attentionNorm: Tensor
  var feedForward: T5FeedForward
  var feedForwardNorm: Tensor

  func callAsFunction(
    _ x: consuming Tensor, offsets: SequenceOffsets, bias: RelativePositionBias,
    _ c: T5Configuration, dropout: Dropout
  ) throws(TensorError) -> Tensor {
    let normed = try rmsNorm(x, weight: attentionNorm, epsilon: c.normEpsilon)  // [length, width]
    let mixed = try GLENTensor.attention(  // [length, heads × headWidth]
      queries: linear(normed, attention.query, rounding: .result),
      keys: linear(normed, attention.key, rounding: .result),
      values: linear(normed, attention.value, rounding: .result), heads: c.heads,
      queryOffsets: offsets,
      keyOffsets: offsets, bias: bias, dropout: dropout.split(0).mask)
    let attended = try dropout.split(1).residual(mixed, attention.output, adding: consume x)
    let again = try rmsNorm(attended, weight: feedForwardNorm, epsilon: c.normEpsilon)
    return try feedForward(again, adding: consume attended, dropout: dropout.split(2))
  }

  /// Visits under the names that follow the block's own.
  mutating func visitParameters(_ body: (String, inout Tensor) throws -> Void) rethrows {
    try visitParameters(at: "", body)
  }

  mutating func visitParameters(
    at path: String, _ body: (String, inout Tensor) throws -> Void
  ) rethrows {
    try attention.visitParameters(at: path + ".layer.0.SelfAttention", body)
    try body(path + ".layer.0.layer_norm.weight", &attentionNorm)
    try feedForward.visitParameters(at: path + ".layer.1.DenseReluDense", body)
    try body(path + ".layer.1.layer_norm.weight", &feedForwardNorm)
  }
}

/// The encoder: text in, one state a token out.
public struct T5Encoder: Sendable {
  var blocks: [T5EncoderBlock]
  var positionBias: Tensor  // [buckets, heads]
  var finalNorm: Tensor

  /// The final states of packed embeddings `[length, width]`; the same shape.
  ///
  /// - Parameter recomputes: whether a block's inside is computed again on the way back, not kept.
  func callAsFunction(
    _ embeddings: Tensor, offsets: SequenceOffsets, _ c: T5Configuration, dropout: Dropout,
    recomputes: Bool = false
  ) throws -> Tensor {
    let bias = try RelativePositionBias(
      table: positionBias, length: offsets.longest, isBidirectional: true,
      maximumDistance: c.relativeMaximumDistance)
    var x = try dropout.split(0)(embeddings)
    for (index, block) in blocks.enumerated() {
      let place = dropout.split(index + 2)
      guard recomputes else {
        x = try block(consume x, offsets: offsets, bias: bias, c, dropout: place)
        continue
      }
      x = try recomputed(block, [x, bias.table]) { block, inputs throws(TensorError) in
        try block(
          inputs[0], offsets: offsets, bias: bias.replacing(table: inputs[1]), c, dropout: place)
      }
    }
    return try dropout.split(1)(rmsNorm(x, weight: finalNorm, epsilon: c.normEpsilon))
  }

  mutating func visitParameters(
    _ body: (String, inout Tensor) throws -> Void
  ) rethrows {
    try body(
      "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight", &positionBias)
    for index in blocks.indices {
      try blocks[index].visitParameters(at: "encoder.block.\(index)", body)
    }
    try body("encoder.final_layer_norm.weight", &finalNorm)
  }
}

import GLENTensor

/// One block of the decoder.
struct T5DecoderBlock: Sendable {
  var selfAttention: T5Attention
  var selfNorm: Tensor
  var crossAttention: T5Attention
  var crossNorm: Tensor
  var feedForward: T5FeedForward
  var feedForwardNorm: Tensor

  mutating func visitParameters(
    at path: String, _ body: (String, inout Tensor) throws -> Void
  ) rethrows {
    try selfAttention.visitParameters(at: path + ".layer.0.SelfAttention", body)
    try body(path + ".layer.0.layer_norm.weight", &selfNorm)
    try crossAttention.visitParameters(at: path + ".layer.1.EncDecAttention", body)
    try body(path + ".layer.1.layer_norm.weight", &crossNorm)
    try feedForward.visitParameters(at: path + ".layer.2.DenseReluDense", body)
    try body(path + ".layer.2.layer_norm.weight", &feedForwardNorm)
  }
}

/// The decoder: one state a step.
public struct T5Decoder: Sendable {
  var blocks: [T5DecoderBlock]
  var positionBias: Tensor  // [buckets, heads]
  var finalNorm: Tensor

  mutating func visitParameters(
    _ body: (String, inout Tensor) throws -> Void
  ) rethrows {
    try body(
      "decoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight", &positionBias)
    for index in blocks.indices {
      try blocks[index].visitParameters(at: "decoder.block.\(index)", body)
    }
    try body("decoder.final_layer_norm.weight", &finalNorm)
  }
}

extension T5Decoder {
  /// The final states of packed target embeddings, all positions at once: each sees those before it,
  /// and its own sequence's encoder states.
  ///
  /// - Parameters:
  ///   - embeddings: the embeddings of each target, shifted right by the start token,
  ///     `[target length, width]`.
  ///   - encoded: the encoder's states, `[encoder length, width]`.
  /// - Returns: `[target length, width]`, after the final norm and unscaled.
  /// - Throws: `TensorError`.
  func callAsFunction(
    _ embeddings: Tensor, offsets: SequenceOffsets, encoded: Tensor,
    encodedOffsets: SequenceOffsets, _ c: T5Configuration, dropout: Dropout
  ) throws -> Tensor {
    let bias = try RelativePositionBias(
      table: positionBias, length: offsets.longest, isBidirectional: false,
      maximumDistance: c.relativeMaximumDistance)
    var x = try dropout.split(0)(embeddings)
    for (index, block) in blocks.enumerated() {
      let place = dropout.split(index + 2)
      var normed = try rmsNorm(x, weight: block.selfNorm, epsilon: c.normEpsilon)
      var mixed = try attention(
        queries: linear(normed, block.selfAttention.query, rounding: .result),
        keys: linear(normed, block.selfAttention.key, rounding: .result),
        values: linear(normed, block.selfAttention.value, rounding: .result), heads: c.heads,
        queryOffsets: offsets,
        keyOffsets: offsets, bias: bias, isCausal: true, dropout: place.split(0).mask)
      x = try place.split(1).residual(mixed, block.selfAttention.output, adding: consume x)
      normed = try rmsNorm(x, weight: block.crossNorm, epsilon: c.normEpsilon)
      mixed = try attention(
        queries: linear(normed, block.crossAttention.query, rounding: .result),
        keys: linear(encoded, block.crossAttention.key, rounding: .result),
        values: linear(encoded, block.crossAttention.value, rounding: .result), heads: c.heads,
        queryOffsets: offsets,
        keyOffsets: encodedOffsets, dropout: place.split(2).mask)
      x = try place.split(3).residual(mixed, block.crossAttention.output, adding: consume x)
      normed = try rmsNorm(x, weight: block.feedForwardNorm, epsilon: c.normEpsilon)
      x = try block.feedForward(normed, adding: consume x, dropout: place.split(4))
    }
    return try dropout.split(1)(rmsNorm(x, weight: finalNorm, epsilon: c.normEpsilon))
  }
}

/// A decoder in the middle of a batch: the keys and values of the steps so far, and what the steps
/// attend to of the encoder's states.
///
/// Nothing is written in place, so that a rollout can be differentiated through all its steps.
public struct DecoderState: Sendable {
  private let decoder: T5Decoder
  private let configuration: T5Configuration
  private let dropout: Dropout
  private let bias: RelativePositionBias
  private let crossAttention: T5CrossAttention
  private var keys: [[Tensor]]  // for each block and step [batch, heads × headWidth]
  private var values: [[Tensor]]
  private var step = 0

  /// A decoder before its first step.
  ///
  /// - Parameters:
  ///   - encoded: the encoder's states, `[encoder length, width]`.
  ///   - offsets: where each sequence's states begin.
  ///   - longest: the greatest number of steps.
  /// - Throws: `TensorError`.
  init(
    _ decoder: T5Decoder, _ configuration: T5Configuration, encoded: Tensor,
    offsets: SequenceOffsets, longest: Int, dropout: Dropout
  ) throws {
    self.decoder = decoder
    self.configuration = configuration
    self.dropout = dropout
    bias = try RelativePositionBias(
      table: decoder.positionBias, length: longest, isBidirectional: false,
      maximumDistance: configuration.relativeMaximumDistance)
    crossAttention = try T5CrossAttention(
      decoder.blocks.map(\.crossAttention), heads: configuration.heads, encoded: encoded,
      offsets: offsets, steps: longest)
    keys = decoder.blocks.map { _ in [] }
    values = keys
  }

  /// Takes one step: input `[batch, width]`, the final state h of the same shape, after the final
  /// norm and unscaled.
  ///
  /// - Throws: `TensorError`.
  public mutating func advance(_ input: Tensor) throws -> Tensor {
    let c = configuration
    let batch = input.shape[0]
    let drop = dropout.split(step)
    let one = try SequenceOffsets(
      lengths: [Int](repeating: 1, count: batch), on: input.backend)
    let soFar = try SequenceOffsets(
      lengths: [Int](repeating: step + 1, count: batch), on: input.backend)
    var x = try drop.split(0)(input)
    for (index, block) in decoder.blocks.enumerated() {
      let place = drop.split(index + 2)
      var normed = try rmsNorm(x, weight: block.selfNorm, epsilon: c.normEpsilon)
      keys[index].append(try linear(normed, block.selfAttention.key))
      values[index].append(try linear(normed, block.selfAttention.value))
      let inner = [batch * (step + 1), c.innerWidth]
      var mixed = try attention(  // [batch, heads × headWidth]
        queries: linear(normed, block.selfAttention.query),
        keys: stack(keys[index]).reshaped(to: inner),
        values: stack(values[index]).reshaped(to: inner), heads: c.heads, queryOffsets: one,
        keyOffsets: soFar, bias: bias, isCausal: true,
        dropout: place.split(0).mask)
      x = try place.split(1).residual(mixed, block.selfAttention.output, adding: consume x)

      normed = try rmsNorm(x, weight: block.crossNorm, epsilon: c.normEpsilon)
      mixed = try crossAttention(
        normed, block: index, offsets: one, dropout: place.split(2).mask)
      x = try place.split(3).residual(mixed, block.crossAttention.output, adding: consume x)

      normed = try rmsNorm(x, weight: block.feedForwardNorm, epsilon: c.normEpsilon)
      x = try block.feedForward(normed, adding: consume x, dropout: place.split(4))
    }
    step += 1
    return try drop.split(1)(rmsNorm(x, weight: decoder.finalNorm, epsilon: c.normEpsilon))
  }
}

import GLENPlatform
import GLENTensor

extension T5Model {
  /// A model of the given shape whose parameters come from `parameter`.
  ///
  /// - Parameter parameter: gives the tensor of a name and shape.
  init(
    _ c: T5Configuration, _ parameter: (String, [Int]) throws -> Tensor
  ) throws {
    configuration = c
    table = try parameter(Self.tableName, [c.vocabularySize, c.width])
    func attention(_ path: String) throws -> T5Attention {
      T5Attention(
        query: try parameter(path + ".q.weight", [c.innerWidth, c.width]),
        key: try parameter(path + ".k.weight", [c.innerWidth, c.width]),
        value: try parameter(path + ".v.weight", [c.innerWidth, c.width]),
        output: try parameter(path + ".o.weight", [c.width, c.innerWidth]))
    }
    func feedForward(_ path: String) throws -> T5FeedForward {
      let inner = [c.feedForwardWidth, c.width]
      return T5FeedForward(
        input: try parameter(path + (c.isGated ? ".wi_0.weight" : ".wi.weight"), inner),
        gatedInput: c.isGated ? try parameter(path + ".wi_1.weight", inner) : nil,
        output: try parameter(path + ".wo.weight", [c.width, c.feedForwardWidth]))
    }
    func norm(_ path: String) throws -> Tensor { try parameter(path + ".weight", [c.width]) }
    let bias = ".block.0.layer.0.SelfAttention.relative_attention_bias.weight"
    encoder = T5Encoder(
      blocks: try (0..<c.encoderLayers).map { index in
        let path = "encoder.block.\(index)"
        return T5EncoderBlock(
          attention: try attention(path + ".layer.0.SelfAttention"),
          attentionNorm: try norm(path + ".layer.0.layer_norm"),
          feedForward: try feedForward(path + ".layer.1.DenseReluDense"),
          feedForwardNorm: try norm(path + ".layer.1.layer_norm"))
      },
      positionBias: try parameter("encoder" + bias, [c.relativeBuckets, c.heads]),
      finalNorm: try norm("encoder.final_layer_norm"))
    decoder = T5Decoder(
      blocks: try (0..<c.decoderLayers).map { index in
        let path = "decoder.block.\(index)"
        return T5DecoderBlock(
          selfAttention: try attention(path + ".layer.0.SelfAttention"),
          selfNorm: try norm(path + ".layer.0.layer_norm"),
          crossAttention: try attention(path + ".layer.1.EncDecAttention"),
          crossNorm: try norm(path + ".layer.1.layer_norm"),
          feedForward: try feedForward(path + ".layer.2.DenseReluDense"),
          feedForwardNorm: try norm(path + ".layer.2.layer_norm"))
      },
      positionBias: try parameter("decoder" + bias, [c.relativeBuckets, c.heads]),
      finalNorm: try norm("decoder.final_layer_norm"))
  }

  /// A model with random parameters: normal numbers with T5's deviations, norms at one.
  ///
  /// - Throws: `ModelError.configuration`, `TensorError.outOfMemory`.
  public init(
    random c: T5Configuration, key: RandomKey, on backend: any Backend = CPUBackend.shared
  ) throws {
    try c.validate()
    var generator = SeededGenerator(key)
    try self.init(c) { name, shape in
      guard let deviation = Self.initialDeviation(of: name, c) else {
        return try Tensor(repeating: 1, shape: shape, on: backend)
      }
      let tensor = try Tensor(unset: shape, on: backend)
      // A piece at a time: what an array of some megabytes leaves behind stays in the process.
      for start in stride(from: 0, to: tensor.count, by: 1 << 14) {
        let count = min(1 << 14, tensor.count - start)
        Self.normals(count, deviation: deviation, from: &generator).withUnsafeBytes {
          backend.upload($0, to: tensor.region.advanced(by: start))
        }
      }
      return tensor
    }
  }

  /// T5's initial standard deviation of a parameter; nil for the norms, which begin at one.
  private static func initialDeviation(of name: String, _ c: T5Configuration) -> Float? {
    let width = Float(c.width)
    if name.hasSuffix("norm.weight") { return nil }
    if name == tableName { return 1 }
    if name.hasSuffix(".q.weight") { return 1 / (width * Float(c.headWidth)).squareRoot() }
    if name.hasSuffix(".o.weight") { return 1 / Float(c.innerWidth).squareRoot() }
    if name.hasSuffix(".wo.weight") { return 1 / Float(c.feedForwardWidth).squareRoot() }
    return 1 / width.squareRoot()
  }

  /// Normal numbers by Box and Muller's transform.
  private static func normals(
    _ count: Int, deviation: Float, from generator: inout SeededGenerator
  ) -> [Float] {
    var values: [Float] = []
    values.reserveCapacity(count + 1)
    while values.count < count {
      // Above zero, so that the logarithm is finite.
      let radius = (-2 * log(1 - Double.random(in: 0..<1, using: &generator))).squareRoot()
      let angle = 2 * Double.pi * Double.random(in: 0..<1, using: &generator)
      values.append(deviation * Float(radius * cos(angle)))
      values.append(deviation * Float(radius * sin(angle)))
    }
    if values.count > count { values.removeLast() }
    return values
  }
}

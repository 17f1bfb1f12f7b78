import GLENTensor

/// The shape of a T5: the keys and the defaults of a Hugging Face `config.json`.
///
/// The head is always tied to the embedding table and scaled by 1/√width, whatever the checkpoint
/// says: an identifier's tokens and the words of the text must live in one space.
public struct T5Configuration: Sendable, Equatable {
  /// The rows of the embedding table; ids beyond the tokenizer's are padding.
  public var vocabularySize = 32128
  /// The width of the hidden states, m.
  public var width = 512
  /// The width of one attention head.
  public var headWidth = 64
  /// The width of the feed-forward layer.
  public var feedForwardWidth = 2048
  /// The number of blocks of the encoder.
  public var encoderLayers = 6
  /// The number of blocks of the decoder.
  public var decoderLayers = 6
  /// The number of attention heads.
  public var heads = 8
  /// The buckets of the relative position bias.
  public var relativeBuckets = 32
  /// The distance from which on all share a bucket.
  public var relativeMaximumDistance = 128
  /// The dropout of training.
  public var dropoutRate: Float = 0.1
  /// What the RMS norm adds to the mean square.
  public var normEpsilon: Float = 1e-6
  /// T5 1.1's gated GELU instead of T5 1.0's ReLU.
  public var isGated = false
  /// What the weights were rounded to, for inference alone; nil for float32.
  public internal(set) var precision: LowPrecision?

  /// T5-small's shape.
  public init() {}

  /// A preset by name: `micro`, `tiny` and `mini` to train from nothing, T5's `small` and `base`.
  public init?(preset: String) {
    self.init()
    switch preset {
    case "micro":
      (width, headWidth, feedForwardWidth, heads) = (64, 16, 256, 4)
      (encoderLayers, decoderLayers) = (2, 2)
    case "tiny":
      (width, headWidth, feedForwardWidth, heads) = (128, 32, 512, 4)
      (encoderLayers, decoderLayers) = (2, 2)
    case "mini":
      (width, headWidth, feedForwardWidth, heads) = (256, 64, 1024, 4)
      (encoderLayers, decoderLayers) = (4, 4)
    case "small": break
    case "base":
      (width, feedForwardWidth, heads) = (768, 3072, 12)
      (encoderLayers, decoderLayers) = (12, 12)
    default: return nil
    }
  }

  /// The names that `init(preset:)` knows.
  public static let presets = ["micro", "tiny", "mini", "small", "base"]

  /// The width of all heads together.
  public var innerWidth: Int { heads * headWidth }
  /// The tied head's factor s = m^-1/2.
  public var headScale: Float { 1 / Float(width).squareRoot() }

  /// Checks that a model of this shape can exist.
  ///
  /// - Throws: `ModelError.configuration` with the first value that is out of range.
  public func validate(path: String = "T5Configuration") throws(ModelError) {
    let extents: [(String, Int, ClosedRange<Int>)] = [
      ("vocab_size", vocabularySize, 4...(1 << 24)), ("d_model", width, 1...65536),
      ("d_kv", headWidth, 1...4096), ("d_ff", feedForwardWidth, 1...(1 << 20)),
      ("num_layers", encoderLayers, 1...1024), ("num_decoder_layers", decoderLayers, 1...1024),
      ("num_heads", heads, 1...1024),
      ("relative_attention_num_buckets", relativeBuckets, 4...65536),
      ("relative_attention_max_distance", relativeMaximumDistance, 2...(1 << 20)),
    ]
    for (name, value, range) in extents where !range.contains(value) {
      throw .configuration(
        path: path,
        reason: "\(name) is \(value); expected \(range.lowerBound) to \(range.upperBound)")
    }
    // The logarithm of the bucket function needs room between the exact buckets and the last.
    guard relativeMaximumDistance > relativeBuckets / 2 else {
      throw .configuration(
        path: path,
        reason: "relative_attention_max_distance \(relativeMaximumDistance) must be above half of "
          + "relative_attention_num_buckets \(relativeBuckets)")
    }
    guard dropoutRate >= 0, dropoutRate < 1, normEpsilon > 0, normEpsilon < 1 else {
      throw .configuration(
        path: path, reason: "dropout_rate must be in 0..<1 and layer_norm_epsilon in 0..<1")
    }
  }
}

extension T5Configuration: Codable {
  private enum CodingKeys: String, CodingKey {
    case vocabularySize = "vocab_size"
    case width = "d_model"
    case headWidth = "d_kv"
    case feedForwardWidth = "d_ff"
    case encoderLayers = "num_layers"
    case decoderLayers = "num_decoder_layers"
    case heads = "num_heads"
    case relativeBuckets = "relative_attention_num_buckets"
    case relativeMaximumDistance = "relative_attention_max_distance"
    case dropoutRate = "dropout_rate"
    case normEpsilon = "layer_norm_epsilon"
    case projection = "feed_forward_proj"
    case architectures
    case modelType = "model_type"
    case tieWordEmbeddings = "tie_word_embeddings"
    case padToken = "pad_token_id"
    case endToken = "eos_token_id"
    case startToken = "decoder_start_token_id"
    case isEncoderDecoder = "is_encoder_decoder"
    case activation = "dense_act_fn"
    case isGatedActivation = "is_gated_act"
    case quantization = "quantization_config"
  }

  /// Hugging Face's mark of a checkpoint that is not plain weights; its loaders refuse methods that they
  /// do not know.
  private struct Quantization: Codable {
    static let ours = "glen"
    // swift-format-ignore: AlwaysUseLowerCamelCase
    var quant_method: String
    var weights: LowPrecision?
  }

  /// Reads a Hugging Face configuration; a key that is absent has T5's default.
  public init(from decoder: any Decoder) throws {
    self.init()
    let values = try decoder.container(keyedBy: CodingKeys.self)
    func read<Value: Decodable>(_ key: CodingKeys, _ standard: Value) throws -> Value {
      try values.decodeIfPresent(Value.self, forKey: key) ?? standard
    }
    vocabularySize = try read(.vocabularySize, vocabularySize)
    width = try read(.width, width)
    headWidth = try read(.headWidth, headWidth)
    feedForwardWidth = try read(.feedForwardWidth, feedForwardWidth)
    encoderLayers = try read(.encoderLayers, encoderLayers)
    decoderLayers = try read(.decoderLayers, encoderLayers)
    heads = try read(.heads, heads)
    relativeBuckets = try read(.relativeBuckets, relativeBuckets)
    relativeMaximumDistance = try read(.relativeMaximumDistance, relativeMaximumDistance)
    dropoutRate = try read(.dropoutRate, dropoutRate)
    normEpsilon = try read(.normEpsilon, normEpsilon)
    let projection = try read(.projection, "relu")
    switch projection {
    case "relu": isGated = false
    case "gated-gelu": isGated = true
    default:
      throw DecodingError.dataCorruptedError(
        forKey: .projection, in: values,
        debugDescription: "feed_forward_proj is \(projection); expected relu or gated-gelu")
    }
    if let mark = try values.decodeIfPresent(Quantization.self, forKey: .quantization) {
      guard mark.quant_method == Quantization.ours, let weights = mark.weights else {
        throw DecodingError.dataCorruptedError(
          forKey: .quantization, in: values,
          debugDescription: "the weights are quantized by \(mark.quant_method); expected those of "
            + "`glen quantize`, or float weights")
      }
      precision = weights
    }
  }

  /// Writes a configuration that Hugging Face's T5 reads.
  public func encode(to encoder: any Encoder) throws {
    var values = encoder.container(keyedBy: CodingKeys.self)
    try values.encode(["T5ForConditionalGeneration"], forKey: .architectures)
    try values.encode("t5", forKey: .modelType)
    try values.encode(true, forKey: .isEncoderDecoder)
    try values.encode(vocabularySize, forKey: .vocabularySize)
    try values.encode(width, forKey: .width)
    try values.encode(headWidth, forKey: .headWidth)
    try values.encode(feedForwardWidth, forKey: .feedForwardWidth)
    try values.encode(encoderLayers, forKey: .encoderLayers)
    try values.encode(decoderLayers, forKey: .decoderLayers)
    try values.encode(heads, forKey: .heads)
    try values.encode(relativeBuckets, forKey: .relativeBuckets)
    try values.encode(relativeMaximumDistance, forKey: .relativeMaximumDistance)
    try values.encode(dropoutRate, forKey: .dropoutRate)
    try values.encode(normEpsilon, forKey: .normEpsilon)
    try values.encode(isGated ? "gated-gelu" : "relu", forKey: .projection)
    try values.encode(isGated ? "gelu_new" : "relu", forKey: .activation)
    try values.encode(isGated, forKey: .isGatedActivation)
    try values.encode(true, forKey: .tieWordEmbeddings)
    try values.encode(0, forKey: .padToken)
    try values.encode(1, forKey: .endToken)
    try values.encode(0, forKey: .startToken)
    if let precision {
      try values.encode(
        Quantization(quant_method: Quantization.ours, weights: precision), forKey: .quantization)
    }
  }
}

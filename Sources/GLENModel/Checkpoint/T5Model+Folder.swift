import GLENPlatform
import GLENTensor

extension T5Model {
  /// Loads a Hugging Face T5 folder.
  ///
  /// It has a `config.json`, and weights as `WeightFiles` finds them: safetensors or, in older
  /// folders, `pytorch_model.bin`. On the CPU the weights are used where the file is mapped.
  ///
  /// - Parameters:
  ///   - folder: the folder.
  ///   - backend: where the parameters go.
  ///   - warn: receives what was left out, such as an untied `lm_head`.
  /// - Throws: `ModelError` or `TensorError`: a missing file, a configuration out of range, the
  ///   name of a tensor that is missing, unexpected or of the wrong shape, or a `spiece.model` that is not
  ///   the one that the weights were saved with. Weights are not searched for NaN here, which would read
  ///   them all; scoring and training report it.
  public init(
    folder: URL, on backend: any Backend = CPUBackend.shared, warn: (String) -> Void = { _ in }
  ) throws {
    let configuration = try T5Configuration(folder: folder)
    let weights = try WeightFiles(folder: folder).open()
    let vocabulary = folder.appendingPathComponent("spiece.model")
    if let data = try? Data(contentsOf: vocabulary), Self.contradict(weights, vocabulary: data) {
      throw ModelError.configuration(path: vocabulary.path, reason: Self.otherVocabulary)
    }
    try self.init(configuration, weights: weights, of: folder, on: backend, warn: warn)
  }

  private static let vocabularyKey = "glen.vocabulary"

  /// What a wrong vocabulary means.
  package static let otherVocabulary =
    "it is not the vocabulary that the weights were saved with: a save was cut off, or a file was "
    + "replaced; resume the training, or take all files from one place"

  /// What the weights of a model say of the vocabulary that they were trained with.
  ///
  /// A model is several files, each replaced in one step, but not all in one: if a save is cut off, or
  /// a file is copied from elsewhere, this tells.
  package static func metadata(vocabulary: Data) -> [String: String] {
    [vocabularyKey: vocabulary.withUnsafeBytes { CRC64.text(CRC64.checksum($0)) }]
  }

  /// Whether weights say that they were saved with another vocabulary.
  package static func contradict(_ weights: [any CheckpointFile], vocabulary: Data) -> Bool {
    guard weights.count == 1, let file = weights[0] as? SafetensorsFile,
      let wanted = file.metadata[vocabularyKey]
    else { return false }
    return wanted != metadata(vocabulary: vocabulary)[vocabularyKey]
  }

  /// As above, of weight files that are open already: their headers take milliseconds to read.
  package init(
    _ configuration: T5Configuration, weights: [any CheckpointFile], of folder: URL,
    on backend: any Backend, warn: (String) -> Void
  ) throws {
    var places: [String: any CheckpointFile] = [:]
    for shard in weights {
      for name in shard.names { places[name] = shard }
    }
    var isUsed: Set<String> = []
    try self.init(configuration) { name, shape in
      guard let place = places[name] else {
        throw ModelError.checkpoint(path: folder.path, reason: "the tensor \(name) is missing")
      }
      isUsed.insert(name)
      if let precision = configuration.precision, Self.isQuantized(name) {
        guard let packed = try place.packedTensor(name, shape: shape, on: backend),
          packed.precision == precision
        else {
          throw ModelError.checkpoint(
            path: folder.path, reason: "\(name) is not in \(precision), as config.json says")
        }
        isUsed.insert(name + SafetensorsFile.scaleSuffix)
        return packed
      }
      let found = place.shape(of: name) ?? []
      guard found == shape else {
        throw ModelError.checkpoint(
          path: folder.path, reason: "\(name): expected \(shape) by config.json, got \(found)")
      }
      return try place.tensor(name, on: backend)
    }
    for name in places.keys.sorted() where !isUsed.contains(name) {
      // The table may come under other names too; of a shard without it only the names are known.
      let place = places[name]
      let isTable = place?.holdsSameData(name, "shared.weight") ?? false
      switch name {
      case "encoder.embed_tokens.weight", "decoder.embed_tokens.weight":
        guard isTable || place?.shape(of: "shared.weight") == nil else {
          throw ModelError.checkpoint(
            path: folder.path, reason: "\(name) differs from shared.weight; expected one table")
        }
      case "lm_head.weight" where isTable: break
      // The first T5 has this bias and never used it: cross-attention has no positions.
      case "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight": break
      case "lm_head.weight":
        warn("\(folder.path): lm_head.weight is left out; the head is tied to shared.weight")
      default:
        throw ModelError.checkpoint(
          path: folder.path, reason: "the tensor \(name) is unexpected for this config.json")
      }
    }
  }

  /// Saves a folder that Hugging Face's T5 loads, unless the model is of low precision: `config.json` and
  /// `model.safetensors`, each replaced at once or not at all.
  ///
  /// - Parameters:
  ///   - metadata: what the weights' file says of itself beside its format.
  ///   - rounding: whether float32 weights are written in BF16, each rounded: half the bytes, which
  ///     loading widens again.
  /// - Throws: `TensorError.file` if something cannot be written; `ModelError.configuration` if a
  ///   model of low precision is to be rounded.
  public func save(
    to folder: URL, metadata: [String: String] = [:], rounding: Bool = false
  ) throws {
    if rounding { try requireFloat32(path: folder.path, to: "round") }
    try AtomicFile.makeFolder(folder)
    let url = folder.appendingPathComponent("model.safetensors")
    let metadata = metadata.merging(["format": "pt"]) { $1 }
    if rounding {
      try SafetensorsFile.write(
        parameters.map { ($0.name, .rounded($0.tensor)) }, metadata: metadata, to: url)
    } else {
      try SafetensorsFile.write(
        parameters.map { ($0.name, $0.tensor) }, metadata: metadata, to: url)
    }
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
    try AtomicFile.write(
      encoder.encode(configuration), to: folder.appendingPathComponent("config.json"))
  }
}

extension T5Configuration {
  /// Reads and checks a folder's `config.json`.
  ///
  /// - Throws: `ModelError`.
  public init(folder: URL) throws(ModelError) {
    let url = folder.appendingPathComponent("config.json")
    guard let data = try? Data(contentsOf: url) else {
      throw .missingFile(path: url.path, reason: "cannot be read; a T5 folder has a config.json")
    }
    do {
      self = try JSONDecoder().decode(T5Configuration.self, from: data)
    } catch {
      throw .configuration(path: url.path, reason: error.reason)
    }
    try validate(path: url.path)
  }
}

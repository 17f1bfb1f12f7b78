import GLENTensor

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

extension T5Model {
  /// Loads a Hugging Face T5 folder.
  ///
  /// It has a `config.json` and either `model.safetensors`, or shards with
  /// `model.safetensors.index.json`. On the CPU the weights are used where the file is mapped.
  ///
  /// - Parameters:
  ///   - folder: the folder.
  ///   - backend: where the parameters go.
  ///   - warn: receives what was left out, such as an untied `lm_head`.
  /// - Throws: `ModelError` or `TensorError`: a missing file, a configuration out of range, or the
  ///   name of a tensor that is missing, unexpected or of the wrong shape. Weights are not searched
  ///   for NaN here, which would read them all; scoring and training report it.
  public init(
    folder: URL, on backend: any Backend = CPUBackend.shared, warn: (String) -> Void = { _ in }
  ) throws {
    let configuration = try T5Configuration(folder: folder)
    let shards = try Self.shards(of: folder)
    var places: [String: SafetensorsFile] = [:]
    for shard in shards {
      for name in shard.names { places[name] = shard }
    }
    var isUsed: Set<String> = []
    try self.init(configuration) { name, shape in
      guard let place = places[name] else {
        throw ModelError.checkpoint(path: folder.path, reason: "the tensor \(name) is missing")
      }
      let found = place.shape(of: name) ?? []
      guard found == shape else {
        throw ModelError.checkpoint(
          path: folder.path, reason: "\(name): expected \(shape) by config.json, got \(found)")
      }
      isUsed.insert(name)
      return try place.tensor(name, on: backend)
    }
    for name in places.keys.sorted() where !isUsed.contains(name) {
      switch name {
      case "encoder.embed_tokens.weight", "decoder.embed_tokens.weight": break
      case "lm_head.weight":
        warn("\(folder.path): lm_head.weight is left out; the head is tied to shared.weight")
      default:
        throw ModelError.checkpoint(
          path: folder.path, reason: "the tensor \(name) is unexpected for this config.json")
      }
    }
  }

  /// Saves a folder that Hugging Face's T5 loads: `config.json` and `model.safetensors`, each
  /// replaced at once or not at all.
  ///
  /// - Throws: `TensorError.file` if something cannot be written.
  public func save(to folder: URL) throws {
    do {
      try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    } catch {
      throw TensorError.file(path: folder.path, reason: "the folder cannot be made: \(error)")
    }
    try SafetensorsFile.write(
      parameters.map { ($0.name, $0.tensor) }, metadata: ["format": "pt"],
      to: folder.appendingPathComponent("model.safetensors"))
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
    try AtomicFile.write(
      encoder.encode(configuration), to: folder.appendingPathComponent("config.json"))
  }

  private static func shards(of folder: URL) throws -> [SafetensorsFile] {
    let whole = folder.appendingPathComponent("model.safetensors")
    if FileManager.default.fileExists(atPath: whole.path) {
      return [try SafetensorsFile(contentsOf: whole)]
    }
    let index = folder.appendingPathComponent("model.safetensors.index.json")
    guard let data = try? Data(contentsOf: index) else {
      throw ModelError.missingFile(
        path: folder.path,
        reason: "has neither model.safetensors nor model.safetensors.index.json")
    }
    guard let map = try? JSONDecoder().decode(ShardIndex.self, from: data).weight_map else {
      throw ModelError.checkpoint(path: index.path, reason: "has no weight_map")
    }
    return try Set(map.values).sorted().map { name in
      // A shard is a file of this folder and nothing else.
      guard !name.contains("/"), !name.isEmpty else {
        throw ModelError.checkpoint(path: index.path, reason: "names the shard \(name)")
      }
      return try SafetensorsFile(contentsOf: folder.appendingPathComponent(name))
    }
  }
}

private struct ShardIndex: Decodable {
  // swift-format-ignore: AlwaysUseLowerCamelCase
  var weight_map: [String: String]
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
    } catch let error as DecodingError {
      throw .configuration(path: url.path, reason: Self.text(error))
    } catch {
      throw .configuration(path: url.path, reason: "\(error)")
    }
    try validate(path: url.path)
  }

  private static func text(_ error: DecodingError) -> String {
    switch error {
    case .dataCorrupted(let context): context.debugDescription
    case .typeMismatch(_, let context), .valueNotFound(_, let context),
      .keyNotFound(_, let context):
      context.codingPath.map(\.stringValue).joined(separator: ".") + ": "
        + context.debugDescription
    @unknown default: "\(error)"
    }
  }
}

import GLENPlatform
import GLENTensor

/// The files of a Hugging Face folder that hold its weights.
///
/// Looked for in this order: `model.safetensors`, its shards by `model.safetensors.index.json`,
/// `pytorch_model.bin`, its shards by `pytorch_model.bin.index.json`.
public struct WeightFiles: Sendable, Equatable {
  /// The folder.
  public let folder: URL
  /// The name of the list of shards, if there is one.
  public let index: String?
  /// The names of the files with tensors, in alphabetical order.
  public let names: [String]

  /// Finds a folder's files.
  ///
  /// - Throws: `ModelError.missingFile` if it has none, `ModelError.checkpoint` for a damaged list of
  ///   shards or one that names other than files of the folder.
  public init(folder: URL) throws(ModelError) {
    self.folder = folder
    func exists(_ name: String) -> Bool {
      FileManager.default.fileExists(atPath: folder.appendingPathComponent(name).path)
    }
    for whole in ["model.safetensors", "pytorch_model.bin"] {
      if exists(whole) {
        (index, names) = (nil, [whole])
        return
      }
      let list = whole + ".index.json"
      if exists(list) {
        (index, names) = (list, try Self.shards(folder.appendingPathComponent(list)))
        return
      }
    }
    throw .missingFile(
      path: folder.path,
      reason: "has neither model.safetensors nor pytorch_model.bin, nor a list of their shards")
  }

  private static func shards(_ url: URL) throws(ModelError) -> [String] {
    guard let data = try? Data(contentsOf: url),
      let map = try? JSONDecoder().decode(ShardIndex.self, from: data).weight_map
    else { throw .checkpoint(path: url.path, reason: "has no weight_map") }
    let names = Set(map.values).sorted()
    // A shard is a file of this folder and nothing else.
    if let wrong = names.first(where: { $0.contains("/") || $0.isEmpty }) {
      throw .checkpoint(path: url.path, reason: "names the shard \(wrong)")
    }
    return names
  }

  /// Maps the files.
  ///
  /// - Throws: `TensorError` for a file that is missing or damaged.
  public func open() throws(TensorError) -> [any CheckpointFile] {
    var files: [any CheckpointFile] = []
    for name in names {
      let url = folder.appendingPathComponent(name)
      let isPickled = name.hasSuffix(".bin")
      files.append(
        isPickled ? try PyTorchFile(contentsOf: url) : try SafetensorsFile(contentsOf: url))
    }
    return files
  }
}

private struct ShardIndex: Decodable {
  // swift-format-ignore: AlwaysUseLowerCamelCase
  var weight_map: [String: String]
}

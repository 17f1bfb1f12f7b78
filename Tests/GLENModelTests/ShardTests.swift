import Foundation
import GLENTensor
import Testing

@testable import GLENModel

struct ShardTests {
  private static let index = "model.safetensors.index.json"

  /// A folder with the tensors spread over three files.
  private static func folder(_ model: T5Model) throws -> TemporaryFolder {
    let folder = try SmallModel.folder(model)
    try FileManager.default.removeItem(at: folder.file("model.safetensors"))
    var map: [String: String] = [:]
    for shard in 0..<3 {
      let name = "model-0000\(shard + 1)-of-00003.safetensors"
      let part = model.parameters.enumerated().filter { $0.offset % 3 == shard }.map(\.element)
      try SafetensorsFile.write(part, to: folder.file(name))
      for (parameter, _) in part { map[parameter] = name }
    }
    try write(map, to: folder)
    return folder
  }

  private static func write(_ map: [String: String], to folder: TemporaryFolder) throws {
    try JSONSerialization.data(withJSONObject: ["weight_map": map]).write(to: folder.file(index))
  }

  @Test func shardsLoadAsOneFileDoes() throws {
    let model = try SmallModel.make()
    let folder = try Self.folder(model)
    let sharded = try T5Model(folder: folder.url)
    for (own, other) in zip(sharded.parameters, model.parameters) {
      #expect(own.name == other.name)
      #expect(try own.tensor.values() == other.tensor.values())
    }
  }

  @Test(arguments: ["../outside.safetensors", "/etc/passwd", "sub/x.safetensors", "", "..", "."])
  func aShardOutsideTheFolderIsAnError(name: String) throws {
    let model = try SmallModel.make()
    let parent = try Self.folder(model)
    // A file that would load, at the place that the index names.
    let all = parent.file("outside.safetensors")
    try SafetensorsFile.write(model.parameters, to: all)
    let folder = try TemporaryFolder(in: parent, "inner")
    try FileManager.default.createDirectory(
      at: folder.file("sub"), withIntermediateDirectories: true)
    try FileManager.default.copyItem(at: all, to: folder.file("sub/x.safetensors"))
    try FileManager.default.copyItem(
      at: parent.file("config.json"), to: folder.file("config.json"))
    try Self.write(["shared.weight": name], to: folder)
    let error = #expect(throws: (any Error).self) { try T5Model(folder: folder.url) }
    #expect(error is ModelError || error is TensorError)
  }

  @Test func namesAShardThatIsMissing() throws {
    let folder = try Self.folder(SmallModel.make())
    let name = "model-00002-of-00003.safetensors"
    try FileManager.default.removeItem(at: folder.file(name))
    let error = #expect(throws: TensorError.self) { try T5Model(folder: folder.url) }
    #expect(error?.description.contains(name) == true)
  }

  @Test(arguments: ["{}", "[]", "{\"weight_map\": 3}", "{\"weight_map\": {\"a\": 1}}", ""])
  func anIndexWithoutAMapIsAnError(text: String) throws {
    let folder = try Self.folder(SmallModel.make())
    try Data(text.utf8).write(to: folder.file(Self.index))
    let error = #expect(throws: ModelError.self) { try T5Model(folder: folder.url) }
    #expect(error?.description.contains(Self.index) == true)
  }

  @Test func aTensorThatNoShardHasIsMissing() throws {
    let folder = try Self.folder(SmallModel.make())
    try Self.write(
      ["shared.weight": "model-00001-of-00003.safetensors"], to: folder)
    let error = #expect(throws: ModelError.self) { try T5Model(folder: folder.url) }
    #expect(error?.description.contains("is missing") == true)
  }
}

import Foundation
import GLENTensor
import Testing

@testable import GLENModel

/// A folder with `pytorch_model.bin`, as Hugging Face wrote it for years
/// (`Tests/Parity/make_pytorch_checkpoints.py`).
struct OldFolderTests {
  private static func fixture(_ name: String) throws -> URL {
    try #require(Bundle.module.resourceURL).appendingPathComponent("Fixtures/OldFolder/" + name)
  }

  /// A folder of the named fixture files, under names of their own.
  private static func folder(_ files: [String: String]) throws -> TemporaryFolder {
    let folder = try TemporaryFolder()
    for (name, source) in files {
      try FileManager.default.copyItem(at: fixture(source), to: folder.file(name))
    }
    return folder
  }

  private static func expectFixture(_ folder: TemporaryFolder) throws {
    var warnings: [String] = []
    let model = try T5Model(folder: folder.url) { warnings.append($0) }
    let expected = try SafetensorsFile(contentsOf: fixture("expected.safetensors"))
    #expect(warnings.isEmpty, "the head is the table: \(warnings)")
    #expect(model.parameters.map(\.name).sorted() == expected.names)
    for (name, tensor) in model.parameters {
      #expect(try tensor.values() == expected.tensor(name).values(), "\(name)")
    }
  }

  @Test func loadsAsSafetensorsDo() throws {
    let folder = try Self.folder([
      "config.json": "config.json", "pytorch_model.bin": "pytorch_model.bin",
    ])
    try Self.expectFixture(folder)
  }

  @Test func loadsFromShards() throws {
    let shard = "pytorch_model-00001-of-00001.bin"
    let folder = try Self.folder(["config.json": "config.json", shard: "pytorch_model.bin"])
    let names = try PyTorchFile(contentsOf: folder.file(shard)).names
    let map = ["weight_map": Dictionary(uniqueKeysWithValues: names.map { ($0, shard) })]
    try JSONEncoder().encode(map).write(to: folder.file("pytorch_model.bin.index.json"))
    try Self.expectFixture(folder)
  }

  @Test func safetensorsComeFirst() throws {
    let folder = try Self.folder([
      "config.json": "config.json", "model.safetensors": "expected.safetensors",
    ])
    try Data("no checkpoint".utf8).write(to: folder.file("pytorch_model.bin"))
    try Self.expectFixture(folder)
  }

  @Test func aTableOfTheEncodersOwnIsAnError() throws {
    let model = try SmallModel.make()
    let folder = try SmallModel.folder(model) { tensors in
      var values = try model.table.values()
      values[0] += 1
      tensors.append(
        ("encoder.embed_tokens.weight", try Tensor(values, shape: model.table.shape)))
    }
    let error = #expect(throws: ModelError.self) { try T5Model(folder: folder.url) }
    #expect(error?.description.contains("encoder.embed_tokens.weight differs") == true)
  }
}

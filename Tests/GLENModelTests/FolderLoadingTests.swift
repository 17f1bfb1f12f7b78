import Foundation
import GLENTensor
import Testing

@testable import GLENModel

/// What a checkpoint may lack, have too much of, or say wrongly.
struct FolderLoadingTests {
  private static let names: [String] = {
    ((try? SmallModel.make())?.parameters ?? []).map(\.name)
  }()

  private static func reason(_ folder: TemporaryFolder) -> String {
    let error = #expect(throws: (any Error).self) { try T5Model(folder: folder.url) }
    guard let error, error is ModelError || error is TensorError else {
      Issue.record("unexpected error: \(String(describing: error))")
      return ""
    }
    let text = "\(error)"
    #expect(text.hasPrefix(folder.url.path), "names the folder: \(text)")
    return text
  }

  @Test func namesEachTensorThatIsMissing() throws {
    let model = try SmallModel.make()
    #expect(Self.names.count == 1 + 2 * 8 + 2 + 3 * 13 + 2)
    for name in Self.names {
      let folder = try SmallModel.folder(model) { tensors in
        tensors.removeAll { $0.name == name }
      }
      #expect(Self.reason(folder).hasSuffix("the tensor \(name) is missing"))
    }
  }

  @Test func namesEachTensorOfAnotherShape() throws {
    let model = try SmallModel.make()
    for name in Self.names {
      let folder = try SmallModel.folder(model) { tensors in
        for index in tensors.indices where tensors[index].name == name {
          let shape = Array(tensors[index].tensor.shape.reversed())
          // As many values, but turned round; a list gets one more.
          let new = shape.count == 2 ? shape : [shape[0] + 1]
          tensors[index].tensor = try Tensor(repeating: 0, shape: new)
        }
      }
      let text = Self.reason(folder)
      #expect(text.contains("\(name): expected ["), "\(text)")
    }
  }

  @Test(arguments: ["extra.weight", "encoder.block.2.layer.0.layer_norm.weight", "shared.bias"])
  func namesATensorThatIsUnexpected(name: String) throws {
    let folder = try SmallModel.folder(SmallModel.make()) { tensors in
      tensors.append((name, try Tensor(repeating: 0, shape: [2])))
    }
    #expect(Self.reason(folder).contains("the tensor \(name) is unexpected"))
  }

  @Test func leavesOutTheHeadWithAWarning() throws {
    let model = try SmallModel.make()
    let folder = try SmallModel.folder(model) { tensors in
      tensors.append(("lm_head.weight", try Tensor(repeating: 3, shape: [40, 12])))
    }
    var warnings: [String] = []
    let loaded = try T5Model(folder: folder.url) { warnings.append($0) }
    #expect(warnings.count == 1)
    #expect(warnings.first?.contains("lm_head.weight is left out") == true)
    #expect(try loaded.table.values() == model.table.values())
    let same = loaded.parameters.map(\.name) == model.parameters.map(\.name)
    #expect(same)
  }

  /// As t5-small to t5-11b of 2019 have it.
  @Test func passesOverTheUnusedBiasOfTheFirstT5() throws {
    let model = try SmallModel.make()
    let folder = try SmallModel.folder(model) { tensors in
      let name = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"
      tensors.append((name, try Tensor(repeating: 5, shape: [32, 2])))
    }
    var warnings: [String] = []
    let loaded = try T5Model(folder: folder.url) { warnings.append($0) }
    #expect(warnings.isEmpty)
    let (left, right) = (loaded.parameters, model.parameters)
    #expect(left.map(\.name) == right.map(\.name))
    for (left, right) in zip(left, right) {
      #expect(try left.tensor.values() == right.tensor.values())
    }
  }

  @Test func takesTheTableUnderItsOtherNamesWithoutAWord() throws {
    let model = try SmallModel.make()
    let folder = try SmallModel.folder(model) { tensors in
      tensors.append(("encoder.embed_tokens.weight", model.table))
      tensors.append(("decoder.embed_tokens.weight", model.table))
    }
    var warnings: [String] = []
    _ = try T5Model(folder: folder.url) { warnings.append($0) }
    #expect(warnings.isEmpty)
  }

  @Test(arguments: [
    ("d_model", 16 as any Sendable, "shared.weight"), ("vocab_size", 48, "shared.weight"),
    ("num_layers", 3, "encoder.block.2.layer.0.SelfAttention.q.weight is missing"),
    ("num_layers", 1, "encoder.block.1.layer.0.SelfAttention.k.weight is unexpected"),
    ("num_decoder_layers", 2, "decoder.block.2.layer.0.SelfAttention.k.weight is unexpected"),
    ("d_kv", 6, "SelfAttention.q.weight: expected [12, 12]"), ("num_heads", 3, "SelfAttention.q"),
    ("d_ff", 20, "DenseReluDense.wi.weight: expected [20, 12]"),
    ("relative_attention_num_buckets", 10, "relative_attention_bias.weight: expected [10, 2]"),
    ("feed_forward_proj", "gated-gelu", "wi_0.weight is missing"),
  ])
  func aConfigurationThatDoesNotMatchNamesATensor(
    key: String, value: any Sendable, text: String
  ) throws {
    let folder = try SmallModel.folder(SmallModel.make(), configuration: [key: value])
    let reason = Self.reason(folder)
    #expect(reason.contains(text), "\(reason)")
  }

  @Test func namesATensorOfAnotherType() throws {
    let model = try SmallModel.make()
    let folder = try TemporaryFolder()
    try model.save(to: folder.url)
    try SafetensorsFile.write(
      model.parameters.map { name, tensor in
        name == "decoder.final_layer_norm.weight"
          ? (name, .integers([Int32](repeating: 1, count: 12), shape: [12]))
          : (name, .float(tensor))
      }, to: folder.file("model.safetensors"))
    #expect(Self.reason(folder).contains("decoder.final_layer_norm.weight: expected F32"))
  }

  @Test func aFolderWithoutWeightsIsMissingAFile() throws {
    let folder = try SmallModel.folder(SmallModel.make())
    try FileManager.default.removeItem(at: folder.file("model.safetensors"))
    guard
      case .missingFile? = #expect(
        throws: ModelError.self,
        performing: {
          try T5Model(folder: folder.url)
        })
    else {
      Issue.record("not a missing file")
      return
    }
  }

  /// Cut anywhere, the file is an error and nothing is read beyond its end.
  @Test func aTruncatedFileIsAnErrorAtAnyLength() throws {
    let folder = try SmallModel.folder(SmallModel.make())
    let url = folder.file("model.safetensors")
    let whole = try Data(contentsOf: url)
    var generator = SeededGenerator(RandomKey(seed: 3))
    let lengths =
      [0, 1, 7, 8, 9, 100, whole.count - 1, whole.count - 4]
      + (0..<40).map { _ in Int.random(in: 0..<whole.count, using: &generator) }
    for length in lengths {
      try whole.prefix(length).write(to: url)
      #expect(Self.reason(folder).contains("model.safetensors"), "cut at \(length)")
    }
  }

  /// Any byte of the header may be wrong: an error, or a file that still holds every tensor.
  @Test func aDamagedHeaderNeverTraps() throws {
    let folder = try SmallModel.folder(SmallModel.make())
    let url = folder.file("model.safetensors")
    let whole = try Data(contentsOf: url)
    let header = 8 + Int(whole.withUnsafeBytes { $0.loadUnaligned(as: UInt64.self) })
    var generator = SeededGenerator(RandomKey(seed: 4))
    var failures = 0
    for round in 0..<300 {
      var damaged = whole
      for _ in 0..<(round % 3 + 1) {
        damaged[Int.random(in: 0..<header, using: &generator)] = UInt8.random(
          in: 0...255, using: &generator)
      }
      try damaged.write(to: url)
      do {
        let model = try T5Model(folder: folder.url)
        _ = try model.parameters.map { try $0.tensor.values() }
      } catch {
        #expect(error is ModelError || error is TensorError)
        failures += 1
      }
    }
    #expect(failures > 250)
  }

  @Test(arguments: [
    #"{"shared.weight":{"dtype":"F32","shape":[40,12],"data_offsets":[0,1920]}}"#,
    #"{"shared.weight":{"dtype":"F32","shape":[40,12],"data_offsets":[-8,1912]}}"#,
    #"{"shared.weight":{"dtype":"F32","shape":[-40,-12],"data_offsets":[0,4]}}"#,
    #"{"shared.weight":{"dtype":"F32","shape":[4611686018427387904,16],"data_offsets":[0,4]}}"#,
    #"{"shared.weight":{"dtype":"F32","shape":[40,12],"data_offsets":[0,4]}}"#,
    #"{"shared.weight":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}"#,
    #"{"shared.weight":{"dtype":"F31","shape":[1],"data_offsets":[0,4]}}"#,
    #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"#
      + #""b":{"dtype":"F32","shape":[1],"data_offsets":[2,6]}}"#,
    #"{"shared.weight":{"dtype":"F32","shape":[1],"data_offsets":[0]}}"#, "[]", "{", "",
  ])
  func aLyingHeaderIsAnError(header: String) throws {
    let folder = try SmallModel.folder(SmallModel.make())
    var data = withUnsafeBytes(of: UInt64(header.utf8.count).littleEndian) { Data($0) }
    data += Data(header.utf8)
    data += Data(count: 64)
    try data.write(to: folder.file("model.safetensors"))
    #expect(Self.reason(folder).contains("model.safetensors"))
  }
}

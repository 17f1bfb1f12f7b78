import Foundation
import GLENTensor
import Testing

@testable import GLENModel

struct ConfigurationTests {
  @Test(arguments: [false, true])
  func whatIsWrittenReadsBack(isGated: Bool) throws {
    var configuration = SmallModel.configuration(isGated: isGated)
    configuration.dropoutRate = 0.25
    configuration.normEpsilon = 1e-5
    let data = try JSONEncoder().encode(configuration)
    #expect(try JSONDecoder().decode(T5Configuration.self, from: data) == configuration)
  }

  @Test func absentKeysHaveTheDefaultsOfT5() throws {
    let configuration = try JSONDecoder().decode(T5Configuration.self, from: Data("{}".utf8))
    #expect(configuration == T5Configuration())
    let other = try JSONDecoder().decode(
      T5Configuration.self, from: Data(#"{"num_layers": 3, "n_positions": 512}"#.utf8))
    #expect((other.encoderLayers, other.decoderLayers) == (3, 3))
  }

  /// Each with a value just below its range and one just above it.
  @Test(arguments: [
    ("vocab_size", 3, 16_777_217), ("d_model", 0, 65537), ("d_kv", 0, 4097),
    ("d_ff", 0, 1_048_577), ("num_layers", 0, 1025), ("num_decoder_layers", 0, 1025),
    ("num_heads", 0, 1025), ("relative_attention_num_buckets", 3, 65537),
    ("relative_attention_max_distance", 1, 1_048_577), ("d_model", -8, Int.max),
  ])
  func namesTheExtentThatIsOutOfRange(key: String, below: Int, above: Int) throws {
    for value in [below, above] {
      let folder = try SmallModel.folder(SmallModel.make(), configuration: [key: value])
      let error = #expect(throws: ModelError.self) { try T5Model(folder: folder.url) }
      guard case .configuration(let path, let reason)? = error else {
        Issue.record("unexpected error: \(String(describing: error))")
        continue
      }
      #expect(path == folder.file("config.json").path)
      #expect(reason.hasPrefix("\(key) is \(value); expected "))
    }
  }

  @Test(arguments: [
    ("dropout_rate", -0.1), ("dropout_rate", 1), ("layer_norm_epsilon", 0),
    ("layer_norm_epsilon", -1e-6), ("layer_norm_epsilon", 1),
  ])
  func namesTheRateThatIsOutOfRange(key: String, value: Double) throws {
    let folder = try SmallModel.folder(SmallModel.make(), configuration: [key: value])
    let error = #expect(throws: ModelError.self) { try T5Model(folder: folder.url) }
    #expect(error?.description.contains(key) == true)
  }

  /// Otherwise the logarithm of the bucket function would divide by zero.
  @Test func theGreatestDistanceMustExceedTheExactBuckets() throws {
    var configuration = SmallModel.configuration()
    configuration.relativeMaximumDistance = configuration.relativeBuckets / 2
    #expect(throws: ModelError.self) { try configuration.validate() }
    configuration.relativeMaximumDistance += 1
    try configuration.validate()
    let model = try T5Model(random: configuration, key: RandomKey(seed: 1))
    let states = try model.encode(SmallModel.batch([[Int32](repeating: 3, count: 60)])).values()
    #expect(states.allSatisfy { $0.isFinite })
  }

  @Test(arguments: ["gated-silu", "gelu", "", "ReLU"])
  func rejectsUnknownActivations(name: String) throws {
    let folder = try SmallModel.folder(
      SmallModel.make(), configuration: ["feed_forward_proj": name])
    let error = #expect(throws: ModelError.self) { try T5Model(folder: folder.url) }
    #expect(error?.description.contains("feed_forward_proj is \(name)") == true)
    #expect(error?.description.contains("relu or gated-gelu") == true)
  }

  @Test func namesTheKeyOfAnotherType() throws {
    let folder = try SmallModel.folder(SmallModel.make(), configuration: ["d_model": "wide"])
    let error = #expect(throws: ModelError.self) { try T5Configuration(folder: folder.url) }
    #expect(error?.description.contains("d_model") == true)
    try SmallModel.change(folder, ["d_model": 12.5])
    #expect(throws: ModelError.self) { try T5Configuration(folder: folder.url) }
  }

  @Test(arguments: ["", "[]", "{\"d_model\": 12", "null", "\u{FF}"])
  func rejectsWhatIsNoConfiguration(text: String) throws {
    let folder = try SmallModel.folder(SmallModel.make())
    try Data(text.utf8).write(to: folder.file("config.json"))
    let error = #expect(throws: ModelError.self) { try T5Configuration(folder: folder.url) }
    guard case .configuration(let path, let reason)? = error else {
      Issue.record("unexpected error: \(String(describing: error))")
      return
    }
    #expect(path == folder.file("config.json").path && !reason.isEmpty)
  }

  @Test func aFolderWithoutConfigurationIsMissingAFile() throws {
    let folder = try TemporaryFolder()
    let error = #expect(throws: ModelError.self) { try T5Model(folder: folder.url) }
    guard case .missingFile(let path, _)? = error else {
      Issue.record("unexpected error: \(String(describing: error))")
      return
    }
    #expect(path == folder.file("config.json").path)
  }

  /// Hugging Face's `num_parameters()` of t5-small and t5-base.
  @Test(arguments: [("small", 60_506_624), ("base", 222_903_552)])
  func presetsHaveTheSizesOfT5(name: String, count: Int) throws {
    let configuration = try #require(T5Configuration(preset: name))
    var sum = 0
    _ = try T5Model(configuration) { _, shape in
      sum += shape.reduce(1, *)
      return try Tensor(repeating: 0, shape: [1])
    }
    #expect(sum == count)
  }

  @Test func allPresetsAreValidAndOthersAreNone() throws {
    for name in T5Configuration.presets {
      try #require(T5Configuration(preset: name)).validate()
    }
    #expect(T5Configuration(preset: "large") == nil)
  }
}

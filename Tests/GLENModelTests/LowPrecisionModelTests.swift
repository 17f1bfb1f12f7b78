import Foundation
import GLENTensor
import Testing

@testable import GLENModel

@Suite("Models of low precision")
struct LowPrecisionModelTests {
  private func states(_ model: T5Model) throws -> [Float] {
    try model.logits(model.rollout(SmallModel.batch(SmallModel.texts(4)), steps: 3)).values()
  }

  /// Eight bits of activations and of weights in a network so narrow that errors hardly average out.
  @Test(
    arguments: [(LowPrecision.int8, 0.08), (.bf16, 0.06)] as [(LowPrecision, Float)], [false, true])
  func logitsStayClose(_ rounding: (precision: LowPrecision, tolerance: Float), isGated: Bool)
    throws
  {
    let model = try SmallModel.make(isGated: isGated)
    let expected = try states(model)
    let difference = relativeDifference(
      try states(model.quantized(to: rounding.precision)), expected)
    #expect(difference < rounding.tolerance)
    // Were nothing rounded, this test would show nothing.
    #expect(difference > 1e-4)
  }

  @Test(arguments: LowPrecision.allCases)
  func aSavedModelIsTheSame(_ precision: LowPrecision) throws {
    let model = try SmallModel.make(isGated: true).quantized(to: precision)
    let folder = try TemporaryFolder()
    try model.save(to: folder.file("a"))
    let loaded = try T5Model(folder: folder.file("a"))
    #expect(loaded.configuration == model.configuration)
    #expect(loaded.configuration.precision == precision)
    #expect(try states(loaded) == states(model))
    try loaded.save(to: folder.file("b"))
    for name in ["config.json", "model.safetensors"] {
      let (first, second) = (folder.file("a/\(name)"), folder.file("b/\(name)"))
      #expect(try Data(contentsOf: first) == Data(contentsOf: second))
    }
  }

  @Test func everyMatrixButThePositionBiasesIsRounded() throws {
    let model = try SmallModel.make().quantized(to: .int8)
    for (name, tensor) in model.parameters {
      let isPlain = tensor.shape.count == 1 || name.contains("relative_attention_bias")
      #expect((tensor.precision == nil) == isPlain, "\(name)")
    }
  }

  @Test func whatIsRoundedIsNotRoundedAgain() throws {
    let model = try SmallModel.make().quantized(to: .int8)
    let error = #expect(throws: ModelError.self) { try model.quantized(to: .bf16) }
    #expect(error?.description.contains("the weights are in int8") == true)
  }

  @Test func anotherMethodIsRefused() throws {
    let folder = try SmallModel.folder(
      SmallModel.make(), configuration: ["quantization_config": ["quant_method": "gptq"]])
    let error = #expect(throws: ModelError.self) { try T5Model(folder: folder.url) }
    #expect(error?.description.contains("gptq") == true)
  }

  /// What config.json says of the weights is what they are.
  @Test func otherWeightsThanSaidAreRefused() throws {
    let claimed = ["quantization_config": ["quant_method": "glen", "weights": "bf16"]]
    for model in [try SmallModel.make(), try SmallModel.make().quantized(to: .int8)] {
      let folder = try TemporaryFolder()
      try model.save(to: folder.url)
      try SmallModel.change(folder, claimed)
      let error = #expect(throws: ModelError.self) { try T5Model(folder: folder.url) }
      #expect(error?.description.contains("is not in bf16, as config.json says") == true)
    }
  }

  @Test func aMissingMatrixIsNamed() throws {
    let folder = try TemporaryFolder()
    try SmallModel.make().quantized(to: .int8).save(to: folder.url)
    var data = try Data(contentsOf: folder.file("model.safetensors"))
    let name = try #require(data.range(of: Data("\"shared.weight\"".utf8)))
    data.replaceSubrange(name, with: Data("\"shared.height\"".utf8))
    try data.write(to: folder.file("model.safetensors"))
    let error = #expect(throws: ModelError.self) { try T5Model(folder: folder.url) }
    #expect(error?.description.contains("shared.weight") == true)
  }
}

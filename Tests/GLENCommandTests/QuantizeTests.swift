import Foundation
import Testing

/// A model of low precision is indexed, searched and evaluated as any other, and not trained.
@Suite("Quantized models", .enabled(if: CommandLineTool.isBuilt, "glen is not built"))
struct QuantizeTests {
  @Test(arguments: ["int8", "bf16"])
  func aQuantizedModelIsUsedAsAnyOther(type: String) throws {
    let (source, folder) = (try ToyProject.folder(), try TemporaryFolder())
    let (model, index) = (folder.path("model"), folder.path("index"))
    let quantize = [
      "quantize", source.path("model"), "--type", type, "--out", model,
    ]
    for command in [
      quantize, quantize,  // replaces an earlier one
      ["index", "--model", model, "--corpus", source.path("corpus"), "--out", index],
      ["search", index, "what lives in hives", "--json"],
      ["evaluate", index, "--corpus", source.path("corpus")], ["verify", index],
      ["bench", "--model", model, "--length", "5", "--runs", "1"],
    ] {
      let outcome = try CommandLineTool.run(command)
      #expect(outcome.status == 0, "\(command[0]): \(outcome.error)")
    }
    let weights = { (path: String) in
      try FileManager.default.attributesOfItem(atPath: path + "/model.safetensors")[.size] as? Int
    }
    let (small, large) = (try weights(model) ?? 0, try weights(source.path("model")) ?? 0)
    #expect(small > 0 && Double(small) < Double(large) * (type == "int8" ? 0.3 : 0.55))
  }

  /// Rounded weights that are no more than that: half the bytes, trained as any other.
  @Test func aPortableModelIsTrainedOn() throws {
    let (source, folder) = (try ToyProject.folder(), try TemporaryFolder())
    let half = folder.path("half")
    for command in [
      ["quantize", source.path("model"), "--type", "bf16", "--portable", "--out", half],
      [
        "train", "--corpus", source.path("corpus"), "--recipe", source.path("recipe.json"),
        "--init", half, "--out", folder.path("out"),
      ],
    ] {
      let outcome = try CommandLineTool.run(command)
      #expect(outcome.status == 0, "\(command[0]): \(outcome.error)")
    }
    let size = { (path: String) in
      try FileManager.default.attributesOfItem(atPath: path + "/model.safetensors")[.size] as? Int
    }
    let (small, large) = (try size(half) ?? 0, try size(folder.path("out")) ?? 0)
    #expect(small > 0 && Double(small) < 0.55 * Double(large))
    let wrong = try CommandLineTool.run([
      "quantize", source.path("model"), "--type", "int8", "--portable", "--out", half,
    ])
    #expect(wrong.status == 64)
  }

  /// The two models' identifiers differ, so each index goes with its own.
  @Test func anIndexKeepsToItsModel() throws {
    let folder = try ToyProject.copy("index")
    let quantized = try CommandLineTool.run(
      "quantize", ToyProject.folder().path("model"), "--type", "int8", "--out",
      folder.path("model"))
    #expect(quantized.status == 0, "\(quantized.error)")
    let names = try FileManager.default.contentsOfDirectory(atPath: folder.path("index"))
    let inside = try #require(names.first { $0.hasPrefix("model-") })
    try FileManager.default.removeItem(atPath: folder.path("index/" + inside))
    try FileManager.default.copyItem(
      atPath: folder.path("model"), toPath: folder.path("index/" + inside))
    let outcome = try CommandLineTool.run("search", folder.path("index"), "what lives in hives")
    #expect(outcome.status == 65)
    #expect(outcome.error.contains("not the model that made the index"), "\(outcome.error)")
  }

  @Test func trainingARoundedModelIs65() throws {
    let (source, folder) = (try ToyProject.folder(), try TemporaryFolder())
    let model = folder.path("model")
    _ = try CommandLineTool.run(
      "quantize", source.path("model"), "--type", "int8", "--out", model)
    for command in [
      [
        "train", "--corpus", source.path("corpus"), "--recipe", source.path("recipe.json"),
        "--init", model, "--out", folder.path("out"),
      ],
      ["quantize", model, "--type", "bf16", "--out", folder.path("out")],
    ] {
      let outcome = try CommandLineTool.run(command)
      #expect(outcome.status == 65)
      #expect(outcome.error.contains("the weights are in int8"), "\(outcome.error)")
    }
    #expect(
      try CommandLineTool.run("quantize", model, "--type", "int8", "--out", model).status == 64)
    #expect(
      try CommandLineTool.run(
        "quantize", folder.path("none"), "--type", "int8", "--out", folder.path("out")
      ).status == 66)
  }

  @Test func aWeightThatIsNoNumberIsNamed() throws {
    let (project, folder) = (try ToyProject.copy("model"), try TemporaryFolder())
    let file = URL(fileURLWithPath: project.path("model/model.safetensors"))
    var weights = try Data(contentsOf: file)
    weights.replaceSubrange(weights.count - 4..<weights.count, with: [0, 0, 0xC0, 0x7F])
    try weights.write(to: file)
    for type in ["int8", "bf16"] {
      let outcome = try CommandLineTool.run(
        "quantize", project.path("model"), "--type", type, "--out", folder.path("out"))
      #expect(outcome.status == 65)
      #expect(outcome.error.contains(".weight has a value that is no number"), "\(outcome.error)")
    }
    #expect(!FileManager.default.fileExists(atPath: folder.path("out")))
  }
}

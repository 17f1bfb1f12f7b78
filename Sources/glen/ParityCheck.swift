import GLENModel
import GLENPlatform
import GLENTensor
import GLENTraining

/// Golden cases from PyTorch (`Tests/Parity/README.md`) on any device: states, logits, the loss of
/// phase 1 and its gradients, within the tolerances of the tests, or of what the device rounds.
enum ParityCheck {
  private struct Settings: Decodable {
    // swift-format-ignore: AlwaysUseLowerCamelCase
    var identifier_length: Int
  }

  /// Checks the case in a folder, or all below it; gives the number of those that fail.
  static func run(_ folder: URL, on backend: any Backend) throws -> Int {
    let marker = "case.json"
    let isCase = { (url: URL) in
      FileManager.default.fileExists(atPath: url.appendingPathComponent(marker).path)
    }
    let inside = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
    let folders =
      isCase(folder)
      ? [folder] : inside.sorted().map { folder.appendingPathComponent($0) }.filter(isCase)
    guard !folders.isEmpty else {
      throw TrainingError.fileNotFound(
        path: folder.appendingPathComponent(marker).path, expected: "a parity case")
    }
    var failed = 0
    for folder in folders {
      let worst = try differences(of: folder, on: backend)
      let isRight = worst.allSatisfy { $0.difference <= $0.tolerance }
      failed += isRight ? 0 : 1
      SelfTest.row(
        "parity \(folder.lastPathComponent)", isRight ? "agrees" : "FAILED",
        worst.map { $0.name + String(printf: " %.1e", $0.difference) }.joined(separator: ", "))
    }
    return failed
  }

  private static func differences(
    of folder: URL, on backend: any Backend
  ) throws -> [(name: String, difference: Double, tolerance: Double)] {
    let settings = try JSONDecoder().decode(
      Settings.self, from: Data(contentsOf: folder.appendingPathComponent("case.json")))
    let inputs = try SafetensorsFile(
      contentsOf: folder.appendingPathComponent("inputs.safetensors"))
    let expected = try SafetensorsFile(
      contentsOf: folder.appendingPathComponent("expected.safetensors"))
    let model = try T5Model(folder: folder, on: backend)
    let (ids, shape) = try inputs.integers("query_ids")
    let mask = try inputs.integers("query_mask").values
    let queries = (0..<shape[0]).map { row in
      (row * shape[1]..<(row + 1) * shape[1]).filter { mask[$0] != 0 }.map { ids[$0] }
    }
    let size = model.configuration.vocabularySize
    let batch = try TokenBatch(queries, vocabularySize: size, on: backend)
    let states = try model.rollout(batch, steps: settings.identifier_length)
    let logits = try model.logits(states)
    let (labels, labelShape) = try inputs.integers("keyword_labels")
    let targets = (0..<labelShape[0]).map {
      Array(labels[$0 * labelShape[1]..<($0 + 1) * labelShape[1]])
    }
    let (loss, gradients) = try valueAndGradient(of: model) {
      try KeywordLoss.value($0, batch, targets: targets)
    }
    var ofGradients = 0.0
    for (name, parameter) in model.parameters {
      let key = "keyword_grad." + name
      let zeros = [Float](repeating: 0, count: parameter.count)
      let golden = expected.shape(of: key) == nil ? zeros : try expected.tensor(key).values()
      let got = try gradients[name]?.values() ?? zeros
      // A gradient that is nothing but rounding has no relative difference.
      if zip(got, golden).allSatisfy({ abs($0 - $1) < 1e-7 }) { continue }
      ofGradients = max(ofGradients, difference(got, golden))
    }
    let rounding = SelfTest.rounding(of: backend)
    let differences = [
      ("states", difference(try states.values(), try values("decoder_states", expected)), 1e-4),
      ("logits", difference(try logits.values(), try values("logits", expected)), 1e-4),
      ("loss", difference(try loss.values(), try values("keyword_loss", expected)), 1e-5),
      ("gradients", ofGradients, 1e-3),
    ]
    return differences.map { name, difference, tolerance in
      let rounded =
        name == "loss"
        ? rounding.loss : name == "gradients" ? rounding.gradients : rounding.states
      return (name, difference, max(tolerance, rounded))
    }
  }

  private static func values(_ name: String, _ file: SafetensorsFile) throws -> [Float] {
    try file.tensor(name).values()
  }

  /// The greatest difference, relative to the greatest magnitude expected; infinite where something
  /// is not a number.
  private static func difference(_ got: [Float], _ expected: [Float]) -> Double {
    guard got.count == expected.count, got.allSatisfy(\.isFinite) else { return .infinity }
    let greatest = zip(got, expected).map { abs(Double($0) - Double($1)) }.max() ?? 0
    return greatest / max(Double(expected.map(abs).max() ?? 0), 1e-12)
  }
}

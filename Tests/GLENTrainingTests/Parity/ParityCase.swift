import Foundation
import GLENModel
import GLENTensor
import Testing

/// One folder of golden numbers from PyTorch; the format is described in Tests/Parity/README.md.
struct ParityCase: Sendable, CustomTestStringConvertible {
  let folder: URL
  var testDescription: String { folder.lastPathComponent }

  struct Settings: Decodable, Sendable {
    var identifier_length: Int
    var documents_per_query: Int
    var temperature: Float
    var lambda_point: Float
    var lambda_dist: Float
    var masked_token_ids: [Int32]
  }

  /// The cases among the fixtures.
  static let fixtures = cases(
    in: Bundle.module.resourceURL?.appendingPathComponent("Fixtures/Parity"))

  /// The cases in the folder that `GLEN_PARITY_CASES` names, or nil if it names none.
  static let further = ProcessInfo.processInfo.environment["GLEN_PARITY_CASES"].map {
    cases(in: URL(fileURLWithPath: $0))
  }

  static let all = fixtures + (further ?? [])

  private static func cases(in folder: URL?) -> [ParityCase] {
    let contents = folder.flatMap {
      try? FileManager.default.contentsOfDirectory(at: $0, includingPropertiesForKeys: nil)
    }
    return (contents ?? []).sorted { $0.path < $1.path }.filter {
      FileManager.default.fileExists(atPath: $0.appendingPathComponent("case.json").path)
    }.map(ParityCase.init)
  }

  func settings() throws -> Settings {
    try JSONDecoder().decode(
      Settings.self, from: Data(contentsOf: folder.appendingPathComponent("case.json")))
  }

  func model() throws -> T5Model { try T5Model(folder: folder) }

  func file(_ name: String) throws -> SafetensorsFile {
    try SafetensorsFile(contentsOf: folder.appendingPathComponent(name))
  }

  /// The unpadded sequences of `<name>_ids` and `<name>_mask`.
  func sequences(_ name: String) throws -> [[Int32]] {
    let inputs = try file("inputs.safetensors")
    let (ids, shape) = try inputs.integers(name + "_ids")
    let mask = try inputs.integers(name + "_mask").values
    return (0..<shape[0]).map { row in
      (row * shape[1]..<(row + 1) * shape[1]).filter { mask[$0] != 0 }.map { ids[$0] }
    }
  }
}

/// The greatest difference between two tensors, relative to the greatest magnitude expected.
func relativeDifference(_ got: [Float], _ expected: [Float]) -> Float {
  guard got.count == expected.count else { return .infinity }
  var difference: Float = 0
  var magnitude: Float = 0
  for (a, b) in zip(got, expected) {
    guard a.isFinite else { return .infinity }
    difference = max(difference, abs(a - b))
    magnitude = max(magnitude, abs(b))
  }
  return difference / max(magnitude, 1e-12)
}

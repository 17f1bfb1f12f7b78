import Foundation
import GLENTensor
import Testing

@testable import GLENModel

/// Networks that are small enough to test with, and everything that a test does to their files.
enum SmallModel {
  /// A shape in which no two extents are equal, so that no two can be mixed up.
  static func configuration(isGated: Bool = false) -> T5Configuration {
    var c = T5Configuration()
    (c.vocabularySize, c.width, c.headWidth, c.feedForwardWidth) = (40, 12, 5, 21)
    (c.encoderLayers, c.decoderLayers, c.heads) = (2, 3, 2)
    (c.relativeBuckets, c.relativeMaximumDistance) = (8, 16)
    c.isGated = isGated
    return c
  }

  /// A network whose logits are far enough apart for comparisons to mean something.
  static func make(isGated: Bool = false, seed: UInt64 = 1) throws -> T5Model {
    try T5Model(random: configuration(isGated: isGated), key: RandomKey(seed: seed))
  }

  /// The parameters as a checkpoint holds them.
  static func tensors(_ model: T5Model) -> [(name: String, tensor: Tensor)] { model.parameters }

  /// A folder of a network whose tensors and configuration were changed on the way.
  static func folder(
    _ model: T5Model, configuration: [String: any Sendable] = [:],
    edit: (inout [(name: String, tensor: Tensor)]) throws -> Void = { _ in }
  ) throws -> TemporaryFolder {
    let folder = try TemporaryFolder()
    try model.save(to: folder.url)
    var parameters = tensors(model)
    try edit(&parameters)
    try SafetensorsFile.write(parameters, to: folder.file("model.safetensors"))
    if !configuration.isEmpty { try change(folder, configuration) }
    return folder
  }

  /// Replaces keys of a folder's `config.json`.
  static func change(_ folder: TemporaryFolder, _ keys: [String: any Sendable]) throws {
    let url = folder.file("config.json")
    let old = try JSONSerialization.jsonObject(with: Data(contentsOf: url))
    var object = try #require(old as? [String: Any])
    for (key, value) in keys { object[key] = value }
    try JSONSerialization.data(withJSONObject: object).write(to: url)
  }

  /// Texts of different lengths, each with an end token.
  static func texts(_ count: Int, seed: UInt64 = 7) -> [[Int32]] {
    var generator = SeededGenerator(RandomKey(seed: seed))
    return (0..<count).map { index in
      (0..<(index * 5) % 9).map { _ in Int32.random(in: 3..<40, using: &generator) } + [1]
    }
  }

  static func batch(_ texts: [[Int32]]) throws -> TokenBatch {
    try TokenBatch(texts, vocabularySize: configuration().vocabularySize)
  }
}

/// The greatest difference between two lists, relative to the greatest magnitude.
func relativeDifference(_ left: [Float], _ right: [Float]) -> Float {
  guard left.count == right.count else { return .infinity }
  var (difference, magnitude): (Float, Float) = (0, 1e-12)
  for (a, b) in zip(left, right) {
    guard a.isFinite, b.isFinite else { return .infinity }
    difference = max(difference, abs(a - b))
    magnitude = max(magnitude, abs(b))
  }
  return difference / magnitude
}

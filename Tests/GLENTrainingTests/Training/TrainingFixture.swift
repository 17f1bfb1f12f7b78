import Foundation
import GLENModel
import Testing

/// The fixtures that Tests/Parity/make_training_cases.py makes.
enum TrainingFixture {
  static func url(_ name: String) throws -> URL {
    try #require(Bundle.module.resourceURL?.appendingPathComponent("Fixtures/Training/\(name)"))
  }

  static func model() throws -> T5Model { try T5Model(folder: url("")) }

  static func decoded<Value: Decodable>(_: Value.Type, _ name: String) throws -> Value {
    try JSONDecoder().decode(Value.self, from: Data(contentsOf: url(name)))
  }
}

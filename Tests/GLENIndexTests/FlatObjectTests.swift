import Foundation
import Testing

@testable import GLENIndex

/// The reader of metadata gives what a general decoder gives, or leaves it to that one.
@Suite struct FlatObjectTests {
  private func values(_ data: Data) -> [String: MetadataValue]? {
    data.withUnsafeBytes { FlatObject.values($0) }
  }

  private func decoded(_ data: Data) -> [String: MetadataValue]? {
    try? JSONDecoder().decode([String: MetadataValue].self, from: data)
  }

  @Test func whatTheCatalogWritesIsRead() throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    for object in [
      ["year": 2025, "kind": "note/é", "kept": true, "gone": false],
      ["a": .number(-0.25), "b": .number(1e300), "c": .number(3e-9), "d": .number(0)],
      ["": .string(""), "😀": .string("日本")],
    ] as [[String: MetadataValue]] {
      let data = try encoder.encode(object)
      #expect(values(data) == object && decoded(data) == object)
    }
  }

  @Test(arguments: [
    "", "{", "{}", "[]", "null", "{\"a\":1", "{\"a\":1}}", "{\"a\":01}", "{\"a\":-}", "{\"a\":1.}",
    "{\"a\":.5}", "{\"a\":1e}", "{\"a\":1e999}", "{\"a\":nan}", "{\"a\":tru}", "{\"a\":null}",
    "{\"a\":[1]}",
    "{\"a\": 1}", "{\"a\":1,}", "{\"a\":1,\"a\":2}", "{\"a\":\"\\n\"}", "{a:1}", "{\"a\":\"b}",
    "{\"a\":\"\u{1}\"}",
  ])
  func whatIsOtherwiseIsLeft(text: String) {
    #expect(values(Data(text.utf8)) == nil)
  }

  /// Whatever the bytes: never another value than the decoder's.
  @Test func mutationsAgreeWithTheDecoder() {
    var generator = SeededGenerator(seed: 5)
    let seeds = [
      "{\"year\":2025,\"kind\":\"note\",\"kept\":true}", "{\"a\":-1.5e-3,\"b\":false,\"é\":\"ü\"}",
    ]
    let bytes = Array("{}\":,0123456789.-+eEtrufalsn\\ \u{1}é".utf8)
    var read = 0
    for round in 0..<4000 {
      var data = Data(seeds[round % 2].utf8)
      for _ in 0..<Int.random(in: 1...2, using: &generator) {
        let place = Int.random(in: 0..<data.count, using: &generator)
        data[place] = bytes.randomElement(using: &generator) ?? 0
      }
      guard let values = values(data) else { continue }
      read += 1
      #expect(values == decoded(data), "\(String(decoding: data, as: UTF8.self))")
    }
    #expect(read > 500)
  }
}

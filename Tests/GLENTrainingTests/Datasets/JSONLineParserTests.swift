import Foundation
import Testing

@testable import GLENTraining

struct JSONLineParserTests {
  @Test func handsOverMembersInOrder() throws {
    let members = try parse(
      #" {"_id" : 12, "a":{"x":[1,{"y":"]}"}]}, "b":true,"c":null, "text":"t","n":-1.5e+3} "#)
    #expect(members.map(\.name) == ["_id", "a", "b", "c", "text", "n"])
    #expect(
      members.map(\.value) == [
        .number("12"), .object(["x": .other]), .bool(true), .null, .string("t"),
        .number("-1.5e+3"),
      ])
    #expect(try parse("{}").isEmpty)
  }

  @Test func unescapesStrings() throws {
    let members = try parse(#"{"a":"\"\\\/\b\f\n\r\t\u00e9\u20AC\ud83d\ude00 é€😀"}"#)
    #expect(members.first?.value == .string("\"\\/\u{8}\u{C}\n\r\té€😀 é€😀"))
  }

  @Test(arguments: [
    "", "[]", "1", "{", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{a:1}", "{'a':1}", "{\"a\":1} x",
    "{\"a\":1}{}", "{\"a\":01}", "{\"a\":1.}", "{\"a\":.5}", "{\"a\":+1}", "{\"a\":1e}",
    "{\"a\":-}", "{\"a\":NaN}", "{\"a\":tru}", "{\"a\":nul", "{\"a\":\"x}", "{\"a\":\"\\x\"}",
    "{\"a\":\"\\u12\"}", "{\"a\":\"\\u12g4\"}", "{\"a\":\"\\ud800\"}", "{\"a\":\"\\udc00\"}",
    "{\"a\":\"\\ud800\\u0041\"}", "{\"a\":\"\\", "{\"a\":\"\u{1}\"}", "{\"a\":[1,]}",
    "{\"a\":[1 2]}", "{\"a\":[}", "{,}", "{\"a\" 1}",
  ])
  func rejectsWhatIsNotOneObject(line: String) {
    #expect(throws: LineProblem.self) { try parse(line) }
  }

  @Test func rejectsInvalidUTF8() {
    let line = Array(#"{"a":""#.utf8) + [0xC3, 0x28] + Array(#""}"#.utf8)
    #expect(
      throws: LineProblem(
        expected: "UTF-8 text", got: "invalid UTF-8 in the string at column 6")
    ) {
      try parse(line)
    }
    let escaped = Array(#"{"a":"\n"#.utf8) + [0xFF] + Array(#""}"#.utf8)
    #expect(throws: LineProblem.self) { try parse(escaped) }
  }

  @Test func deepNestingIsAnErrorAndNotACrash() throws {
    let depth = JSONLineParser.depthLimit - 1
    _ = try parse(#"{"a":\#(nested(depth))}"#)
    #expect(throws: LineProblem.self) { try parse(#"{"a":\#(nested(depth + 1))}"#) }
    #expect(throws: LineProblem.self) {
      try parse(#"{"a":\#(String(repeating: "[", count: 100_000))"#)
    }
  }

  @Test func problemsNameTheColumn() {
    #expect(
      throws: LineProblem(expected: "',' or '}' after a member", got: "'x' at column 8")
    ) {
      try parse(#"{"a":1 x}"#)
    }
  }

  /// Damages a line at random and asks Foundation whether what is left is JSON.
  @Test func agreesWithFoundationOnDamagedLines() throws {
    let original = Array(
      #"{"_id":"d\u00e9\n1","title":null,"text":"caf\"e","m":{"x":[1,-2.5e3,true,{}]}}"#.utf8)
    let alphabet = Array(#"{}[]":,\unt1e-.0 x"#.utf8)
    var random = SeededGenerator(seed: 7)
    var accepted = 0
    for _ in 0..<3000 {
      var line = original
      for _ in 0..<Int.random(in: 1...2, using: &random) {
        let position = line.indices.randomElement(using: &random) ?? 0
        switch Int.random(in: 0..<3, using: &random) {
        case 0: line.remove(at: position)
        case 1: line.insert(alphabet.randomElement(using: &random) ?? 0, at: position)
        default: line[position] = alphabet.randomElement(using: &random) ?? 0
        }
      }
      let ours = try? parse(line)
      let theirs = try? JSONSerialization.jsonObject(with: Data(line)) as? [String: Any]
      #expect(
        (ours == nil) == (theirs == nil), "\(String(decoding: line, as: UTF8.self))")
      guard let ours, let theirs else { continue }
      accepted += 1
      for (name, value) in ours {
        guard case .string(let text) = value, ours.count(where: { $0.name == name }) == 1 else {
          continue
        }
        #expect(theirs[name] as? String == text)
      }
    }
    #expect(accepted > 100)
  }

  private func nested(_ depth: Int) -> String {
    String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
  }

  private func parse(_ line: String) throws(LineProblem) -> [(name: String, value: JSONScalar)] {
    try parse(Array(line.utf8))
  }

  @discardableResult
  private func parse(_ line: [UInt8]) throws(LineProblem) -> [(name: String, value: JSONScalar)] {
    var members: [(name: String, value: JSONScalar)] = []
    var parser = JSONLineParser(line)
    try parser.parseObject { members.append(($0, $1)) }
    return members
  }
}

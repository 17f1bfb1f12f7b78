import Foundation
import Testing

@testable import GLENPlatform

@Suite struct PlatformTests {
  @Test(arguments: [
    ("%.1f", 2.25, "2.2"), ("%.3g", 1234.5, "1.23e+03"), ("%+8.2f|", 0.005, "   +0.01|"),
    ("%.0f", 1e15, "1000000000000000"), ("%.1f", .infinity, "inf"),
  ])
  func numbersAreWrittenAsPrintfDoes(format: String, value: Double, expected: String) {
    #expect(String(printf: format, value) == expected)
  }

  @Test func whatIsLongIsWhole() {
    let text = String(
      printf: "%.0f %.0f", Double.greatestFiniteMagnitude, -Double.greatestFiniteMagnitude)
    #expect(text.count == 2 * 309 + 2)
    #expect(text.split(separator: " ").map(String.init).compactMap(Double.init).count == 2)
  }

  #if os(Linux)
    private nonisolated(unsafe) static let german: locale_t? = {
      for name in ["de_DE.UTF-8", "de_DE.utf8", "de_DE"] {
        if let locale = newlocale(1 << LC_NUMERIC, name, nil) { return locale }
      }
      return nil
    }()

    /// German writes decimal commas.
    @Test(.enabled(if: german != nil, "this machine has no German locale"))
    func theLocaleIsNoMatter() {
      let former = uselocale(Self.german)
      defer { uselocale(former) }
      #expect(String(printf: "%.1f %ld", 0.5, 7) == "0.5 7")
      #expect(uselocale(nil) == Self.german, "it is put back")
    }
  #endif

  @Test(arguments: [
    ("ab", 4, "ab  "), ("abcd", 2, "abcd"),
    ("\u{E9}\u{1F469}\u{200D}\u{1F4BB}", 3, "\u{E9}\u{1F469}\u{200D}\u{1F4BB} "),
  ])
  func paddingCountsCharacters(text: String, width: Int, expected: String) {
    #expect(text.padded(to: width) == expected)
  }

  @Test func reasonsAreTheSystems() throws {
    let missing = URL(fileURLWithPath: "/nowhere/at/all")
    #expect(SystemError(code: ENOENT).description == "No such file or directory")
    let failures: [() throws -> Void] = [
      { _ = try Data(contentsOf: missing) },
      { try Data([1]).write(to: missing) },
      { try Data([1]).write(to: missing, options: .atomic) },
      { _ = try FileManager.default.contentsOfDirectory(atPath: missing.path) },
      { _ = try OpenFile(appendingTo: missing) },
    ]
    for failure in failures {
      let error = try #require(throws: (any Error).self) { try failure() }
      #expect(error.reason == "No such file or directory")
    }
    let decoding = #expect(throws: DecodingError.self) {
      try JSONDecoder().decode([String: Int].self, from: Data(#"{"a": "b"}"#.utf8))
    }
    #expect(decoding?.reason.hasPrefix("a: ") == true)
    struct Other: Error, CustomStringConvertible { let description = "other" }
    #expect(Other().reason == "other")
  }

  @Test func anOpenFileIsAppendedToAndRead() throws {
    let url = FileManager.default.temporaryDirectory.appendingPathComponent(
      "glen-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: url) }
    try Data("ab".utf8).write(to: url)
    do {
      let (one, other) = (try OpenFile(appendingTo: url), try OpenFile(appendingTo: url))
      try one.write(Data("cd".utf8))
      try other.write(Data("ef".utf8))
      try one.write(Data())
      try one.write(Data("gh".utf8)[1...])
    }
    #expect(try Data(contentsOf: url) == Data("abcdefh".utf8))
    let file = OpenFile(open(url.path, O_RDONLY))
    #expect(try file.read(upToCount: 3) == Data("abc".utf8))
    #expect(try file.read(upToCount: 100) == Data("defh".utf8))
    #expect(try file.read(upToCount: 1).isEmpty)
    let error = #expect(throws: SystemError.self) { try file.write(Data([1])) }
    #expect(error == SystemError(code: EBADF))
  }

  @Test(.enabled(if: FileManager.default.fileExists(atPath: "/dev/full"))) func aFullDiskIsSaidSo()
    throws
  {
    let file = try OpenFile(appendingTo: URL(fileURLWithPath: "/dev/full"))
    let error = #expect(throws: SystemError.self) { try file.write(Data([1])) }
    #expect(error?.description == "No space left on device")
  }
}

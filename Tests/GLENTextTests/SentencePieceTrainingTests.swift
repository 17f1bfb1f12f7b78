import Foundation
import Testing

@testable import GLENText

@Suite("Training a vocabulary")
struct SentencePieceTrainingTests {
  let folder: TemporaryFolder

  init() throws {
    folder = try TemporaryFolder()
  }

  @Test("The same corpus gives the same model, byte for byte")
  func deterministic() throws {
    let first = try train(SmallCorpus.sentences, size: 100, to: "first.model")
    let second = try train(SmallCorpus.sentences, size: 100, to: "second.model")
    #expect(first.pieceCount == 100)
    #expect(first.modelData == second.modelData)
    #expect(try Data(contentsOf: folder.file("first.model")) == first.modelData)
  }

  @Test("All ten digits are pieces, whatever the corpus holds")
  func digits() throws {
    let tokenizer = try train(["no numbers here"], size: 100)
    #expect((0..<10).allSatisfy { tokenizer.token(forPiece: String($0)) != nil })
  }

  @Test("Long texts are cut at spaces, or between characters, and nothing is lost")
  func parts() {
    let most = SentencePieceTokenizer.longestPart
    func parts(_ text: String) -> [String] {
      var text = text
      return text.withUTF8 { bytes in
        SentencePieceTokenizer.parts(of: bytes).map {
          String(decoding: UnsafeBufferPointer(rebasing: bytes[$0]), as: UTF8.self)
        }
      }
    }
    #expect(parts("") == [""] && parts("one two") == ["one two"])
    let words = (0..<5000).map { "word\($0)" }.joined(separator: " ")
    #expect(parts(words).joined(separator: " ") == words && parts(words).count > 4)
    for unbroken in [
      String(repeating: "-", count: 5 * most), String(repeating: "ä€", count: most),
      "x" + String(repeating: "\u{301}", count: 2 * most),
    ] {
      let parts = parts(unbroken)
      #expect(parts.joined() == unbroken && parts.allSatisfy { $0.utf8.count <= most })
      #expect(!parts.contains { $0.contains("\u{FFFD}") })
    }
  }

  /// Whole, a text of this length that repeats itself would take minutes.
  @Test("A long text that repeats itself is trained on")
  func repetition() throws {
    let line = String(repeating: "-", count: 600_000)
    let tokenizer = try train(SmallCorpus.sentences + [line], size: 200)
    #expect(tokenizer.encode("----------------").count < 4)
  }

  @Test("A vocabulary too large for its corpus becomes smaller")
  func reduced() throws {
    let tokenizer = try train(["hello world", "hello there"], size: 1_000_000)
    #expect((20..<100).contains(tokenizer.pieceCount))
    #expect(tokenizer.decode(tokenizer.encode("hello there world")) == "hello there world")
  }

  @Test("A lower-cased vocabulary does not tell capitals")
  func lowercased() throws {
    let folded = try train(SmallCorpus.sentences, size: 200, lowercased: true)
    let exact = try train(SmallCorpus.sentences, size: 200)
    #expect(folded.encode("THE OLD Library") == folded.encode("the old library"))
    #expect(exact.encode("THE OLD Library") != exact.encode("the old library"))
  }

  @Test("A vocabulary below the number of characters is refused, and the old file stays")
  func tooSmall() throws {
    try Data("old".utf8).write(to: folder.file("a.model"))
    let error = #expect(throws: TokenizerError.self) {
      try train(SmallCorpus.sentences, size: 10, to: "a.model")
    }
    guard case .trainingFailed(let reason) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(reason.hasPrefix("Vocabulary size is smaller than required_chars. 10 vs "))
    #expect(try Data(contentsOf: folder.file("a.model")) == Data("old".utf8))
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.url.path) == ["a.model"])
  }

  @Test(
    "A corpus without letters and digits is refused",
    arguments: [[], [""], ["  ", "\n"], ["\u{200B}\u{0}", "!? ..."]])
  func empty(sentences: [String]) {
    #expect(throws: TokenizerError.emptyCorpus(sentenceCount: sentences.count)) {
      try train(sentences, size: 100)
    }
  }

  @Test("Arguments out of range are refused")
  func arguments() {
    for size in [0, -1, 1_000_001, .max, .min] {
      #expect(throws: TokenizerError.self) { try train(["hello"], size: size) }
    }
    for coverage in [0, 0.97, 1.01, .nan, .infinity] {
      #expect(throws: TokenizerError.self) {
        try train(["hello"], size: 50, characterCoverage: coverage)
      }
    }
  }

  @Test("A folder that does not exist is unwritable")
  func unwritable() throws {
    let url = folder.file("none/a.model")
    let error = #expect(throws: TokenizerError.self) {
      try SentencePieceTokenizer.train(sentences: ["hello"], vocabularySize: 50, to: url)
    }
    guard case .unwritable(url.path, _) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
  }

  @Test("Characters that the trainer reserves, and words without end, do not spoil a sentence")
  func nasty() throws {
    let endless = String(repeating: "abcdefghij", count: 400)
    let tokenizer = try train(
      ["good\u{0}morning", "good ▅ evening", endless], size: 200, characterCoverage: 1)
    for letter in ["m", "v", "j"] { #expect(tokenizer.token(forPiece: letter) != nil) }
  }

  @discardableResult
  private func train(
    _ sentences: [String], size: Int, to name: String = "model", lowercased: Bool = false,
    characterCoverage: Double = 0.9995
  ) throws -> SentencePieceTokenizer {
    try SentencePieceTokenizer.train(
      sentences: sentences, vocabularySize: size, to: folder.file(name), lowercased: lowercased,
      characterCoverage: characterCoverage)
  }
}

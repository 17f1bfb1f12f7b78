import Foundation
import Testing

@testable import GLENText

@Suite("Loading a vocabulary")
struct SentencePieceLoadingTests {
  let model: Data

  init() throws {
    model = try SmallCorpus.tokenizer.get().modelData
  }

  @Test("The model data, saved and loaded, gives the same tokens")
  func saved() throws {
    let folder = try TemporaryFolder()
    try model.write(to: folder.file("spiece.model"))
    let original = try SmallCorpus.tokenizer.get()
    let loaded = try SentencePieceTokenizer(contentsOf: folder.file("spiece.model"))
    #expect(loaded.modelData == model)
    for sentence in SmallCorpus.sentences {
      #expect(loaded.encode(sentence) == original.encode(sentence))
    }
  }

  @Test("A missing file is unreadable, and the message names it")
  func missing() throws {
    let url = try TemporaryFolder().file("none.model")
    let error = #expect(throws: TokenizerError.self) {
      try SentencePieceTokenizer(contentsOf: url)
    }
    guard case .unreadable(url.path, _) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(error?.description.contains(url.path) == true)
  }

  @Test("Bytes that are no model are refused", arguments: [[], [0], Array("hello".utf8)])
  func noModel(bytes: [UInt8]) {
    expectInvalid(Data(bytes))
  }

  @Test("A model of another type is refused")
  func otherType() {
    expectInvalid(model + [0x12, 0x02, 0x18, 0x02], reason: "the model is not a unigram model")
  }

  @Test("A model with other special ids is refused")
  func otherLayout() {
    // The name of the padding piece becomes one that the model has not.
    let changed = model + [0x12, 0x06, 0x82, 0x03, 0x03] + Array("<x>".utf8)
    #expect(throws: TokenizerError.unsupportedLayout(pad: -1, endOfSequence: 1, unknown: 2)) {
      try SentencePieceTokenizer(model: changed)
    }
  }

  @Test("A score that is no number is refused")
  func scores() {
    // One more piece, "q", with a score of NaN.
    let piece: [UInt8] = [0x0A, 0x08, 0x0A, 0x01, UInt8(ascii: "q"), 0x15, 0x00, 0x00, 0xC0, 0x7F]
    expectInvalid(model + piece, reason: "a piece's score is not a finite number")
  }

  @Test("A normalisation table whose links leave it is refused")
  func normalisation() {
    // A table of one unit whose link points far outside.
    let table: [UInt8] = [4, 0, 0, 0, 0x00, 0xFC, 0xFF, 0x7F, 0]
    let normaliser = [0x12, UInt8(table.count)] + table
    expectInvalid(
      model + [0x1A, UInt8(normaliser.count)] + normaliser,
      reason: "the normalisation table is damaged")
  }

  @Test("A cut or changed model is refused or works, and never ends the process")
  func damaged() {
    var generator = SeededGenerator(seed: 5)
    for length in stride(from: 0, to: model.count, by: max(1, model.count / 40)) {
      exercise(model.prefix(length))
    }
    for _ in 0..<60 {
      var changed = model
      for _ in 0..<Int.random(in: 1...12, using: &generator) {
        let position = Int.random(in: 0..<changed.count, using: &generator)
        changed[changed.startIndex + position] = UInt8.random(in: 0...255, using: &generator)
      }
      exercise(changed)
    }
  }

  @Test("The number of sentinels has limits", arguments: [-1, 100_001, .min, .max])
  func sentinelCount(count: Int) {
    #expect(throws: TokenizerError.self) {
      try SentencePieceTokenizer(model: model, sentinelCount: count)
    }
  }

  private func expectInvalid(_ data: Data, reason: String? = nil) {
    let error = #expect(throws: TokenizerError.self) { try SentencePieceTokenizer(model: data) }
    guard case .invalidModel(let actual) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    if let reason { #expect(actual == reason) }
  }

  private func exercise(_ data: Data) {
    guard let tokenizer = try? SentencePieceTokenizer(model: data) else { return }
    _ = tokenizer.decode(tokenizer.encode("The naïve café ½ ﬁ 日本語 e\u{301} 1923 😀"))
  }
}

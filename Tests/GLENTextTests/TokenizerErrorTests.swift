import Testing

@testable import GLENText

@Suite("Tokenizer errors")
struct TokenizerErrorTests {
  @Test(
    "Every message says what is wrong, what was expected, what came, and what to do",
    arguments: [
      .unreadable(path: "/a/b", reason: "gone"),
      .invalidModel(reason: "cut off"),
      .unsupportedLayout(pad: -1, endOfSequence: 2, unknown: 0),
      .invalidArgument(name: "vocabularySize", expected: "1 to 9", got: "12"),
      .emptyCorpus(sentenceCount: 4),
      .trainingFailed(reason: "too small"),
      .unwritable(path: "/a/b", reason: "full"),
    ] as [TokenizerError])
  func messages(error: TokenizerError) {
    let text = String(describing: error)
    #expect(text.contains(": ") && text.contains("; expected ") && text.contains(", got "))
    #expect(text.split(separator: ";").count == 3)
    #expect(!text.contains("\n"))
  }
}

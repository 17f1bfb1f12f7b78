import Testing

@testable import GLENText

@Suite("Text cleaning")
struct TextCleaningTests {
  @Test(
    "Line breaks become spaces, quotes and doubled back-ticks vanish",
    arguments: [
      ("one\ntwo", "one two"),
      ("one\r\ntwo\rthree", "one  two three"),
      ("one\u{2028}two\u{85}three", "one two three"),
      ("say \"yes\" ``now''", "say yes now''"),
      ("`code` and ```block```", "`code` and `block`"),
      ("it's “curly”", "it's “curly”"),
      ("e\u{301}\"", "e\u{301}"),
      ("", ""), ("\"", ""), ("`", "`"), ("``", ""), ("```", "`"),
    ])
  func clean(text: String, expected: String) {
    let cleaned = TextCleaning.clean(text)
    #expect(Array(cleaned.utf8) == Array(expected.utf8))
  }

  @Test("A document is its title, one space, its body")
  func document() {
    #expect(TextCleaning.documentText(title: "Title", body: "Body text") == "Title Body text")
    #expect(TextCleaning.documentText(title: "", body: "Body") == "Body")
  }
}

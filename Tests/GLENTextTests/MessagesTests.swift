import Testing

@testable import GLENText

@Suite struct MessagesTests {
  @Test func oneIsSingular() {
    #expect(counted(1, "document") == "1 document" && counted(0, "document") == "0 documents")
    #expect(counted(1, "query", "queries") == "1 query")
    #expect(counted(2, "query", "queries") == "2 queries")
  }

  @Test func controlCharactersAreShownAndNotObeyed() {
    #expect(printable("a\u{1B}[31mb\u{7}\r") == "a␛[31mb␇␍")
    #expect(printable("\u{7F}\u{9B}2J\u{0}") == "␡\u{FFFD}2J␀")
    let plain = "é e\u{301} 日本\u{A0}\t🐝\n"
    #expect(printable(plain).unicodeScalars.elementsEqual(plain.unicodeScalars))
  }
}

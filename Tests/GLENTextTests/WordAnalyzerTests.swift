import Testing

@testable import GLENText

@Suite("Word analyzer")
struct WordAnalyzerTests {
  @Test("Words are lower-cased runs of letters and digits")
  func words() {
    let analyzer = WordAnalyzer()
    #expect(
      analyzer.words(of: "The U.S. paid $3.50 — don't_stop, Zürich! ПРИВЕТ 日本 x²")
        == ["the", "u", "s", "paid", "3", "50", "don", "t", "stop", "zürich", "привет", "日本", "x²"])
    #expect(analyzer.words(of: "cafe\u{301}s").count == 1)
    #expect(analyzer.words(of: " \n-- ") == [])
  }

  @Test("The ASCII alphabet parts words at everything else")
  func ascii() {
    let analyzer = WordAnalyzer(alphabet: .ascii)
    #expect(analyzer.words(of: "Zürich 2nd café日") == ["z", "rich", "2nd", "caf"])
  }

  @Test("Learning numbers new words; encoding leaves them out")
  func vocabulary() {
    var analyzer = WordAnalyzer()
    #expect(analyzer.learn("a b A c") == [0, 1, 0, 2])
    #expect(analyzer.encode("C d b") == [2, 1])
    #expect(analyzer.vocabularySize == 3)
    #expect(analyzer.learn("d") == [3])
  }
}

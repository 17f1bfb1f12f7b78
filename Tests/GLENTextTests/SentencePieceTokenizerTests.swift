import Foundation
import Testing

@testable import GLENText

@Suite("SentencePiece tokenizer")
struct SentencePieceTokenizerTests {
  let tokenizer: SentencePieceTokenizer

  init() throws {
    tokenizer = try SmallCorpus.tokenizer.get()
  }

  @Test("Special pieces come first, sentinels last and counted down")
  func layout() {
    #expect((0..<3).map { tokenizer.piece($0) } == ["<pad>", "</s>", "<unk>"])
    #expect(tokenizer.vocabularySize == tokenizer.pieceCount + 100)
    let last = Int32(tokenizer.vocabularySize - 1)
    #expect(tokenizer.piece(last) == "<extra_id_0>")
    #expect(tokenizer.piece(last - 99) == "<extra_id_99>")
    #expect(Int(last - 99) == tokenizer.pieceCount)
    #expect(tokenizer.piece(last + 1) == "" && tokenizer.piece(-1) == "")
    #expect(tokenizer.token(forPiece: "<extra_id_1>") == last - 1)
    #expect(tokenizer.token(forPiece: "no such piece") == nil)
    for id in 3..<Int32(tokenizer.pieceCount) {
      #expect(tokenizer.token(forPiece: tokenizer.piece(id)) == id)
    }
  }

  @Test("Special are pad, end, unknown, sentinels, and ids outside the vocabulary")
  func specials() {
    let size = Int32(tokenizer.vocabularySize)
    let special = (-5..<size + 5).filter { tokenizer.isSpecial($0) }
    let expected = Array(-5..<3) + Array(Int32(tokenizer.pieceCount)..<size + 5)
    #expect(special == expected)
    #expect(tokenizer.isSpecial(.max) && tokenizer.isSpecial(.min))
  }

  @Test("Decoding gives the text back")
  func roundTrip() {
    for sentence in SmallCorpus.sentences {
      #expect(tokenizer.decode(tokenizer.encode(sentence)) == sentence)
    }
  }

  @Test("A run of unknown characters is one unknown token, and its own text as a piece")
  func unknown() {
    let text = "the 日本語 boats"
    let tokens = tokenizer.encode(text)
    #expect(tokens.filter { $0 == SpecialToken.unknown }.count == 1)
    #expect(tokenizer.pieces(of: text).contains("日本語"))
    #expect(tokenizer.pieces(of: text).count == tokens.count)
    #expect(tokenizer.decode(tokens) == "the  ⁇  boats")
  }

  @Test("Decoding drops special tokens and foreign ids, and spells sentinels")
  func decoding() {
    let boats = tokenizer.encode("boats")
    let sentinel = Int32(tokenizer.vocabularySize - 3)
    #expect(tokenizer.decode([0] + boats + [1, -7, .max, .min, 0]) == "boats")
    #expect(tokenizer.decode([sentinel] + boats) == "<extra_id_2> boats")
    #expect(tokenizer.decode([]) == "")
  }

  @Test(
    "Empty, blank and invisible text gives no token", arguments: ["", " ", "\n\t ", "\u{200B}"])
  func nothing(text: String) {
    #expect(tokenizer.encode(text) == [])
    #expect(tokenizer.encode(text, maximumLength: 5) == [SpecialToken.endOfSequence])
  }

  @Test("Cut encodings begin like the whole and keep the end of sequence")
  func maximumLength() {
    var generator = SeededGenerator(seed: 1)
    for round in 0..<60 {
      let text = SmallCorpus.text(words: round * 7, using: &generator)
      let whole = tokenizer.encode(text)
      for limit in [1, 2, 7, 32, 156, 4000] {
        let cut = tokenizer.encode(text, maximumLength: limit)
        #expect(cut == whole.prefix(limit - 1) + [SpecialToken.endOfSequence])
        #expect(tokenizer.encodePrefix(text, limit: limit) == Array(whole.prefix(limit)))
      }
    }
    #expect(tokenizer.encode("the boats", maximumLength: 0) == [])
    #expect(tokenizer.encode("the boats", maximumLength: -3) == [])
    #expect(tokenizer.encodePrefix("the boats", limit: -3) == [])
    #expect(tokenizer.encodePrefix("the", limit: .max) == tokenizer.encode("the"))
  }

  @Test("The first tokens of a long text do not cost the whole text")
  func longText() {
    let text = String(repeating: SmallCorpus.sentences.joined(separator: " ") + " ", count: 40)
    let clock = ContinuousClock()
    var whole: [Int32] = []
    var cut: [Int32] = []
    let wholeTime = clock.measure { whole = tokenizer.encode(text) }
    let cutTime = clock.measure { cut = tokenizer.encodePrefix(text, limit: 156) }
    #expect(text.utf8.count > 1_000_000)
    #expect(cut == Array(whole.prefix(156)))
    #expect(cutTime < wholeTime / 5)
  }

  /// Words far longer than what is read of them, of known and unknown characters, with spaces that no
  /// word ends at, and with ones that change under normalisation.
  @Test("Text without spaces is cut where its first tokens are certain")
  func longWords() {
    var generator = SeededGenerator(seed: 5)
    let letters = Array("thebosanlrkpwi")
    let alphabets: [[Character]] = [
      letters, letters + ["日", "é", "ﷺ"], letters + [" ", "é", "Ω"].flatMap { [$0, $0] },
      letters + ["\u{301}", "\u{200B}", "ｆ", "…"], Array("ab"), Array("日本語"),
    ]
    for alphabet in alphabets {
      for limit in [1, 3, 20] {
        var text = "the "
        var wasSpace = true
        // A space stands before what is no letter of ASCII, and so ends no word.
        for _ in 0..<20_000 {
          let letter = alphabet.randomElement(using: &generator) ?? "a"
          text.append(wasSpace && letter.isASCII ? "é" : letter)
          wasSpace = letter == " "
        }
        let whole = tokenizer.encode(text)
        #expect(
          tokenizer.encodePrefix(text, limit: limit) == Array(whole.prefix(limit)),
          "\(alphabet) \(limit)")
      }
    }
  }

  /// Of pieces as long as these the last that are wanted lie at the end of what is looked at.
  @Test("Tokens near the end of what is read are certain, or more is read")
  func longPieces() throws {
    var generator = SeededGenerator(seed: 6)
    let pieces = (0..<9).map { _ in
      String((0..<14).compactMap { _ in "thebosanlr".randomElement(using: &generator) })
    }
    let extended = try SentencePieceTokenizer(
      model: pieces.reduce(tokenizer.modelData) { $0 + Self.piece($1, score: -5) })
    for _ in 0..<10 {
      let text = (0..<1_000).compactMap { _ in pieces.randomElement(using: &generator) }.joined()
      let whole = extended.encode(text)
      #expect(whole.count == 1_001)
      for limit in 8..<16 {
        #expect(extended.encodePrefix(text, limit: limit) == Array(whole.prefix(limit)), "\(limit)")
      }
    }
  }

  @Test("Megabytes without a space cost no more than a beginning", arguments: ["boats", "a", "海"])
  func megabytesWithoutSpaces(word: String) {
    let short = String(repeating: word, count: 20_000)
    let long = String(repeating: word, count: word == "海" ? 200_000 : 4_000_000)
    var tokens: [Int32] = []
    let time = ContinuousClock().measure { tokens = tokenizer.encodePrefix(long, limit: 156) }
    #expect(tokens.count == (word == "海" ? 2 : 156))
    #expect(tokens == Array(tokenizer.encode(short).prefix(156)))
    #expect(word == "海" || time < .seconds(0.5), "\(time)")
  }

  @Test("An unknown run of any length is one token, in linear time", .timeLimit(.minutes(1)))
  func longUnknownRun() {
    let text = "the " + String(repeating: "日本語😀", count: 250_000) + "s boats"
    let expected = tokenizer.encode("the 日s boats")
    #expect(tokenizer.encode(text) == expected)
    // The first space after the window lies behind the run, and before the last word.
    #expect(tokenizer.encodePrefix(text, limit: expected.count) == expected)
    let short = String(repeating: "日本語", count: 900)
    #expect(tokenizer.pieces(of: short) == ["▁", short])
  }

  @Test("Long words are tokenised whole")
  func longWord() {
    let tokens = tokenizer.encode(String(repeating: "boats", count: 5_000))
    #expect(tokenizer.decode(tokens) == String(repeating: "boats", count: 5_000))
  }

  /// One more piece, for the end of a model.
  private static func piece(_ text: String, score: Float) -> Data {
    let bits = withUnsafeBytes(of: score.bitPattern.littleEndian) { Array($0) }
    let message = [0x0A, UInt8(text.utf8.count)] + Array(text.utf8) + [0x15] + bits
    return Data([0x0A, UInt8(message.count)] + message)
  }

  @Test("Exchangeable pieces come shorter ones first, however their scores round")
  func exchangeable() throws {
    // Two more pieces, of scores whose sums round differently in different orders.
    let extended = try SentencePieceTokenizer(
      model: tokenizer.modelData + Self.piece("Q", score: -7.2543206)
        + Self.piece("QQQ", score: -12.860284805))
    let (one, three) = (Int32(extended.pieceCount - 2), Int32(extended.pieceCount - 1))
    let space = try #require(extended.token(forPiece: "▁"))
    for count in 1...60 {
      let tokens = extended.encode("the " + String(repeating: "Q", count: count)).drop {
        $0 != space
      }
      let expected =
        [space] + Array(repeating: one, count: count % 3)
        + Array(repeating: three, count: count / 3)
      #expect(Array(tokens) == expected)
    }
  }

  @Test("Special tokens in a text are text unless recognised")
  func specialTokensInText() throws {
    let recognising = try SentencePieceTokenizer(
      model: tokenizer.modelData, recognizesSpecialTokens: true)
    let first = Int32(recognising.vocabularySize - 1)
    let the = recognising.encode("the")
    let boats = recognising.encode("boats")
    #expect(boats.first.map { recognising.piece($0).hasPrefix("▁") } == true)

    #expect(recognising.encode("<extra_id_0>") == [first])
    #expect(recognising.encode("</s><pad><unk>") == [1, 0, 2])
    #expect(recognising.encode("the <extra_id_3> boats </s>") == the + [first - 3] + boats + [1])
    #expect(recognising.encode(" <extra_id_3>  ") == [first - 3])
    // A word straight after a token gets no space of its own.
    let glued = recognising.encode("</s>boats")
    #expect(glued.first == 1)
    #expect(recognising.pieces(of: "</s>boats").joined() == "</s>boats")
    #expect(recognising.pieces(of: "</s> boats").joined() == "</s>▁boats")
    #expect(recognising.pieces(of: "</s>日 boats").joined() == "</s>日▁boats")
    #expect(!recognising.encode("<extra_id_100> <extra_id_0").contains(first))

    #expect(
      !tokenizer.encode("the <extra_id_3> boats </s>").contains { $0 <= 1 || $0 >= first - 99 })
  }

  @Test("A model may come without sentinels")
  func noSentinels() throws {
    let plain = try SentencePieceTokenizer(model: tokenizer.modelData, sentinelCount: 0)
    #expect(plain.vocabularySize == plain.pieceCount)
    #expect(plain.encode("The boats") == tokenizer.encode("The boats"))
    #expect(plain.isSpecial(Int32(plain.pieceCount)))
    #expect(plain.token(forPiece: "<extra_id_0>") == nil)
  }

  @Test("Invalid UTF-8 reads as spaces; NUL and controls do no harm")
  func invalidText() {
    let bytes = Array("the".utf8) + [0xFF, 0xC3] + Array("boats".utf8) + [0xE2, 0x82]
    #expect(tokenizer.encode(bytes: bytes) == tokenizer.encode("the boats"))
    #expect(tokenizer.encode(bytes: [] as [UInt8]) == [])
    #expect(tokenizer.encode("the\u{7}\u{1B} boats") == tokenizer.encode("the boats"))
    let withNUL = tokenizer.encode("the\u{0}boats")
    #expect(withNUL.starts(with: tokenizer.encode("the")))
    #expect(tokenizer.decode(withNUL).hasSuffix("boats"))
  }

  @Test("Many tasks encode at once")
  func concurrency() async {
    let expected = SmallCorpus.sentences.map { tokenizer.encode($0) }
    await withTaskGroup(of: Bool.self) { group in
      for _ in 0..<8 {
        group.addTask { [tokenizer] in
          SmallCorpus.sentences.map { tokenizer.encode($0) } == expected
        }
      }
      for await isEqual in group { #expect(isEqual) }
    }
  }
}

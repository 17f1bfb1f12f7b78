import Foundation
import Testing

@testable import GLENText

@Suite(
  "T5's own vocabulary",
  .enabled(if: SharedData.isAvailable, "GLEN_DATA does not name the folder of real data"))
struct T5ParityTests {
  private struct Golden: Decodable {
    var text: String
    var ids: [Int32]
    var pieces: [String]
    var decoded: String
  }

  private static let tokenizer = Result {
    try SentencePieceTokenizer(contentsOf: SharedData.url("t5/spiece.model"))
  }

  @Test("Every golden text has its ids, its pieces and its decoded text")
  func golden() throws {
    let tokenizer = try Self.tokenizer.get()
    let rows = try SharedData.rows("t5/golden-tokens.jsonl", as: Golden.self)
    #expect(rows.count == 274)
    for row in rows {
      #expect(tokenizer.encode(row.text) == row.ids)
      #expect(tokenizer.pieces(of: row.text) == row.pieces)
      #expect(tokenizer.decode(row.ids) == row.decoded)
      #expect(tokenizer.encode(row.text, maximumLength: 32) == row.ids.prefix(31) + [1])
    }
  }

  /// Scripts of all kinds, in words far longer than what is read of them.
  @Test("The first tokens of text without spaces are those of all of it")
  func prefixes() throws {
    let tokenizer = try Self.tokenizer.get()
    let rows = try SharedData.rows("t5/golden-tokens.jsonl", as: Golden.self)
    let texts = rows.map(\.text).filter { $0.utf8.count < 2_000 }
    let long = (3..<32_000).map { tokenizer.piece($0) }.filter { $0.count > 11 && $0.first != "▁" }
    var generator = SeededGenerator(seed: 7)
    for round in 0..<12 {
      let units = (0..<3).contains(round) ? long : texts
      var text = ""
      while text.utf8.count < 60_000 { text += units.randomElement(using: &generator) ?? "" }
      // A space that is kept stands before what ends no word.
      text = text.replacingOccurrences(of: " ", with: round % 2 == 0 ? "" : " é")
      let whole = tokenizer.encode(text)
      for limit in [1, 2, 5, 11, 12, 13, 14, 15, 16, 31, 47] {
        #expect(
          tokenizer.encodePrefix(text, limit: limit) == Array(whole.prefix(limit)),
          "round \(round), limit \(limit)")
      }
    }
  }

  @Test("32,000 pieces and 100 sentinels")
  func layout() throws {
    let tokenizer = try Self.tokenizer.get()
    #expect(tokenizer.pieceCount == 32_000 && tokenizer.vocabularySize == 32_100)
    #expect(tokenizer.piece(32_099) == "<extra_id_0>" && tokenizer.piece(32_000) == "<extra_id_99>")
    #expect(tokenizer.piece(3) == "▁" && tokenizer.token(forPiece: "▁the") == 8)
    #expect(tokenizer.isSpecial(32_100) && !tokenizer.isSpecial(31_999))
  }

  @Test(
    "Special tokens in a text, recognised, give Hugging Face's ids",
    arguments: [
      ("<extra_id_0> in text </s> <pad>", [32099, 16, 1499, 1, 0]),
      ("a<extra_id_0>b", [3, 9, 32099, 115]),
      ("a <extra_id_99>  b", [3, 9, 32000, 3, 115]),
      ("<unk>", [2]),
      ("  <extra_id_1><extra_id_2> x ", [32098, 32097, 3, 226]),
      ("</s>日<pad>", [1, 2, 0]),
      ("<extra_id_100>", [3, 2, 25666, 834, 23, 26, 834, 2915, 3155]),
    ] as [(String, [Int32])])
  func recognised(text: String, ids: [Int32]) throws {
    let tokenizer = try SentencePieceTokenizer(
      contentsOf: SharedData.url("t5/spiece.model"), recognizesSpecialTokens: true)
    #expect(tokenizer.encode(text) == ids)
  }

  @Test("Equal scores are broken as in exact arithmetic")
  func ties() throws {
    let tokenizer = try Self.tokenizer.get()
    #expect(tokenizer.encode("ohhhhh") == [3, 32, 107, 107, 24303])
    #expect(
      tokenizer.encode("2999690000000000000") == [204, 19446, 3951, 2313, 2313, 2313, 19568])
  }
}

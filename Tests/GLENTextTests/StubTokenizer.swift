@testable import GLENText

/// A vocabulary of whole words: each word of a text is the piece of that name.
struct StubTokenizer: Tokenizer {
  var pieces: [String]

  init(_ pieces: [String]) {
    self.pieces = ["<pad>", "</s>", "<unk>"] + pieces
  }

  var vocabularySize: Int { pieces.count }

  func encode(_ text: String) -> [Int32] {
    text.split(separator: " ").map { word in
      pieces.firstIndex(of: String(word)).map { Int32($0) } ?? SpecialToken.unknown
    }
  }

  func decode(_ tokens: [Int32]) -> String {
    tokens.map(piece).joined(separator: " ")
  }

  func piece(_ token: Int32) -> String {
    pieces.indices.contains(Int(token)) ? pieces[Int(token)] : ""
  }

  func isSpecial(_ token: Int32) -> Bool {
    token < 3 || !pieces.indices.contains(Int(token))
  }
}

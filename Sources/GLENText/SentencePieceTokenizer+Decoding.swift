import CGLENSentencePiece

extension SentencePieceTokenizer {
  /// The text that token ids stand for.
  ///
  /// Pad and end of sequence vanish, an unknown becomes ` ⁇ `, a sentinel its name, and ids outside
  /// the vocabulary are left out.
  ///
  /// - Complexity: O(number of tokens).
  public func decode(_ tokens: [Int32]) -> String {
    let known = tokens.compactMap { token -> Int32? in
      guard (0..<vocabularySize).contains(Int(token)) else { return nil }
      // The C interface counts sentinels -1, -2, ... for <extra_id_0>, <extra_id_1>, ...
      return Int(token) < pieceCount ? token : token - Int32(vocabularySize)
    }
    var text: UnsafeMutablePointer<CChar>?
    var length = 0
    guard glen_sp_decode(model, known, known.count, &text, &length, nil) == GLEN_SP_OK else {
      return ""
    }
    defer { glen_sp_free(text) }
    return String(decoding: UnsafeRawBufferPointer(start: text, count: length), as: UTF8.self)
  }
}

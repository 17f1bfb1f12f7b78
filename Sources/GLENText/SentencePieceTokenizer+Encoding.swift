import CGLENSentencePiece

extension SentencePieceTokenizer {
  /// The token ids of a text, without an end-of-sequence token.
  ///
  /// Never fails: what the vocabulary cannot spell becomes ``SpecialToken/unknown``, one for each
  /// run of such characters. Empty text, and text of nothing but spaces, gives no token. (Where
  /// memory runs out, the rest of the text gives no token.)
  ///
  /// - Complexity: O(length).
  public func encode(_ text: String) -> [Int32] {
    var text = text
    return text.withUTF8 { ids(of: $0) }
  }

  /// The token ids of text that is UTF-8 or meant to be.
  ///
  /// Bytes that are no UTF-8 are read as U+FFFD, as `String(decoding:as:)` repairs them, and T5's
  /// normalisation takes U+FFFD as a space.
  public func encode(bytes: some Collection<UInt8>) -> [Int32] {
    encode(String(decoding: bytes, as: UTF8.self))
  }

  /// The first `limit` token ids of a text: those that ``encode(_:)`` begins with.
  ///
  /// Reads no more of the text than a few times what the tokens cover: words are encoded one by one,
  /// and of a word without end, such as a text without spaces, only a beginning of 32 * (64 + 8 *
  /// limit) bytes is looked at. That suffices where the tokens can be shown not to depend on what
  /// follows, as in real text of any language. The exceptions are words longer than that in which they
  /// do, or in which there are not enough: one letter repeated without end, say. There the tokens are
  /// those of the beginning. (An unknown run of any length is still one token, and is read to its end.
  /// Words are not encoded one by one if the vocabulary has pieces of several words; then all is read.)
  public func encodePrefix(_ text: String, limit: Int) -> [Int32] {
    guard limit > 0 else { return [] }
    var text = text
    return text.withUTF8 { ids(of: $0, limit: limit) }
  }

  /// The pieces of a text as they stand in it, one for each token of ``encode(_:)``.
  ///
  /// An unknown run comes as its own text (after normalisation), not as `<unk>`.
  public func pieces(of text: String) -> [String] {
    var text = text
    return text.withUTF8 { bytes in
      var result: [String] = []
      forEachSegment(of: bytes) { segment in
        switch segment {
        case .special(let id): result.append(piece(id))
        case .text(let range):
          appendPieces(
            of: UnsafeBufferPointer(rebasing: bytes[range]),
            isContinuation: range.lowerBound > 0, to: &result)
        }
      }
      return result
    }
  }

  /// A stretch of text, or a special token written out in it.
  private enum Segment {
    case text(Range<Int>)
    case special(Int32)
  }

  private func ids(of bytes: UnsafeBufferPointer<UInt8>, limit: Int = .max) -> [Int32] {
    var result: [Int32] = []
    forEachSegment(of: bytes) { segment in
      guard result.count < limit else { return }
      switch segment {
      case .special(let id): result.append(id)
      case .text(let range):
        appendIDs(
          of: UnsafeBufferPointer(rebasing: bytes[range]),
          isContinuation: range.lowerBound > 0, limit: limit - result.count, to: &result)
      }
    }
    return result
  }

  private func forEachSegment(
    of bytes: UnsafeBufferPointer<UInt8>, _ body: (Segment) -> Void
  ) {
    var start = 0
    var position = 0
    while !specialTokens.isEmpty, position < bytes.count {
      defer { position += 1 }
      guard bytes[position] == UInt8(ascii: "<") else { continue }
      let window = bytes[position..<min(bytes.count, position + longestSpecialToken)]
      guard let close = window.firstIndex(of: UInt8(ascii: ">")),
        let id = specialTokens[Array(bytes[position...close])]
      else { continue }
      if start < position { body(.text(start..<position)) }
      body(.special(id))
      start = close + 1
      position = close
    }
    if start < bytes.count { body(.text(start..<bytes.count)) }
  }

  private func appendIDs(
    of bytes: UnsafeBufferPointer<UInt8>, isContinuation: Bool, limit: Int,
    to result: inout [Int32]
  ) {
    var ids: UnsafeMutablePointer<Int32>?
    var count = 0
    let status = bytes.withMemoryRebound(to: CChar.self) {
      glen_sp_encode(
        model, $0.baseAddress, $0.count, isContinuation, limit, &ids, &count, nil)
    }
    guard status == GLEN_SP_OK else { return }
    defer { glen_sp_free(ids) }
    result.append(contentsOf: UnsafeBufferPointer(start: ids, count: count))
  }

  private func appendPieces(
    of bytes: UnsafeBufferPointer<UInt8>, isContinuation: Bool, to result: inout [String]
  ) {
    var text: UnsafeMutablePointer<CChar>?
    var ends: UnsafeMutablePointer<Int>?
    var count = 0
    let status = bytes.withMemoryRebound(to: CChar.self) {
      glen_sp_encode_pieces(
        model, $0.baseAddress, $0.count, isContinuation, &text, &ends, &count, nil)
    }
    guard status == GLEN_SP_OK else { return }
    defer {
      glen_sp_free(text)
      glen_sp_free(ends)
    }
    let positions = UnsafeBufferPointer(start: ends, count: count)
    let joined = UnsafeRawBufferPointer(start: text, count: positions.last ?? 0)
    var start = 0
    for end in positions {
      result.append(String(decoding: joined[start..<end], as: UTF8.self))
      start = end
    }
  }
}

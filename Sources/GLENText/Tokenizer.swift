/// Turns text into token ids and back.
///
/// Every conforming type follows T5's layout of ids: see ``SpecialToken``.
public protocol Tokenizer: Sendable {
  /// The number of token ids: pieces and sentinels.
  var vocabularySize: Int { get }

  /// The token ids of a text, without an end-of-sequence token.
  func encode(_ text: String) -> [Int32]

  /// The first `limit` token ids of a text: those that ``encode(_:)`` begins with.
  ///
  /// A conforming type that need not read the whole text for this should not. For a text whose first
  /// tokens depend on something arbitrarily far away it may settle for those of a long beginning.
  func encodePrefix(_ text: String, limit: Int) -> [Int32]

  /// The text that token ids stand for.
  func decode(_ tokens: [Int32]) -> String

  /// The piece of a token id, `▁` for a space; empty for an id outside the vocabulary.
  func piece(_ token: Int32) -> String

  /// Whether an id stands for no text.
  ///
  /// True for pad, end of sequence, unknown, sentinels, and ids outside the vocabulary.
  func isSpecial(_ token: Int32) -> Bool
}

extension Tokenizer {
  /// The first `limit` token ids of a text, found by encoding all of it.
  public func encodePrefix(_ text: String, limit: Int) -> [Int32] {
    Array(encode(text).prefix(max(0, limit)))
  }

  /// The token ids of a text as a model reads them: cut to fit, with the end of sequence kept.
  ///
  /// - Parameters:
  ///   - text: Any text; empty text gives the end of sequence alone.
  ///   - maximumLength: The largest number of ids to return, the end of sequence counted; nothing
  ///     is returned for 0 or less.
  public func encode(_ text: String, maximumLength: Int) -> [Int32] {
    guard maximumLength > 0 else { return [] }
    return encodePrefix(text, limit: maximumLength - 1) + [SpecialToken.endOfSequence]
  }
}

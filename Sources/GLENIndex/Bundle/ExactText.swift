/// A text that equals another only where their bytes in UTF-8 are equal: how names are compared.
///
/// Swift's strings are equal when they look alike: U+00E9 equals e with U+0301. In files, in TREC's
/// tools, and in an index these are two names, so whatever looks names up does it by this.
public struct ExactText: Sendable, Hashable, Comparable, ExpressibleByStringLiteral {
  /// The text itself.
  public let text: String

  /// Takes a text as it is.
  public init(_ text: String) { self.text = text }

  /// Takes a literal.
  public init(stringLiteral text: String) { self.init(text) }

  /// Whether two texts have the same bytes.
  public static func == (left: ExactText, right: ExactText) -> Bool {
    left.text.utf8.elementsEqual(right.text.utf8)
  }

  /// Whether a text's bytes come first in the order of dictionaries.
  public static func < (left: ExactText, right: ExactText) -> Bool {
    left.text.utf8.lexicographicallyPrecedes(right.text.utf8)
  }

  /// Hashes the bytes.
  public func hash(into hasher: inout Hasher) {
    var text = text
    text.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
  }
}

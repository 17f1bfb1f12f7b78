/// Turns text into ids of lower-cased words: no stemming, no stop list.
///
/// ``learn(_:)`` gives unseen words the next free ids; ``encode(_:)`` leaves them out.
public struct WordAnalyzer: Sendable {
  /// Which characters make words.
  public enum Alphabet: Sendable {
    /// Letters and digits of every script, and the accents that follow them.
    case unicode
    /// `a` to `z` and `0` to `9`: everything else parts words.
    case ascii
  }

  /// Which characters make words.
  public let alphabet: Alphabet

  private var ids: [String: Int32] = [:]

  /// An analyzer that knows no word yet.
  public init(alphabet: Alphabet = .unicode) {
    self.alphabet = alphabet
  }

  /// The number of words learnt: ids run from 0 to one less.
  public var vocabularySize: Int { ids.count }

  /// The ids of a text's words; unseen words are added to the vocabulary.
  public mutating func learn(_ text: String) -> [Int32] {
    words(of: text).map { word in
      if let id = ids[word] { return id }
      let id = Int32(truncatingIfNeeded: ids.count)
      ids[word] = id
      return id
    }
  }

  /// The ids of a text's words; unseen words are left out.
  public func encode(_ text: String) -> [Int32] {
    words(of: text).compactMap { ids[$0] }
  }

  /// The words of a text, lower-cased: its longest runs of letters and digits.
  ///
  /// - Complexity: O(length).
  public func words(of text: String) -> [String] {
    let scalars = text.lowercased().unicodeScalars
    return scalars.split { !isWordPart($0) }.map { String($0) }
  }

  private func isWordPart(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar {
    case "a"..."z", "0"..."9": true
    default: alphabet == .unicode && !scalar.isASCII && Self.isLetterOrDigit(scalar)
    }
  }

  private static func isLetterOrDigit(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.properties.generalCategory {
    case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter,
      .decimalNumber, .letterNumber, .otherNumber, .nonspacingMark, .spacingMark:
      true
    default: false
    }
  }
}

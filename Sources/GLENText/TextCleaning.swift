/// What happens to raw text before it is tokenised.
public enum TextCleaning {
  /// A text without line breaks, double quotes and doubled back-ticks.
  ///
  /// Every line break (`\n`, `\r`, `\r\n`, and Unicode's others) becomes a space, so that no two
  /// words are glued; `"` and ` `` ` vanish; nothing else changes.
  ///
  /// - Complexity: O(length).
  public static func clean(_ text: String) -> String {
    var result = String.UnicodeScalarView()
    result.reserveCapacity(text.utf8.count)
    var heldBackTick = false
    for scalar in text.unicodeScalars {
      if heldBackTick {
        heldBackTick = false
        if scalar == "`" { continue }
        result.append("`")
      }
      switch scalar {
      case "`": heldBackTick = true
      case "\"": continue
      case "\n", "\r", "\u{0B}", "\u{0C}", "\u{85}", "\u{2028}", "\u{2029}": result.append(" ")
      default: result.append(scalar)
      }
    }
    if heldBackTick { result.append("`") }
    return String(result)
  }

  /// A document's text: its title, one space, its body; the body alone where the title is empty.
  public static func documentText(title: String, body: String) -> String {
    title.isEmpty ? body : title + " " + body
  }
}

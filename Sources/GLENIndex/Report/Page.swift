import GLENPlatform

/// The parts of the report's page.
///
/// Whatever is text comes out escaped.
enum Page {
  /// A bar of a chart: its length is in proportion to the value.
  struct Bar {
    var label: String
    var value: Int
    var note: String
  }

  static func section(_ title: String, _ text: String, _ body: String) -> String {
    """
    <section><h2>\(escaped(title))</h2>
    <p>\(escaped(text))</p>
    \(body)
    </section>
    """
  }

  static func cards(_ cards: [(value: String, label: String)]) -> String {
    let items = cards.map {
      "<div><strong>\(escaped($0.value))</strong><span>\(escaped($0.label))</span></div>"
    }
    return "<div class=\"cards\">\(items.joined(separator: "\n"))</div>"
  }

  static func bars(_ bars: [Bar]) -> String {
    let largest = bars.map(\.value).max() ?? 0
    let rows = bars.map { bar in
      let width = largest > 0 ? 100 * Double(bar.value) / Double(largest) : 0
      // A sliver for what is there and would be too short to be seen.
      let shown = bar.value > 0 ? max(width, 0.6) : 0
      return """
        <div class="bar"><span>\(escaped(bar.label))</span>
        <svg role="img" aria-label="\(escaped(bar.note))"><rect class="track" width="100%" \
        height="100%" rx="3"/><rect class="fill" width="\(decimal(shown, digits: 2))%" \
        height="100%" rx="3"/></svg>
        <span class="note">\(escaped(bar.note))</span></div>
        """
    }
    return "<div class=\"bars\">\(rows.joined(separator: "\n"))</div>"
  }

  /// The first tokens as fields, each with its second tokens; drawn twice, for wide and narrow screens.
  static func treeMap(_ branches: [IndexReport.Branch]) -> String {
    treeMap(branches, class: "wide", width: 880, height: 520)
      + treeMap(branches, class: "narrow", width: 360, height: 640)
  }

  private static func treeMap(
    _ branches: [IndexReport.Branch], class name: String, width: Double, height: Double
  ) -> String {
    let whole = TreeMap.Box(x: 0, y: 0, width: width, height: height)
    let boxes = TreeMap.boxes(of: branches.map { Double($0.documents) }, in: whole)
    let largest = Double(branches.first?.documents ?? 1)
    let fields = zip(branches, boxes).map { branch, box -> String in
      // Shades by the square root, as the sides of the fields are.
      let shade = min(Int(5 * (Double(branch.documents) / largest).squareRoot()), 4)
      return "<g class=\"t\(shade)\">" + field(branch, box, isNested: false) + "</g>"
    }
    return """
      <svg class="map \(name)" viewBox="0 0 \(Int(width)) \(Int(height))" role="img" \
      aria-label="First and second tokens of the identifiers">\(fields.joined())</svg>
      """
  }

  private static func field(
    _ branch: IndexReport.Branch, _ box: TreeMap.Box, isNested: Bool
  ) -> String {
    let gap = isNested ? 0.75 : 1.5
    let inner = TreeMap.Box(
      x: box.x + gap, y: box.y + gap, width: box.width - 2 * gap, height: box.height - 2 * gap)
    guard inner.width > 1, inner.height > 1 else { return "" }
    let text = branch.piece.map(bare) ?? "+\(grouped(branch.tokens))"
    var result = """
      <rect class="\(isNested ? "in" : "out")" x="\(decimal(inner.x))" y="\(decimal(inner.y))" \
      width="\(decimal(inner.width))" height="\(decimal(inner.height))" rx="\(isNested ? 2 : 4)">\
      <title>\(escaped(text)): \(escaped(count(branch.documents, "document")))</title></rect>
      """
    let head = label(text, in: inner, isNested: isNested)
    result += head
    // Words without the word that comes before them would mislead.
    guard !isNested, !head.isEmpty, branch.branches.count > 1 else { return result }
    let rest = TreeMap.Box(
      x: inner.x + 2, y: inner.y + 20, width: inner.width - 4, height: inner.height - 22)
    guard rest.width > 24, rest.height > 16 else { return result }
    let boxes = TreeMap.boxes(of: branch.branches.map { Double($0.documents) }, in: rest)
    return result + zip(branch.branches, boxes).map { field($0, $1, isNested: true) }.joined()
  }

  /// The text in the corner of a field, or as much of its beginning as fits.
  private static func label(_ text: String, in box: TreeMap.Box, isNested: Bool) -> String {
    // An average letter is a little over half as wide as it is high.
    let (size, letter) = isNested ? (11.0, 6.7) : (13.0, 8.4)
    let room = Int((box.width - 8) / letter)
    guard room >= min(text.count, 4), size + 4 <= box.height else { return "" }
    let shown = text.count <= room ? text : text.prefix(room - 1) + "…"
    return """
      <text class="\(isNested ? "plain" : "bold")" x="\(decimal(box.x + 5))" \
      y="\(decimal(box.y + size + 1))">\(escaped(shown))</text>
      """
  }

  // MARK: Texts and numbers

  /// A piece without the space before it; a space alone stays as it is.
  static func bare(_ piece: String) -> String {
    let word = piece.hasPrefix("\u{2581}") ? String(piece.dropFirst()) : piece
    return word.isEmpty ? piece : word
  }

  /// A text that means nothing but itself in HTML; control characters become spaces.
  static func escaped(_ text: String) -> String {
    var result = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "&": result += "&amp;"
      case "<": result += "&lt;"
      case ">": result += "&gt;"
      case "\"": result += "&quot;"
      case "'": result += "&#39;"
      case _ where scalar.properties.generalCategory == .control: result += " "
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result
  }

  /// A number with a narrow space between its thousands.
  static func grouped(_ number: Int) -> String {
    let digits = Array(String(number))
    return String(
      digits.enumerated().flatMap { index, digit -> [Character] in
        index > 0 && (digits.count - index).isMultiple(of: 3) ? ["\u{202F}", digit] : [digit]
      })
  }

  static func count(_ number: Int, _ noun: String) -> String {
    "\(grouped(number)) \(noun)\(number == 1 ? "" : "s")"
  }

  static func percent(_ share: Double) -> String { decimal(100 * share) + " %" }

  static func decimal(_ number: Double, digits: Int = 1) -> String {
    String(printf: "%.\(digits)f", number)
  }
}

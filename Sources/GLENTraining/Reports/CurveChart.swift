import GLENPlatform

/// Curves over the updates of a phase, as an SVG picture in the page's own colours.
struct CurveChart {
  /// A named row of points.
  struct Curve {
    var name: String
    var points: [(x: Double, y: Double)]
  }

  var title: String
  var curves: [Curve]

  private static let (width, height) = (380.0, 230.0)
  private static let (left, right, top, bottom) = (52.0, 10.0, 12.0, 24.0)
  private static let mostPoints = 240

  /// The picture with its title and, for several curves, a legend; empty without points.
  func html() -> String {
    let curves = curves.map(Self.thinned).filter { !$0.points.isEmpty }
    let points = curves.flatMap(\.points)
    guard let lastX = points.map(\.x).max(), let low = points.map(\.y).min(),
      let high = points.map(\.y).max()
    else { return "" }
    let isLogarithmic = low > 0 && high / low > 1000
    let ticks =
      isLogarithmic ? Self.decades(low, high) : Self.ticks(from: low, to: high)
    func scaled(_ y: Double) -> Double { isLogarithmic ? log10(y) : y }
    let bounds = [low, high] + ticks
    let (bottomY, topY) = (scaled(bounds.min() ?? low), scaled(bounds.max() ?? high))
    func x(_ value: Double) -> Double {
      Self.left + value / max(lastX, 1) * (Self.width - Self.left - Self.right)
    }
    func y(_ value: Double) -> Double {
      let share = topY > bottomY ? (scaled(value) - bottomY) / (topY - bottomY) : 0.5
      return Self.height - Self.bottom - share * (Self.height - Self.top - Self.bottom)
    }
    var svg = ""
    for tick in ticks {
      svg +=
        "<line class=grid x1=\(Self.left) x2=\(Self.width - Self.right) y1=\(Self.text(y(tick)))"
      svg += " y2=\(Self.text(y(tick))) /><text x=\(Self.left - 6) y=\(Self.text(y(tick) + 3.5))"
      svg += " text-anchor=end>\(HTML.number(tick))</text>"
    }
    for tick in Self.ticks(from: 0, to: lastX) where tick <= lastX {
      svg += "<text x=\(Self.text(x(tick))) y=\(Self.height - 7) text-anchor=middle>"
      svg += "\(HTML.number(tick))</text>"
    }
    var legend = ""
    for (index, curve) in curves.enumerated() {
      let path = curve.points.map { "\(Self.text(x($0.x))),\(Self.text(y($0.y)))" }
      let colour = "c\(index % 6)"
      let last = curve.points[curve.points.count - 1]
      svg += "<polyline class=\(colour) points=\"\(path.joined(separator: " "))\" />"
      svg += "<circle class=\(colour) cx=\(Self.text(x(last.x))) cy=\(Self.text(y(last.y))) r=2.5>"
      svg += "<title>\(HTML.escaped(curve.name)) \(HTML.number(last.y))</title></circle>"
      legend += "<span><i class=\(colour)></i>\(HTML.escaped(curve.name)) "
      legend += "<b>\(HTML.number(last.y))</b></span>"
    }
    return """
      <figure><figcaption>\(HTML.escaped(title))</figcaption>
      <svg viewBox="0 0 \(Int(Self.width)) \(Int(Self.height))" role="img" \
      aria-label="\(HTML.escaped(title))">\(svg)</svg><div class=legend>\(legend)</div></figure>

      """
  }

  /// The curve with neighbours averaged where there are more points than a picture can show.
  private static func thinned(_ curve: Curve) -> Curve {
    let count = curve.points.count
    guard count > mostPoints else { return curve }
    let points = (0..<mostPoints).map { index in
      let part = curve.points[index * count / mostPoints..<(index + 1) * count / mostPoints]
      let sum = part.reduce((x: 0.0, y: 0.0)) { ($0.x + $1.x, $0.y + $1.y) }
      return (x: sum.x / Double(part.count), y: sum.y / Double(part.count))
    }
    return Curve(name: curve.name, points: points)
  }

  /// About four round numbers that span a range.
  static func ticks(from low: Double, to high: Double) -> [Double] {
    let span = high - low
    guard span > 0, span.isFinite else { return [low] }
    let power = pow(10, floor(log10(span / 4)))
    let step = [1, 2, 5, 10].map { $0 * power }.first { span / $0 <= 4.5 } ?? span
    guard step > 0, step >= span * 1e-6 else { return [low] }
    let first = (low / step).rounded(.down)
    let last = (high / step).rounded(.up)
    guard last - first < 20 else { return [low, high] }
    return stride(from: first, through: last, by: 1).map { $0 * step }
  }

  private static func decades(_ low: Double, _ high: Double) -> [Double] {
    let (first, last) = (Int(log10(low).rounded(.down)), Int(log10(high).rounded(.up)))
    return stride(from: first, through: last, by: max(1, (last - first) / 4)).map {
      pow(10, Double($0))
    }
  }

  private static func text(_ value: Double) -> String { String(printf: "%.1f", value) }
}

/// Text and numbers for a page.
enum HTML {
  /// Text in which nothing is markup.
  static func escaped(_ text: String) -> String {
    // By scalars: a mark behind one of them makes another character of it, but not another markup.
    text.unicodeScalars.reduce(into: "") { escaped, scalar in
      switch scalar {
      case "&": escaped += "&amp;"
      case "<": escaped += "&lt;"
      case ">": escaped += "&gt;"
      case "\"": escaped += "&quot;"
      default: escaped.unicodeScalars.append(scalar)
      }
    }
  }

  /// A number as it is read best: whole ones whole, others with four digits.
  static func number(_ value: Double) -> String {
    let magnitude = abs(value)
    if value == value.rounded(), magnitude < 1e5 { return String(Int(value)) }
    if magnitude >= 1e6 { return String(printf: "%.3gM", value / 1e6) }
    if magnitude >= 1e4 { return String(printf: "%.3gk", value / 1e3) }
    return String(printf: "%.4g", value)
  }

  /// A time as hours, minutes and seconds.
  static func duration(_ seconds: Double) -> String {
    let whole = Int(min(max(seconds, 0), 1e9))
    return whole >= 3600
      ? String(printf: "%ld:%02ld:%02ld", whole / 3600, whole / 60 % 60, whole % 60)
      : String(printf: "%ld:%02ld min", whole / 60, whole % 60)
  }
}

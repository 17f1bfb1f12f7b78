/// Parses one line that holds one JSON object, strictly (RFC 8259), without building its values.
///
/// Foundation's decoders cost several microseconds a line; files with millions of lines are usual
/// here, and only a few members of each object matter.
struct JSONLineParser {
  /// How deep arrays and objects may nest.
  static let depthLimit = 128

  private let bytes: [UInt8]
  private var index = 0

  /// Prepares to parse a line.
  init(_ bytes: [UInt8]) {
    self.bytes = bytes
  }

  /// Parses the object and hands over its members one by one.
  ///
  /// - Throws: What is wrong, and at which column.
  mutating func parseObject(
    _ member: (_ name: String, _ value: JSONScalar) -> Void
  ) throws(LineProblem) {
    skipSpace()
    guard peek == UInt8(ascii: "{") else { throw problem("a JSON object") }
    try members(depth: 1, member)
    skipSpace()
    guard index == bytes.count else { throw problem("the end of the line after the JSON object") }
  }

  private var peek: UInt8? { index < bytes.count ? bytes[index] : nil }

  private mutating func skipSpace() {
    while let byte = peek, byte == 0x20 || byte == 0x09 || byte == 0x0D || byte == 0x0A {
      index += 1
    }
  }

  private mutating func consume(_ character: Unicode.Scalar) -> Bool {
    guard peek == UInt8(ascii: character) else { return false }
    index += 1
    return true
  }

  /// Parses from the opening brace to the closing one.
  private mutating func members(
    depth: Int, _ member: (_ name: String, _ value: JSONScalar) -> Void
  ) throws(LineProblem) {
    index += 1
    skipSpace()
    if consume("}") { return }
    while true {
      skipSpace()
      guard peek == UInt8(ascii: "\"") else { throw problem("a member name in double quotes") }
      let name = try string()
      skipSpace()
      guard consume(":") else { throw problem("':' after a member name") }
      member(name, try value(depth: depth))
      skipSpace()
      if consume("}") { return }
      guard consume(",") else { throw problem("',' or '}' after a member") }
    }
  }

  /// Parses from the opening bracket to the closing one.
  private mutating func elements(depth: Int) throws(LineProblem) {
    index += 1
    skipSpace()
    if consume("]") { return }
    while true {
      _ = try value(depth: depth)
      skipSpace()
      if consume("]") { return }
      guard consume(",") else { throw problem("',' or ']' after an element") }
    }
  }

  private mutating func value(depth: Int) throws(LineProblem) -> JSONScalar {
    skipSpace()
    switch peek {
    case UInt8(ascii: "\""):
      return .string(try string())
    case UInt8(ascii: "{"), UInt8(ascii: "["):
      guard depth < Self.depthLimit else {
        throw problem("at most \(Self.depthLimit) nested values")
      }
      guard peek == UInt8(ascii: "{") else {
        try elements(depth: depth + 1)
        return .other
      }
      var inner: [String: JSONScalar] = [:]
      try members(depth: depth + 1) { name, value in if depth == 1 { inner[name] = value } }
      return depth == 1 ? .object(inner) : .other
    case UInt8(ascii: "t"):
      try literal("true")
      return .bool(true)
    case UInt8(ascii: "f"):
      try literal("false")
      return .bool(false)
    case UInt8(ascii: "n"):
      try literal("null")
      return .null
    default:
      return .number(try number())
    }
  }

  private mutating func literal(_ word: StaticString) throws(LineProblem) {
    let matches = word.withUTF8Buffer { bytes[index...].starts(with: $0) }
    guard matches else { throw problem("a JSON value") }
    index += word.utf8CodeUnitCount
  }

  private mutating func number() throws(LineProblem) -> String {
    let start = index
    _ = consume("-")
    if !consume("0"), digits() == 0 { throw problem("a JSON value") }
    if consume("."), digits() == 0 { throw problem("a digit after the decimal point") }
    if consume("e") || consume("E") {
      if !consume("+") { _ = consume("-") }
      if digits() == 0 { throw problem("a digit in the exponent") }
    }
    return String(decoding: bytes[start..<index], as: UTF8.self)
  }

  private mutating func digits() -> Int {
    let start = index
    while let byte = peek, (0x30...0x39).contains(byte) { index += 1 }
    return index - start
  }

  /// Parses from the opening quote to the closing one.
  private mutating func string() throws(LineProblem) -> String {
    index += 1
    let start = index
    while let byte = peek, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\"), byte >= 0x20 {
      index += 1
    }
    if peek == UInt8(ascii: "\"") {
      defer { index += 1 }
      return try text(bytes[start..<index], at: start)
    }
    var unescaped = Array(bytes[start..<index])
    while let byte = peek {
      if consume("\"") { return try text(unescaped[...], at: start) }
      if byte == UInt8(ascii: "\\") {
        try escape(into: &unescaped)
      } else if byte >= 0x20 {
        unescaped.append(byte)
        index += 1
      } else {
        throw problem("control characters in strings to be escaped")
      }
    }
    throw problem("a closing '\"'")
  }

  private func text(_ slice: ArraySlice<UInt8>, at start: Int) throws(LineProblem) -> String {
    guard let text = String(validating: slice, as: UTF8.self) else {
      throw LineProblem(
        expected: "UTF-8 text", got: "invalid UTF-8 in the string at column \(start)")
    }
    return text
  }

  /// Parses one escape sequence, from its backslash on.
  private mutating func escape(into unescaped: inout [UInt8]) throws(LineProblem) {
    index += 1
    guard let kind = peek else { throw problem("an escape sequence") }
    index += 1
    switch kind {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): unescaped.append(kind)
    case UInt8(ascii: "b"): unescaped.append(0x08)
    case UInt8(ascii: "f"): unescaped.append(0x0C)
    case UInt8(ascii: "n"): unescaped.append(0x0A)
    case UInt8(ascii: "r"): unescaped.append(0x0D)
    case UInt8(ascii: "t"): unescaped.append(0x09)
    case UInt8(ascii: "u"): unescaped.append(contentsOf: Array(String(try unicodeScalar()).utf8))
    default:
      index -= 1
      throw problem("an escape sequence")
    }
  }

  /// Parses what follows `\u`: four hexadecimal digits, or a surrogate pair.
  private mutating func unicodeScalar() throws(LineProblem) -> Character {
    let first = try hexadecimal()
    var code = first
    if (0xD800...0xDBFF).contains(first), consume("\\"), consume("u") {
      let second = try hexadecimal()
      if (0xDC00...0xDFFF).contains(second) {
        code = 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00)
      }
    }
    guard let scalar = Unicode.Scalar(code) else {
      throw LineProblem(
        expected: "surrogates in pairs", got: "a lone surrogate before column \(index + 1)")
    }
    return Character(scalar)
  }

  private mutating func hexadecimal() throws(LineProblem) -> UInt32 {
    var code: UInt32 = 0
    for _ in 0..<4 {
      guard let byte = peek, let digit = Character(Unicode.Scalar(byte)).hexDigitValue else {
        throw problem("four hexadecimal digits")
      }
      code = code << 4 | UInt32(digit)
      index += 1
    }
    return code
  }

  /// The problem that what is at the current position is not what the format asks for.
  private func problem(_ expected: String) -> LineProblem {
    guard let byte = peek else {
      return LineProblem(expected: expected, got: "the end of the line")
    }
    let shown =
      (0x21...0x7E).contains(byte)
      ? "'\(Character(Unicode.Scalar(byte)))'" : "byte 0x\(String(byte, radix: 16))"
    return LineProblem(expected: expected, got: "\(shown) at column \(index + 1)")
  }
}

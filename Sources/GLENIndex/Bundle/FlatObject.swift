/// Reads the JSON objects that a catalog keeps: names with texts, numbers and truth values, as
/// `JSONEncoder` writes them without spaces.
///
/// A filter asks for every document's; a general decoder takes twenty times as long.
enum FlatObject {
  /// The object, or nil for anything else, which is for a general decoder to read or to refuse: an escape in
  /// a text, a name that comes twice, what is no JSON.
  static func values(_ bytes: UnsafeRawBufferPointer) -> [String: MetadataValue]? {
    var reader = Reader(bytes: bytes)
    guard reader.take("{") else { return nil }
    var values: [String: MetadataValue] = [:]
    repeat {
      guard let name = reader.text(), reader.take(":"), let value = reader.value(),
        values.updateValue(value, forKey: name) == nil
      else { return nil }
    } while reader.take(",")
    return reader.take("}") && reader.place == bytes.count ? values : nil
  }

  private struct Reader {
    let bytes: UnsafeRawBufferPointer
    var place = 0

    var next: UInt8? { place < bytes.count ? bytes[place] : nil }

    mutating func take(_ character: Unicode.Scalar) -> Bool {
      guard next == UInt8(ascii: character) else { return false }
      place += 1
      return true
    }

    mutating func text() -> String? {
      guard take("\"") else { return nil }
      let first = place
      while let byte = next, byte != UInt8(ascii: "\"") {
        if byte == UInt8(ascii: "\\") || byte < 0x20 { return nil }
        place += 1
      }
      let text = String(validating: bytes[first..<place], as: UTF8.self)
      return take("\"") ? text : nil
    }

    mutating func value() -> MetadataValue? {
      switch next {
      case UInt8(ascii: "\""): return text().map { .string($0) }
      case UInt8(ascii: "t"): return word("true") ? .bool(true) : nil
      case UInt8(ascii: "f"): return word("false") ? .bool(false) : nil
      default: return number().map { .number($0) }
      }
    }

    private mutating func word(_ word: StaticString) -> Bool {
      let isThere = word.withUTF8Buffer { bytes[place...].starts(with: $0) }
      if isThere { place += word.utf8CodeUnitCount }
      return isThere
    }

    private mutating func digits() -> Int {
      let first = place
      while let byte = next, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) { place += 1 }
      return place - first
    }

    /// By JSON's grammar, which is narrower than Swift's.
    private mutating func number() -> Double? {
      let first = place
      _ = take("-")
      let startsWithZero = next == UInt8(ascii: "0")
      let whole = digits()
      guard whole > 0, whole == 1 || !startsWithZero else { return nil }
      if take("."), digits() == 0 { return nil }
      if take("e") || take("E") {
        if !take("+") { _ = take("-") }
        if digits() == 0 { return nil }
      }
      let number = Double(String(decoding: bytes[first..<place], as: UTF8.self))
      return number.flatMap { $0.isFinite ? $0 : nil }
    }
  }
}

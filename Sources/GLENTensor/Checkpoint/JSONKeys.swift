import GLENPlatform

/// Counts what decoders do not tell: an object that names a key twice decodes as if it had one of them.
package enum JSONKeys {
  /// How many keys valid JSON has, the repeated ones counted each time.
  ///
  /// - Parameter depth: counts those of objects in so many brackets only: 1 is the outermost's.
  package static func count(in json: Data, depth wanted: Int? = nil) -> Int {
    json.withUnsafeBytes { count(in: $0, depth: wanted) }
  }

  private static func count(in json: UnsafeRawBufferPointer, depth wanted: Int?) -> Int {
    var (count, depth) = (0, 0)
    var (isInString, isEscaped) = (false, false)
    for byte in json {
      if isInString {
        if isEscaped {
          isEscaped = false
        } else if byte == UInt8(ascii: "\\") {
          isEscaped = true
        } else if byte == UInt8(ascii: "\"") {
          isInString = false
        }
        continue
      }
      switch byte {
      case UInt8(ascii: "\""): isInString = true
      case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
      case UInt8(ascii: "}"), UInt8(ascii: "]"): depth -= 1
      case UInt8(ascii: ":") where wanted == nil || depth == wanted: count += 1
      default: break
      }
    }
    return count
  }
}

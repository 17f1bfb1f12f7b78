/// The 64-bit cyclic redundancy check that XZ uses (ECMA-182, reflected), eight bytes at a time.
///
/// It finds every change that is confined to 64 consecutive bits.
package struct CRC64 {
  private static let tables: [UInt64] = {
    var tables = [UInt64](repeating: 0, count: 8 * 256)
    for byte in 0..<256 {
      var value = UInt64(byte)
      for _ in 0..<8 { value = value & 1 == 1 ? value >> 1 ^ 0xC96C_5795_D787_0F42 : value >> 1 }
      tables[byte] = value
    }
    for index in 256..<tables.count {
      let previous = tables[index - 256]
      tables[index] = tables[Int(previous & 0xFF)] ^ previous >> 8
    }
    return tables
  }()

  private var state = UInt64.max

  /// The check of no bytes yet.
  package init() {}

  /// The check value of all bytes so far.
  package var value: UInt64 { ~state }

  /// Adds bytes.
  package mutating func add(_ bytes: UnsafeRawBufferPointer) {
    var value = state
    Self.tables.withUnsafeBufferPointer { tables in
      var offset = 0
      while offset + 8 <= bytes.count {
        let word = bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
        let mixed = value ^ UInt64(littleEndian: word)
        value = 0
        for byte in 0..<8 {
          value ^= tables[(7 - byte) * 256 + Int(mixed >> UInt64(8 * byte) & 0xFF)]
        }
        offset += 8
      }
      while offset < bytes.count {
        value = tables[Int((value ^ UInt64(bytes[offset])) & 0xFF)] ^ value >> 8
        offset += 1
      }
    }
    state = value
  }

  /// The check value of some bytes.
  package static func checksum(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
    var check = CRC64()
    check.add(bytes)
    return check.value
  }

  /// A check value as 16 hexadecimal digits.
  package static func text(_ checksum: UInt64) -> String {
    let digits = String(checksum, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }

  /// Whether a string is what `text` makes.
  package static func isText(_ string: String) -> Bool {
    string.utf8.count == 16
      && string.utf8.allSatisfy {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0)
          || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains($0)
      }
  }
}

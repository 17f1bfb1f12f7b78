import GLENPlatform
import GLENTensor

/// A 64-bit checksum of texts, each with its length: no cryptography, but eight bytes at a time.
struct TextChecksum {
  private(set) var value: UInt64 = 0x9E37_79B9_7F4A_7C15

  /// The value in hexadecimal digits.
  var text: String { String(value, radix: 16) }

  /// The checksum of nothing.
  init() {}

  /// The checksum of some files' contents.
  ///
  /// - Throws: `TensorError.file`.
  init(of files: [URL]) throws {
    for url in files {
      let file = try MappedFile(url)
      withExtendedLifetime(file) { add(UnsafeRawBufferPointer(file.bytes)) }
    }
  }

  mutating func add(_ text: String) {
    var text = text
    text.withUTF8 { add(UnsafeRawBufferPointer($0)) }
  }

  mutating func add(_ numbers: [Int]) { numbers.withUnsafeBytes { add($0) } }

  mutating func add(_ bytes: UnsafeRawBufferPointer) {
    mix(UInt64(bytes.count))
    var place = 0
    while place + 8 <= bytes.count {
      mix(bytes.loadUnaligned(fromByteOffset: place, as: UInt64.self))
      place += 8
    }
    var last: UInt64 = 0
    for byte in bytes[place...] { last = last << 8 | UInt64(byte) }
    mix(last)
  }

  /// Both halves of a product with an odd number: each bit of the word reaches most of the value.
  private mutating func mix(_ word: UInt64) {
    let product = (value ^ word).multipliedFullWidth(by: 0xD6E8_FEB8_6659_FD93)
    value = (product.high ^ product.low) &+ word
  }
}

/// Little-endian numbers of a mapped file; whatever lies outside it is nil.
struct ByteReader {
  let bytes: UnsafeRawBufferPointer

  /// The number at an offset.
  func number<Number: FixedWidthInteger>(_ type: Number.Type, at offset: Int) -> Number? {
    let size = MemoryLayout<Number>.size
    guard offset >= 0, bytes.count >= size, offset <= bytes.count - size else { return nil }
    return Number(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: type))
  }

  /// The range of `count` bytes from an offset, if all of them are there.
  func range(at offset: Int, count: Int) -> Range<Int>? {
    guard offset >= 0, count >= 0, offset <= bytes.count, count <= bytes.count - offset else {
      return nil
    }
    return offset..<offset + count
  }

  /// The text of `count` bytes from an offset, if they are there and UTF-8.
  func text(at offset: Int, count: Int) -> String? {
    guard let range = range(at: offset, count: count) else { return nil }
    return String(validating: bytes[range], as: UTF8.self)
  }
}

/// Where the files of an uncompressed ZIP archive lie, ZIP64 included.
///
/// Only the central directory is believed; every place it names is checked against the archive.
struct ZipDirectory {
  /// The ranges of the files' bytes, by name.
  private(set) var files: [String: Range<Int>] = [:]

  /// What is wrong with an archive, in words that follow its path.
  struct Problem: Error {
    var reason: String
  }

  /// Reads the directory of an archive.
  init(_ bytes: UnsafeRawBufferPointer) throws(Problem) {
    let reader = ByteReader(bytes: bytes)
    let (start, size, count) = try Self.directory(reader)
    guard let range = reader.range(at: start, count: size) else {
      throw Problem(reason: "its ZIP directory lies outside the file; the file is cut short")
    }
    var position = range.lowerBound
    for _ in 0..<count {
      guard position <= range.upperBound - 46,
        reader.number(UInt32.self, at: position) == 0x0201_4B50,
        let flags = reader.number(UInt16.self, at: position + 8),
        let method = reader.number(UInt16.self, at: position + 10),
        let nameLength = reader.number(UInt16.self, at: position + 28),
        let extraLength = reader.number(UInt16.self, at: position + 30),
        let commentLength = reader.number(UInt16.self, at: position + 32),
        let name = reader.text(at: position + 46, count: Int(nameLength))
      else { throw Problem(reason: "its ZIP directory is damaged") }
      guard method == 0, flags & 1 == 0 else {
        throw Problem(
          reason: "\(name): expected a stored ZIP entry, got a compressed or encrypted one")
      }
      let extra = position + 46 + Int(nameLength)
      guard
        let place = Self.place(
          reader, entry: position, extra: extra..<extra + Int(extraLength)),
        place.compressed == place.size, let data = Self.data(reader, place.header, place.size)
      else { throw Problem(reason: "\(name): its ZIP entry lies outside the file or is damaged") }
      guard files.updateValue(data, forKey: name) == nil else {
        throw Problem(reason: "\(name): the ZIP directory names it twice")
      }
      position = extra + Int(extraLength) + Int(commentLength)
      guard position <= range.upperBound else {
        throw Problem(reason: "its ZIP directory is damaged")
      }
    }
  }

  /// Where the central directory is, and how many entries it has, by the record at the file's end.
  private static func directory(
    _ reader: ByteReader
  ) throws(Problem) -> (start: Int, size: Int, count: Int) {
    // A comment of at most 65535 bytes may follow the record of 22.
    let last = reader.bytes.count - 22
    var end = last
    while end >= max(0, last - 65535), reader.number(UInt32.self, at: end) != 0x0605_4B50 {
      end -= 1
    }
    guard end >= max(0, last - 65535), let count = reader.number(UInt16.self, at: end + 10),
      let size = reader.number(UInt32.self, at: end + 12),
      let start = reader.number(UInt32.self, at: end + 16)
    else {
      throw Problem(reason: "has no ZIP directory at its end; it is cut short or no ZIP archive")
    }
    guard count == .max || size == .max || start == .max else {
      return (Int(start), Int(size), Int(count))
    }
    // What does not fit is in the 64-bit record, whose place stands in the 20 bytes before.
    guard reader.number(UInt32.self, at: end - 20) == 0x0706_4B50,
      let place = reader.number(UInt64.self, at: end - 12).flatMap(Int.init(exactly:)),
      place <= reader.bytes.count - 56, reader.number(UInt32.self, at: place) == 0x0606_4B50,
      let wideCount = reader.number(UInt64.self, at: place + 32).flatMap(Int.init(exactly:)),
      let wideSize = reader.number(UInt64.self, at: place + 40).flatMap(Int.init(exactly:)),
      let wideStart = reader.number(UInt64.self, at: place + 48).flatMap(Int.init(exactly:)),
      wideCount <= reader.bytes.count / 46
    else { throw Problem(reason: "its 64-bit ZIP directory is damaged") }
    return (wideStart, wideSize, wideCount)
  }

  /// The sizes of an entry and the place of its header; saturated numbers stand in the extra field.
  private static func place(
    _ reader: ByteReader, entry: Int, extra: Range<Int>
  ) -> (header: Int, compressed: Int, size: Int)? {
    guard let compressed = reader.number(UInt32.self, at: entry + 20),
      let size = reader.number(UInt32.self, at: entry + 24),
      let header = reader.number(UInt32.self, at: entry + 42)
    else { return nil }
    var numbers = [UInt64(size), UInt64(compressed), UInt64(header)]
    if numbers.contains(UInt64(UInt32.max)) {
      var position = extra.lowerBound
      while position + 4 <= extra.upperBound, let kind = reader.number(UInt16.self, at: position),
        let length = reader.number(UInt16.self, at: position + 2)
      {
        position += 4
        if kind == 1 {
          let end = min(position + Int(length), extra.upperBound)
          for index in numbers.indices where numbers[index] == UInt64(UInt32.max) {
            guard position + 8 <= end, let wide = reader.number(UInt64.self, at: position) else {
              return nil
            }
            numbers[index] = wide
            position += 8
          }
          break
        }
        position += Int(length)
      }
    }
    let exact = numbers.compactMap { Int(exactly: $0) }
    return exact.count == 3 ? (exact[2], exact[1], exact[0]) : nil
  }

  /// The range of an entry's bytes, behind its own header.
  private static func data(_ reader: ByteReader, _ header: Int, _ size: Int) -> Range<Int>? {
    guard header <= reader.bytes.count - 30,
      reader.number(UInt32.self, at: header) == 0x0403_4B50,
      let nameLength = reader.number(UInt16.self, at: header + 26),
      let extraLength = reader.number(UInt16.self, at: header + 28)
    else { return nil }
    return reader.range(at: header + 30 + Int(nameLength) + Int(extraLength), count: size)
  }
}

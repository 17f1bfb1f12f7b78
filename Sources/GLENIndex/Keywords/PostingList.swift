/// The documents that have a piece, each with how often it has it, as they are written.
///
/// A posting is one number in variable bytes, twice the documents skipped since the one before, plus
/// one where the piece occurs more than once; the count less two then follows as another. So the
/// usual posting, a piece that occurs once, takes one or two bytes.
struct PostingList {
  private(set) var bytes: [UInt8] = []
  private(set) var documentCount: UInt32 = 0
  private var nextDocument = 0

  /// Adds a document that is greater than all before, with a count of at least 1.
  mutating func append(document: Int, count: Int) {
    append(UInt64(document - nextDocument) << 1 | (count > 1 ? 1 : 0))
    if count > 1 { append(UInt64(count - 2)) }
    nextDocument = document + 1
    documentCount += 1
  }

  /// Seven bits a byte, the lowest first; the highest bit says that more follow.
  private mutating func append(_ value: UInt64) {
    var rest = value
    while rest >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(rest))
  }
}

/// Walks over the postings of a piece, whatever the bytes are: a list that runs out of its bytes, or
/// that names a document which does not exist, ends there.
struct PostingReader {
  private var bytes: UnsafeBufferPointer<UInt8>
  private var place = 0
  private let documentCount: Int
  private var nextDocument = 0

  init(_ bytes: UnsafeBufferPointer<UInt8>, documentCount: Int) {
    self.bytes = bytes
    self.documentCount = documentCount
  }

  /// Whether all bytes have been read.
  var isAtEnd: Bool { place == bytes.count }

  /// The next document, which is below the number of documents, and the count of the piece in it.
  @inline(__always)
  mutating func next() -> (document: Int, count: UInt32)? {
    guard let value = number() else { return nil }
    // At most 2^34 documents are skipped at a time, so this cannot overflow.
    let document = nextDocument + Int(value >> 1)
    guard document < documentCount else { return nil }
    nextDocument = document + 1
    guard value & 1 == 1 else { return (document, 1) }
    guard let more = number() else { return nil }
    return (document, UInt32(clamping: more + 2))
  }

  /// A number of at most five bytes.
  @inline(__always)
  private mutating func number() -> UInt64? {
    guard place < bytes.count else { return nil }
    let first = UInt64(bytes[place])
    place += 1
    guard first >= 0x80 else { return first }
    var value = first & 0x7F
    var shift: UInt64 = 7
    while place < bytes.count, shift < 35 {
      let byte = UInt64(bytes[place])
      place += 1
      value |= (byte & 0x7F) << shift
      if byte < 0x80 { return value }
      shift += 7
    }
    return nil
  }
}

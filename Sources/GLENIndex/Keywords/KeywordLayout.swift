/// Where everything lies in `keywords.bin`: the counts of its header and the sections they imply.
struct KeywordLayout: Sendable, Equatable {
  static let magic: UInt64 = 0x5359_454B_4E45_4C47  // "GLENKEYS"
  static let version: UInt32 = 1
  static let headerLength = 64

  let documentCount: Int
  let pieceCount: Int
  /// The number of pieces of all documents together, repeated ones counted.
  let totalLength: Int
  let postingLength: Int

  let pieces: Section
  let frequencies: Section
  let postingOffsets: Section
  let lengths: Section
  let postings: Section
  let length: Int

  /// Derives the sections, or nil where the counts cannot be those of a keyword index.
  init?(documentCount: Int, pieceCount: Int, totalLength: Int, postingLength: Int) {
    guard documentCount >= 0, documentCount < Int(UInt32.max), pieceCount >= 0, totalLength >= 0,
      postingLength >= pieceCount
    else { return nil }
    var cursor = Self.headerLength
    guard
      let pieces = Section.append(count: pieceCount, stride: 4, cursor: &cursor),
      let frequencies = Section.append(count: pieceCount, stride: 4, cursor: &cursor),
      let offsets = Section.append(count: pieceCount + 1, stride: 8, cursor: &cursor),
      let lengths = Section.append(count: documentCount, stride: 4, cursor: &cursor),
      let postings = Section.append(count: postingLength, stride: 1, cursor: &cursor)
    else { return nil }
    self.documentCount = documentCount
    self.pieceCount = pieceCount
    self.totalLength = totalLength
    self.postingLength = postingLength
    self.pieces = pieces
    self.frequencies = frequencies
    self.postingOffsets = offsets
    self.lengths = lengths
    self.postings = postings
    self.length = cursor
  }

  /// Writes the 64 bytes that open the file.
  func writeHeader(to bytes: UnsafeMutableRawBufferPointer) {
    bytes.storeBytes(of: Self.magic, toByteOffset: 0, as: UInt64.self)
    bytes.storeBytes(of: Self.version, toByteOffset: 8, as: UInt32.self)
    bytes.storeBytes(of: UInt64(documentCount), toByteOffset: 16, as: UInt64.self)
    bytes.storeBytes(of: UInt64(pieceCount), toByteOffset: 24, as: UInt64.self)
    bytes.storeBytes(of: UInt64(totalLength), toByteOffset: 32, as: UInt64.self)
    bytes.storeBytes(of: UInt64(postingLength), toByteOffset: 40, as: UInt64.self)
  }

  /// Reads the header and checks that the sections fill the region exactly.
  static func read(_ memory: IndexMemory, path: String) throws(IndexError) -> KeywordLayout {
    guard let magic = memory.integer(at: 0, as: UInt64.self), memory.bytes.count >= headerLength
    else {
      throw .damagedFile(
        path: path,
        problem: "its header is cut off; expected \(headerLength) bytes, got \(memory.bytes.count)")
    }
    guard magic == Self.magic else {
      throw .damagedFile(path: path, problem: "it does not begin with \"GLENKEYS\"")
    }
    let version = memory.integer(at: 8, as: UInt32.self) ?? 0
    guard version == Self.version else {
      throw .unsupportedVersion(path: path, found: Int(version), supported: Int(Self.version))
    }
    func count(_ offset: Int) -> Int {
      memory.integer(at: offset, as: UInt64.self).flatMap { Int(exactly: $0) } ?? -1
    }
    // `pieceCount + 1` must not overflow; no file has as many pieces as it has bytes.
    guard count(24) <= memory.bytes.count,
      let layout = KeywordLayout(
        documentCount: count(16), pieceCount: count(24), totalLength: count(32),
        postingLength: count(40))
    else {
      throw .damagedFile(path: path, problem: "the counts in its header contradict each other")
    }
    guard layout.length == memory.bytes.count else {
      throw .damagedFile(
        path: path,
        problem: "its length contradicts the counts in its header; expected \(layout.length) "
          + "bytes, got \(memory.bytes.count)")
    }
    return layout
  }
}

/// Where everything lies in `identifiers.bin`: the counts of its header and the sections they imply.
struct IdentifierLayout: Sendable, Equatable {
  static let magic: UInt64 = 0x4E45_4449_4E45_4C47  // "GLENIDEN"
  static let version: UInt32 = 1
  static let headerLength = 64

  /// The largest vocabulary that a table accepts.
  static let largestVocabulary = 1 << 24

  /// The longest identifiers that a table accepts.
  static let largestLength = 1 << 10

  let documentCount: Int
  let identifierCount: Int
  let identifierLength: Int
  let vocabularySize: Int
  let levelTokenCount: Int
  let codeWidth: Int

  let levelOffsets: Section
  let levelTokens: Section
  let columns: [Section]
  let bucketOffsets: Section
  let members: Section
  let rows: Section
  let weights: Section
  let length: Int

  /// Derives the sections, or nil where the counts cannot be those of a table.
  init?(
    documentCount: Int, identifierCount: Int, identifierLength: Int, vocabularySize: Int,
    levelTokenCount: Int, codeWidth: Int
  ) {
    guard codeWidth == 2 || codeWidth == 4,
      documentCount >= 0, documentCount < Int(UInt32.max),
      identifierCount >= 0, identifierCount <= documentCount,
      (identifierCount == 0) == (documentCount == 0),
      identifierLength >= 1, identifierLength <= Self.largestLength,
      vocabularySize >= 0, vocabularySize <= Self.largestVocabulary,
      levelTokenCount >= 0, levelTokenCount <= identifierLength * identifierCount
    else { return nil }
    var cursor = Self.headerLength
    guard
      let levelOffsets = Section.append(count: identifierLength + 1, stride: 4, cursor: &cursor),
      let levelTokens = Section.append(count: levelTokenCount, stride: 4, cursor: &cursor)
    else { return nil }
    var columns: [Section] = []
    for _ in 0..<identifierLength {
      guard
        let column = Section.append(count: identifierCount, stride: codeWidth, cursor: &cursor)
      else { return nil }
      columns.append(column)
    }
    guard
      let buckets = Section.append(count: identifierCount + 1, stride: 4, cursor: &cursor),
      let members = Section.append(count: documentCount, stride: 4, cursor: &cursor),
      let rows = Section.append(count: documentCount, stride: 4, cursor: &cursor),
      let weights = Section.append(
        count: documentCount, stride: 4 * identifierLength, cursor: &cursor)
    else { return nil }
    self.documentCount = documentCount
    self.identifierCount = identifierCount
    self.identifierLength = identifierLength
    self.vocabularySize = vocabularySize
    self.levelTokenCount = levelTokenCount
    self.codeWidth = codeWidth
    self.levelOffsets = levelOffsets
    self.levelTokens = levelTokens
    self.columns = columns
    self.bucketOffsets = buckets
    self.members = members
    self.rows = rows
    self.weights = weights
    self.length = cursor
  }

  /// Writes the 64 bytes that open the file.
  func writeHeader(to bytes: UnsafeMutableRawBufferPointer) {
    bytes.storeBytes(of: Self.magic, toByteOffset: 0, as: UInt64.self)
    bytes.storeBytes(of: Self.version, toByteOffset: 8, as: UInt32.self)
    bytes.storeBytes(of: UInt32(codeWidth), toByteOffset: 12, as: UInt32.self)
    bytes.storeBytes(of: UInt64(documentCount), toByteOffset: 16, as: UInt64.self)
    bytes.storeBytes(of: UInt64(identifierCount), toByteOffset: 24, as: UInt64.self)
    bytes.storeBytes(of: UInt64(identifierLength), toByteOffset: 32, as: UInt64.self)
    bytes.storeBytes(of: UInt64(vocabularySize), toByteOffset: 40, as: UInt64.self)
    bytes.storeBytes(of: UInt64(levelTokenCount), toByteOffset: 48, as: UInt64.self)
  }

  /// Reads the header and checks that the sections fill the region exactly.
  static func read(_ memory: IndexMemory, path: String) throws(IndexError) -> IdentifierLayout {
    guard let magic = memory.integer(at: 0, as: UInt64.self), memory.bytes.count >= headerLength
    else {
      throw .damagedFile(
        path: path,
        problem: "its header is cut off; expected \(headerLength) bytes, got \(memory.bytes.count)")
    }
    guard magic == Self.magic else {
      throw .damagedFile(path: path, problem: "it does not begin with \"GLENIDEN\"")
    }
    let version = memory.integer(at: 8, as: UInt32.self) ?? 0
    guard version == Self.version else {
      throw .unsupportedVersion(path: path, found: Int(version), supported: Int(Self.version))
    }
    func count(_ offset: Int) -> Int {
      memory.integer(at: offset, as: UInt64.self).flatMap { Int(exactly: $0) } ?? -1
    }
    guard
      let layout = IdentifierLayout(
        documentCount: count(16), identifierCount: count(24), identifierLength: count(32),
        vocabularySize: count(40), levelTokenCount: count(48),
        codeWidth: Int(memory.integer(at: 12, as: UInt32.self) ?? 0))
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

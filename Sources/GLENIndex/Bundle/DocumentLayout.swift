/// Where everything lies in `documents.bin`: the counts of its header and the sections they imply.
struct DocumentLayout: Sendable, Equatable {
  static let magic: UInt64 = 0x5343_4F44_4E45_4C47  // "GLENDOCS"
  static let version: UInt32 = 1
  static let headerLength = 64

  let count: Int
  let hasTitles: Bool
  let nameLength: Int
  let titleLength: Int

  let nameOffsets: Section
  let names: Section
  let order: Section
  let titleOffsets: Section
  let titles: Section
  let length: Int

  /// Derives the sections, or nil where the counts cannot be those of a catalog.
  init?(count: Int, hasTitles: Bool, nameLength: Int, titleLength: Int) {
    guard count >= 0, count < Int(UInt32.max), nameLength >= 0, titleLength >= 0,
      hasTitles || titleLength == 0
    else { return nil }
    var cursor = Self.headerLength
    let titleCount = hasTitles ? count + 1 : 0
    guard
      let nameOffsets = Section.append(count: count + 1, stride: 8, cursor: &cursor),
      let names = Section.append(count: nameLength, stride: 1, cursor: &cursor),
      let order = Section.append(count: count, stride: 4, cursor: &cursor),
      let titleOffsets = Section.append(count: titleCount, stride: 8, cursor: &cursor),
      let titles = Section.append(count: titleLength, stride: 1, cursor: &cursor)
    else { return nil }
    self.count = count
    self.hasTitles = hasTitles
    self.nameLength = nameLength
    self.titleLength = titleLength
    self.nameOffsets = nameOffsets
    self.names = names
    self.order = order
    self.titleOffsets = titleOffsets
    self.titles = titles
    self.length = cursor
  }

  /// Writes the 64 bytes that open the file.
  func writeHeader(to bytes: UnsafeMutableRawBufferPointer) {
    bytes.storeBytes(of: Self.magic, toByteOffset: 0, as: UInt64.self)
    bytes.storeBytes(of: Self.version, toByteOffset: 8, as: UInt32.self)
    bytes.storeBytes(of: hasTitles ? 1 : 0, toByteOffset: 12, as: UInt32.self)
    bytes.storeBytes(of: UInt64(count), toByteOffset: 16, as: UInt64.self)
    bytes.storeBytes(of: UInt64(nameLength), toByteOffset: 24, as: UInt64.self)
    bytes.storeBytes(of: UInt64(titleLength), toByteOffset: 32, as: UInt64.self)
  }

  /// Reads the header and checks that the sections fill the region exactly.
  static func read(_ memory: IndexMemory, path: String) throws(IndexError) -> DocumentLayout {
    guard let magic = memory.integer(at: 0, as: UInt64.self), memory.bytes.count >= headerLength
    else {
      throw .damagedFile(
        path: path,
        problem: "its header is cut off; expected \(headerLength) bytes, got \(memory.bytes.count)")
    }
    guard magic == Self.magic else {
      throw .damagedFile(path: path, problem: "it does not begin with \"GLENDOCS\"")
    }
    let version = memory.integer(at: 8, as: UInt32.self) ?? 0
    guard version == Self.version else {
      throw .unsupportedVersion(path: path, found: Int(version), supported: Int(Self.version))
    }
    func number(_ offset: Int) -> Int {
      memory.integer(at: offset, as: UInt64.self).flatMap { Int(exactly: $0) } ?? -1
    }
    let flags = memory.integer(at: 12, as: UInt32.self) ?? 0
    guard flags <= 1,
      let layout = DocumentLayout(
        count: number(16), hasTitles: flags == 1, nameLength: number(24), titleLength: number(32))
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

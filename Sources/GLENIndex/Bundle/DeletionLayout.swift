/// Where everything lies in a file of deleted documents.
struct DeletionLayout: DataFileLayout {
  static let name = "GLENGONE"

  /// How many documents the segment has.
  let documentCount: Int

  /// How many of them are deleted.
  let deletedCount: Int

  /// One bit a document, the lowest of a word first.
  let words: Section
  let length: Int

  var flags: UInt32 { 0 }
  var counts: [Int] { [documentCount, deletedCount] }

  init?(flags: UInt32, counts: [Int]) {
    let (documentCount, deletedCount) = (counts[0], counts[1])
    var cursor = Self.headerLength
    guard flags == 0, documentCount >= 0, documentCount < Int(UInt32.max), deletedCount >= 0,
      deletedCount <= documentCount,
      let words = Section.append(
        count: documentCount / 64 + (documentCount % 64 == 0 ? 0 : 1), stride: 8, cursor: &cursor)
    else { return nil }
    self.documentCount = documentCount
    self.deletedCount = deletedCount
    self.words = words
    self.length = cursor
  }
}

extension DocumentSet {
  /// The region of bytes of a file that names these documents as deleted.
  func deletionMemory() -> IndexMemory? {
    guard let layout = DeletionLayout(flags: 0, counts: [capacity, count]) else { return nil }
    return IndexMemory(count: layout.length) { bytes in
      layout.writeHeader(to: bytes)
      words.withUnsafeBytes { bytes.store($0, at: layout.words) }
    }
  }

  /// Reads the deleted documents of a segment; bits behind the last document are passed over.
  init(deletions memory: IndexMemory, path: String) throws(IndexError) {
    let layout = try DeletionLayout(reading: memory, path: path)
    let words = withExtendedLifetime(memory) {
      Array(memory.section(layout.words, as: UInt64.self))
    }
    self.init(capacity: layout.documentCount, words: words)
    guard count == layout.deletedCount else {
      throw .damagedFile(
        path: path,
        problem: "it marks \(count) documents as deleted; expected \(layout.deletedCount)")
    }
  }
}

/// Where everything lies in a documents file.
struct DocumentLayout: DataFileLayout {
  static let name = "GLENDOCS"

  /// A column of texts: the offset of each and the total, then the texts end to end.
  struct Texts: Sendable, Equatable {
    let offsets: Section
    let bytes: Section

    /// Appends the sections of some texts, or empty ones where there is no such column.
    init?(count: Int, length: Int, isThere: Bool, cursor: inout Int) {
      guard length >= 0, isThere || length == 0,
        let offsets = Section.append(count: isThere ? count + 1 : 0, stride: 8, cursor: &cursor),
        let bytes = Section.append(count: length, stride: 1, cursor: &cursor)
      else { return nil }
      self.offsets = offsets
      self.bytes = bytes
    }
  }

  let count: Int
  let hasTitles: Bool
  let hasMetadata: Bool

  let names: Texts
  let order: Section
  let titles: Texts
  let metadata: Texts
  let length: Int

  var flags: UInt32 { (hasTitles ? 1 : 0) | (hasMetadata ? 2 : 0) }
  var counts: [Int] { [count, names.bytes.length, titles.bytes.length, metadata.bytes.length] }

  /// Derives the sections from the number of documents and the lengths of names, titles and metadata,
  /// or nil where they cannot be those of a catalog.
  init?(flags: UInt32, counts: [Int]) {
    let count = counts[0]
    guard flags <= 3, count >= 0, count < Int(UInt32.max) else { return nil }
    let (hasTitles, hasMetadata) = (flags & 1 != 0, flags & 2 != 0)
    var cursor = Self.headerLength
    guard
      let names = Texts(count: count, length: counts[1], isThere: true, cursor: &cursor),
      let order = Section.append(count: count, stride: 4, cursor: &cursor),
      let titles = Texts(count: count, length: counts[2], isThere: hasTitles, cursor: &cursor),
      let metadata = Texts(count: count, length: counts[3], isThere: hasMetadata, cursor: &cursor)
    else { return nil }
    self.count = count
    self.hasTitles = hasTitles
    self.hasMetadata = hasMetadata
    self.names = names
    self.order = order
    self.titles = titles
    self.metadata = metadata
    self.length = cursor
  }
}

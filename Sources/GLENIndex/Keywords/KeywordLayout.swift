/// Where everything lies in a keywords file.
struct KeywordLayout: DataFileLayout {
  static let name = "GLENKEYS"

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

  var flags: UInt32 { 0 }
  var counts: [Int] { [documentCount, pieceCount, totalLength, postingLength] }

  /// Derives the sections from the numbers of documents, of distinct pieces, of all pieces, and of
  /// bytes of postings, or nil where they cannot be those of a keyword index.
  init?(flags: UInt32, counts: [Int]) {
    let (documentCount, pieceCount) = (counts[0], counts[1])
    let (totalLength, postingLength) = (counts[2], counts[3])
    // A piece has at least one byte of postings; that keeps `pieceCount + 1` from overflowing, too.
    guard flags == 0, documentCount >= 0, documentCount < Int(UInt32.max), pieceCount >= 0,
      totalLength >= 0, postingLength >= pieceCount, pieceCount < Int.max
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
}

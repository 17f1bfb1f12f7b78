extension KeywordIndex {
  /// Checks every number, which opening does not.
  ///
  /// - Parameter path: Names the file in errors.
  /// - Throws: ``IndexError/damagedFile(path:problem:)``.
  /// - Complexity: O(size of the index).
  func validate(path: String) throws(IndexError) {
    try withExtendedLifetime(memory) { () throws(IndexError) in
      let offsets = memory.section(layout.postingOffsets, as: UInt64.self)
      var isOrdered = offsets[0] == 0 && offsets[pieceCount] == UInt64(layout.postingLength)
      for place in 0..<pieceCount where offsets[place] >= offsets[place + 1] { isOrdered = false }
      guard isOrdered else {
        throw .damagedFile(path: path, problem: "the offsets of its postings are out of order")
      }
      let pieces = pieces
      for place in pieces.indices.dropFirst() where pieces[place - 1] >= pieces[place] {
        throw .damagedFile(path: path, problem: "its pieces are out of order")
      }
      var lengths = [UInt64](repeating: 0, count: documentCount)
      for place in pieces.indices {
        var postings = postings(at: place)
        var found: UInt32 = 0
        while let (document, count) = postings.next() {
          lengths[document] += UInt64(count)
          found += 1
        }
        guard postings.isAtEnd, found == frequencies[place] else {
          throw .damagedFile(
            path: path, problem: "the documents of piece \(pieces[place]) are wrong")
        }
      }
      guard lengths.elementsEqual(self.lengths, by: { $0 == UInt64($1) }),
        lengths.reduce(0, +) == UInt64(totalLength)
      else {
        throw .damagedFile(path: path, problem: "the lengths of its documents are wrong")
      }
    }
  }
}

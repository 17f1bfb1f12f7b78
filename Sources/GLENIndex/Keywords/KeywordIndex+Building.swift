extension KeywordIndex {
  /// Indexes documents given as pieces.
  ///
  /// - Parameter documents: The pieces of each document, in any order; a document is called by its
  ///   position.
  /// - Throws: ``IndexError/invalidDocuments(_:)`` if there are 2^32 - 1 documents or more.
  /// - Complexity: O(pieces * log(pieces of a document)).
  public init(documents: some Sequence<[Int32]>) throws(IndexError) {
    var slots: [UInt32: Int] = [:]
    var lists: [PostingList] = []
    var lengths: [UInt32] = []
    for document in documents {
      let sorted = document.map { UInt32(bitPattern: $0) }.sorted()
      var place = 0
      while place < sorted.count {
        let piece = sorted[place]
        let first = place
        while place < sorted.count, sorted[place] == piece { place += 1 }
        let slot = slots[piece] ?? lists.count
        if slot == lists.count {
          slots[piece] = slot
          lists.append(PostingList())
        }
        lists[slot].append(document: lengths.count, count: place - first)
      }
      lengths.append(UInt32(clamping: sorted.count))
    }
    let pieces = slots.keys.sorted()
    try self.init(
      pieces: pieces, lists: pieces.map { slots[$0].map { lists[$0] } ?? PostingList() },
      lengths: lengths)
  }

  /// Joins the documents of several indexes in a new order, without their texts.
  ///
  /// What is left out is gone for good: document frequencies and lengths are those of the documents
  /// that stay, as if the new index had been made of their pieces.
  ///
  /// - Parameters:
  ///   - segments: The indexes; their documents are numbered one segment after the other.
  ///   - order: For each document of the new index its old number; no number twice.
  /// - Throws: ``IndexError/invalidDocuments(_:)`` if a number is not that of a document.
  /// - Complexity: O(postings * log(documents)).
  public static func merged(
    _ segments: [KeywordIndex], order: [Int]
  ) throws(IndexError) -> KeywordIndex {
    let count = segments.reduce(0) { $0 + $1.documentCount }
    var newNumbers = [UInt32](repeating: .max, count: count)
    for (number, old) in order.enumerated() {
      guard newNumbers.indices.contains(old), newNumbers[old] == .max else {
        throw .invalidDocuments(
          "merge keywords: the order does not name documents; expected each number below \(count) "
            + "at most once, got \(old); pass the old numbers of the documents to keep")
      }
      newNumbers[old] = UInt32(number)
    }
    var bases: [Int] = []
    var allLengths: [UInt32] = []
    for segment in segments {
      bases.append(allLengths.count)
      withExtendedLifetime(segment) { allLengths += segment.lengths }
    }
    var pieces: [UInt32] = []
    var lists: [PostingList] = []
    for piece in Set(segments.flatMap { segment in Array(segment.pieces) }).sorted() {
      var entries: [(document: UInt32, count: UInt32)] = []
      for (segment, base) in zip(segments, bases) {
        guard let place = segment.place(ofPiece: Int32(bitPattern: piece)) else { continue }
        withExtendedLifetime(segment) {
          var postings = segment.postings(at: place)
          while let (document, count) = postings.next() {
            let number = newNumbers[base + document]
            if number != .max { entries.append((number, count)) }
          }
        }
      }
      guard !entries.isEmpty else { continue }
      entries.sort { $0.document < $1.document }
      var list = PostingList()
      for entry in entries { list.append(document: Int(entry.document), count: Int(entry.count)) }
      pieces.append(piece)
      lists.append(list)
    }
    return try KeywordIndex(
      pieces: pieces, lists: lists, lengths: order.map { allLengths[$0] })
  }

  private init(
    pieces: [UInt32], lists: [PostingList], lengths: [UInt32]
  ) throws(IndexError) {
    var offsets: [UInt64] = [0]
    for list in lists { offsets.append(offsets[offsets.count - 1] + UInt64(list.bytes.count)) }
    guard
      let layout = KeywordLayout(
        flags: 0,
        counts: [
          lengths.count, pieces.count, lengths.reduce(0) { $0 + Int($1) }, Int(offsets.last ?? 0),
        ])
    else {
      throw .invalidDocuments(
        "index keywords: there are too many documents; expected fewer than \(UInt32.max), got "
          + "\(lengths.count); split the corpus")
    }
    let memory = IndexMemory(count: layout.length) { bytes in
      layout.writeHeader(to: bytes)
      pieces.withUnsafeBytes { bytes.store($0, at: layout.pieces) }
      lists.map(\.documentCount).withUnsafeBytes { bytes.store($0, at: layout.frequencies) }
      offsets.withUnsafeBytes { bytes.store($0, at: layout.postingOffsets) }
      lengths.withUnsafeBytes { bytes.store($0, at: layout.lengths) }
      var place = layout.postings.offset
      for list in lists {
        list.bytes.withUnsafeBytes {
          bytes.store($0, at: Section(offset: place, length: list.bytes.count))
        }
        place += list.bytes.count
      }
    }
    try self.init(memory: memory, path: "the keywords in memory")
  }
}

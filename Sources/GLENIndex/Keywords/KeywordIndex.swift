/// Which documents have which pieces, and how often: what BM25 ranks by.
///
/// Documents are numbered from 0 in the order in which they were given. An index is one immutable
/// region of bytes with the layout of a keywords file, in memory or mapped from a file, so a copy costs
/// nothing. Opening looks at the header alone. What follows is checked where it is used: damaged bytes
/// give other scores, and nothing worse; verifying the folder finds them.
public struct KeywordIndex: Sendable {
  let memory: IndexMemory
  let layout: KeywordLayout

  /// Adopts a region of bytes after checking its header.
  init(memory: IndexMemory, path: String) throws(IndexError) {
    self.memory = memory
    self.layout = try KeywordLayout(reading: memory, path: path)
  }

  /// How many documents the index holds.
  ///
  /// - Complexity: O(1).
  public var documentCount: Int { layout.documentCount }

  /// How many distinct pieces the documents have.
  ///
  /// - Complexity: O(1).
  public var pieceCount: Int { layout.pieceCount }

  /// How many pieces all documents have together, repeated ones counted.
  ///
  /// - Complexity: O(1).
  public var totalLength: Int { layout.totalLength }

  /// How many bytes the index takes.
  ///
  /// - Complexity: O(1).
  public var byteCount: Int { memory.bytes.count }

  // The sections, good for as long as `memory` lives.
  var pieces: UnsafeBufferPointer<UInt32> { memory.section(layout.pieces, as: UInt32.self) }
  var frequencies: UnsafeBufferPointer<UInt32> {
    memory.section(layout.frequencies, as: UInt32.self)
  }
  var lengths: UnsafeBufferPointer<UInt32> { memory.section(layout.lengths, as: UInt32.self) }

  /// The place of a piece among the sorted ones, or nil if no document has it.
  func place(ofPiece piece: Int32) -> Int? {
    let wanted = UInt32(bitPattern: piece)
    let pieces = pieces
    let place = Bisection.firstIndex(in: pieces.indices) { pieces[$0] >= wanted }
    return place < pieces.count && pieces[place] == wanted ? place : nil
  }

  /// How many documents have the piece at a place; never more than there are.
  func documentFrequency(at place: Int) -> Int {
    min(Int(frequencies[place]), documentCount)
  }

  /// The postings of the piece at a place.
  func postings(at place: Int) -> PostingReader {
    let offsets = memory.section(layout.postingOffsets, as: UInt64.self)
    let upper = Int(min(offsets[place + 1], UInt64(layout.postingLength)))
    let lower = Int(min(offsets[place], UInt64(upper)))
    let bytes = memory.section(layout.postings, as: UInt8.self)
    return PostingReader(
      UnsafeBufferPointer(rebasing: bytes[lower..<upper]), documentCount: documentCount)
  }
}

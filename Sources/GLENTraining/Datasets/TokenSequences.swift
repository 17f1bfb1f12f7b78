import GLENTensor

/// Token sequences end to end, in memory or in a mapped file.
///
/// An element is copied when it is asked for.
public struct TokenSequences: RandomAccessCollection, Sendable {
  private enum Place: Sendable {
    case memory(tokens: [Int32], ends: [Int])
    /// Ids begin at byte `tokens`, the places of their ends at byte `ends`, eight bytes each.
    case mapped(MappedFile, tokens: Int, ends: Int)
  }

  private let place: Place
  /// The number of sequences.
  public let count: Int

  /// The position of the first sequence.
  public var startIndex: Int { 0 }
  /// The position behind the last sequence.
  public var endIndex: Int { count }

  /// Sequences in memory.
  public init(_ sequences: some Sequence<[Int32]>) {
    var (tokens, ends): ([Int32], [Int]) = ([], [])
    for sequence in sequences {
      tokens += sequence
      ends.append(tokens.count)
    }
    count = ends.count
    place = .memory(tokens: tokens, ends: ends)
  }

  /// Sequences of a mapped file whose ends ascend and lie in it.
  init(_ file: MappedFile, count: Int, tokens: Int, ends: Int) {
    self.count = count
    place = .mapped(file, tokens: tokens, ends: ends)
  }

  /// The ids of a sequence.
  public subscript(position: Int) -> [Int32] {
    precondition(indices.contains(position), "there are \(count) sequences")
    switch place {
    case .memory(let tokens, let ends):
      return Array(tokens[(position > 0 ? ends[position - 1] : 0)..<ends[position]])
    case .mapped(let file, let tokens, let ends):
      let bytes = UnsafeRawBufferPointer(file.bytes)
      func end(_ index: Int) -> Int {
        Int(bytes.loadUnaligned(fromByteOffset: ends + 8 * index, as: Int64.self))
      }
      let range = (position > 0 ? end(position - 1) : 0)..<end(position)
      return withExtendedLifetime(file) {
        range.map { bytes.loadUnaligned(fromByteOffset: tokens + 4 * $0, as: Int32.self) }
      }
    }
  }

  /// How often each token occurs.
  func tokenCounts(vocabularySize: Int) -> [Int] {
    var counts = [Int](repeating: 0, count: vocabularySize)
    for sequence in self {
      for token in sequence where counts.indices.contains(Int(token)) { counts[Int(token)] += 1 }
    }
    return counts
  }
}

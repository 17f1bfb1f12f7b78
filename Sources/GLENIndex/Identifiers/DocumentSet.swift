/// A set of document numbers below a fixed bound, one bit each.
public struct DocumentSet: Sendable, Equatable {
  /// The bound: members are in `0..<capacity`.
  public let capacity: Int

  private(set) var words: [UInt64]

  /// Makes a set that is empty, or that holds every number below the bound.
  ///
  /// - Parameters:
  ///   - capacity: The bound, normally the table's number of documents; below 0 counts as 0.
  ///   - isFull: Whether the set begins with every number.
  /// - Complexity: O(capacity).
  public init(capacity: Int, isFull: Bool = false) {
    self.capacity = Swift.max(capacity, 0)
    let count = self.capacity / 64 + (self.capacity % 64 == 0 ? 0 : 1)
    self.words = [UInt64](repeating: isFull ? .max : 0, count: count)
    clearTail()
  }

  /// Adopts words of bits, of which those behind the bound are cleared.
  init(capacity: Int, words: [UInt64]) {
    self.capacity = capacity
    self.words = words
    clearTail()
  }

  /// Makes a set of some documents; numbers outside `0..<capacity` are left out.
  ///
  /// - Complexity: O(capacity + count of `documents`).
  public init(_ documents: some Sequence<Int>, capacity: Int) {
    self.init(capacity: capacity)
    for document in documents { insert(document) }
  }

  /// How many documents the set holds.
  ///
  /// - Complexity: O(capacity).
  public var count: Int { words.reduce(0) { $0 + $1.nonzeroBitCount } }

  /// Whether the set holds a document; no set holds a number outside `0..<capacity`.
  ///
  /// - Complexity: O(1).
  public func contains(_ document: Int) -> Bool {
    guard document >= 0, document < capacity else { return false }
    return words[document >> 6] >> UInt64(document & 63) & 1 == 1
  }

  /// Adds a document, and says whether that changed the set.
  ///
  /// - Complexity: O(1).
  @discardableResult
  public mutating func insert(_ document: Int) -> Bool {
    guard document >= 0, document < capacity, !contains(document) else { return false }
    words[document >> 6] |= 1 << UInt64(document & 63)
    return true
  }

  /// Takes a document out, and says whether that changed the set.
  ///
  /// - Complexity: O(1).
  @discardableResult
  public mutating func remove(_ document: Int) -> Bool {
    guard contains(document) else { return false }
    words[document >> 6] &= ~(1 << UInt64(document & 63))
    return true
  }

  /// Keeps only the documents that the other set holds too.
  ///
  /// - Complexity: O(capacity).
  public mutating func formIntersection(_ other: DocumentSet) {
    for index in words.indices {
      words[index] &= index < other.words.count ? other.words[index] : 0
    }
  }

  /// Takes out all documents that the other set holds.
  ///
  /// - Complexity: O(capacity).
  public mutating func subtract(_ other: DocumentSet) {
    for index in words.indices.prefix(other.words.count) { words[index] &= ~other.words[index] }
  }

  /// How many documents of a range the set holds.
  ///
  /// - Complexity: O(count of `range` / 64).
  public func count(in range: Range<Int>) -> Int {
    var count = 0
    forEachWord(of: range) { _, word in
      count += word.nonzeroBitCount
      return true
    }
    return count
  }

  /// The first document of a range that the set holds, or nil if it holds none.
  ///
  /// - Complexity: O(count of `range` / 64).
  public func first(in range: Range<Int>) -> Int? {
    var first: Int?
    forEachWord(of: range) { start, word in
      guard word != 0 else { return true }
      first = start + word.trailingZeroBitCount
      return false
    }
    return first
  }

  /// Calls `body` with the documents of a range that the set holds, in ascending order.
  func forEach(in range: Range<Int>, _ body: (Int) -> Void) {
    forEachWord(of: range) { start, word in
      var rest = word
      while rest != 0 {
        body(start + rest.trailingZeroBitCount)
        rest &= rest - 1
      }
      return true
    }
  }

  /// Takes out a run of documents, whose numbers are moved up, that the other set holds.
  ///
  /// - Complexity: O(count of `other`).
  mutating func subtract(_ other: DocumentSet, movedBy base: Int) {
    for document in other { remove(base + document) }
  }

  /// Calls `body` with the words that cover a range, their other bits cleared, and with the number of
  /// each word's first bit, until it returns false.
  private func forEachWord(of range: Range<Int>, _ body: (Int, UInt64) -> Bool) {
    let range = range.clamped(to: 0..<capacity)
    guard !range.isEmpty else { return }
    for index in range.lowerBound >> 6...(range.upperBound - 1) >> 6 {
      var word = words[index]
      let start = index << 6
      if start < range.lowerBound { word &= .max << UInt64(range.lowerBound - start) }
      if start + 64 > range.upperBound { word &= .max >> UInt64(start + 64 - range.upperBound) }
      guard body(start, word) else { return }
    }
  }

  /// Clears the bits of the last word that stand for no document.
  private mutating func clearTail() {
    guard let last = words.indices.last, capacity % 64 != 0 else { return }
    words[last] &= (1 << UInt64(capacity % 64)) - 1
  }
}

extension DocumentSet: Sequence {
  /// The documents in ascending order.
  ///
  /// - Complexity: O(capacity) for all of them.
  public func makeIterator() -> Iterator {
    Iterator(words: words)
  }

  /// Walks over the documents of a set.
  public struct Iterator: IteratorProtocol {
    private let words: [UInt64]
    private var index = 0
    private var rest: UInt64

    init(words: [UInt64]) {
      self.words = words
      self.rest = words.first ?? 0
    }

    /// The next document, or nil behind the last.
    ///
    /// - Complexity: O(1) on average over all of `0..<capacity`.
    public mutating func next() -> Int? {
      while rest == 0 {
        index += 1
        guard index < words.count else { return nil }
        rest = words[index]
      }
      defer { rest &= rest - 1 }
      return index * 64 + rest.trailingZeroBitCount
    }
  }
}

import GLENPlatform

/// Ranks the documents of one or several keyword indexes by BM25.
///
/// The formula is `BM25Index`'s of GLENText: the sum over the query's pieces (a repeated one counts
/// each time) of `idf * tf / (tf + k1 * (1 - b + b * length / average length))`, with
/// `idf = ln(1 + (N - df + 0.5) / (df + 0.5))`. Several segments rank as one index of all their
/// documents would, to the last bit: N, df and the average length are summed over them.
///
/// A removed document is never returned if the set of allowed documents leaves it out. Until its
/// segment is merged it still counts in N, df and the average length, as in Lucene: other scores move
/// a little, by as much as the corpus is out of date.
public struct KeywordSearch: Sendable {
  /// The indexes; their documents are numbered one segment after the other.
  public let segments: [KeywordIndex]
  /// How many documents there are in all.
  public let documentCount: Int

  private let k1: Float
  private let b: Float
  private let averageLength: Float
  /// What the length of a document makes of the formula, for the lengths that texts usually have.
  private let lengthFactors: [Float]

  /// A search over segments.
  ///
  /// - Parameters:
  ///   - segments: The indexes, in the order of their document numbers.
  ///   - k1: How slowly a repeated piece saturates.
  ///   - b: How much a document's length counts, 0 to 1.
  /// - Complexity: O(segments).
  public init(_ segments: [KeywordIndex], k1: Float = 0.9, b: Float = 0.4) {
    self.segments = segments
    self.k1 = k1
    self.b = b
    documentCount = segments.reduce(0) { $0 + $1.documentCount }
    // In Double: headers may lie, and their sum could overflow.
    let total = segments.reduce(0.0) { $0 + Double($1.totalLength) }
    // Documents without pieces have no average length that matters; 0 would make scores of NaN.
    let averageLength = total > 0 ? Float(total) / Float(max(1, documentCount)) : 1
    self.averageLength = averageLength
    lengthFactors = (0..<1024).map {
      Self.lengthFactor(UInt32($0), average: averageLength, k1: k1, b: b)
    }
  }

  @inline(__always)
  private static func lengthFactor(
    _ length: UInt32, average: Float, k1: Float, b: Float
  ) -> Float {
    k1 * (1 - b + b * Float(length) / average)
  }

  /// The score of every document for a query.
  ///
  /// - Parameter query: Pieces; those that no document has are ignored.
  /// - Complexity: O(documents + postings of the query's pieces).
  public func scores(of query: [Int32]) -> KeywordScores {
    var scores = [Float](repeating: 0, count: documentCount)
    scores.withUnsafeMutableBufferPointer { scores in
      for piece in query {
        let places = segments.map { $0.place(ofPiece: piece) }
        let frequency = zip(segments, places).reduce(0) { sum, entry in
          sum + (entry.1.map { entry.0.documentFrequency(at: $0) } ?? 0)
        }
        guard frequency > 0 else { continue }
        let weight = Self.inverseFrequency(frequency, of: documentCount)
        var base = 0
        for (segment, place) in zip(segments, places) {
          if let place {
            add(segment, place, weight, to: UnsafeMutableBufferPointer(rebasing: scores[base...]))
          }
          base += segment.documentCount
        }
      }
    }
    return KeywordScores(values: scores)
  }

  /// The best documents for a query, best first; equal scores by document number.
  ///
  /// - Parameters:
  ///   - query: Pieces; those that no document has are ignored.
  ///   - limit: The largest number of documents to return.
  ///   - isAllowed: The documents that may be returned, or nil for all.
  /// - Returns: At most `limit` documents that share a piece with the query.
  /// - Complexity: O(documents + postings of the query's pieces).
  public func rank(
    _ query: [Int32], limit: Int, isAllowed: DocumentSet? = nil
  ) -> [(document: Int, score: Float)] {
    scores(of: query).best(limit, isAllowed: isAllowed)
  }

  /// Adds what a piece gives to the documents of a segment.
  private func add(
    _ segment: KeywordIndex, _ place: Int, _ weight: Float,
    to scores: UnsafeMutableBufferPointer<Float>
  ) {
    let lengths = segment.lengths
    var postings = segment.postings(at: place)
    lengthFactors.withUnsafeBufferPointer { factors in
      withExtendedLifetime(segment) {
        while let (document, count) = postings.next() {
          let frequency = Float(count)
          let length = lengths[document]
          let factor =
            Int(length) < factors.count
            ? factors[Int(length)]
            : Self.lengthFactor(length, average: averageLength, k1: k1, b: b)
          scores[document] += weight * frequency / (frequency + factor)
        }
      }
    }
  }

  /// Lucene's inverse document frequency.
  private static func inverseFrequency(_ frequency: Int, of documentCount: Int) -> Float {
    let frequency = Double(frequency)
    return Float(log(1 + (Double(documentCount) - frequency + 0.5) / (frequency + 0.5)))
  }
}

/// What BM25 makes of every document for one query: 0 for those that share no piece with it.
public struct KeywordScores: Sendable {
  fileprivate let values: [Float]

  /// The bound of the documents' numbers.
  public var documentCount: Int { values.count }

  /// The score of a document; 0 for a number that no document has.
  ///
  /// - Complexity: O(1).
  public subscript(document: Int) -> Float {
    values.indices.contains(document) ? values[document] : 0
  }

  /// The documents of largest score, best first; equal scores by document number.
  ///
  /// - Returns: At most `limit` allowed documents whose score is above 0.
  /// - Complexity: O(documents + candidates * log(limit)).
  public func best(
    _ limit: Int, isAllowed: DocumentSet? = nil
  ) -> [(document: Int, score: Float)] {
    guard limit > 0 else { return [] }
    // Numbers above 0 have the order of their bits; of equal ones the smaller document is better.
    var heap = BoundedHeap<UInt64>(capacity: min(limit, values.count))
    var threshold: Float = 0
    for document in values.indices where values[document] > threshold {
      if let isAllowed, !isAllowed.contains(document) { continue }
      heap.insert(
        UInt64(values[document].bitPattern) << 32 | UInt64(~UInt32(truncatingIfNeeded: document)))
      if heap.isFull, let smallest = heap.smallest {
        threshold = Float(bitPattern: UInt32(truncatingIfNeeded: smallest >> 32))
      }
    }
    return heap.descending().map { key in
      (
        document: Int(~UInt32(truncatingIfNeeded: key)),
        score: Float(bitPattern: UInt32(truncatingIfNeeded: key >> 32))
      )
    }
  }
}

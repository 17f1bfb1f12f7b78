import GLENPlatform

/// Ranks documents by BM25 over term ids.
///
/// The score of a document is the sum over the query's terms (a repeated one counts each time) of
/// `idf * tf / (tf + k1 * (1 - b + b * length / average length))` with
/// `idf = ln(1 + (N - df + 0.5) / (df + 0.5))`, as Lucene computes it: there is no constant factor
/// `k1 + 1`, which changes no order.
public struct BM25Index: Sendable {
  /// The number of documents.
  public let documentCount: Int

  /// Where the postings of a term lie: `starts[slot]..<starts[slot + 1]`.
  private let slots: [Int32: Int]
  private let starts: [Int]
  private let postingDocuments: [Int32]
  /// What the term adds to the score of the posting's document.
  private let postingScores: [Float]

  /// Indexes documents given as term ids.
  ///
  /// - Parameters:
  ///   - documents: The terms of each document, in any order; a document is called by its position.
  ///   - k1: How slowly a repeated term saturates.
  ///   - b: How much a document's length counts, 0 to 1.
  /// - Complexity: O(number of terms).
  public init(documents: [[Int32]], k1: Float = 0.9, b: Float = 0.4) {
    documentCount = documents.count
    var slots: [Int32: Int] = [:]
    var documentFrequencies: [Int] = []
    // Distinct terms of each document: slot, document, frequency.
    var entries: [(slot: Int, document: Int32, frequency: Int32)] = []
    var latestEntry: [Int] = []
    for (document, terms) in documents.enumerated() {
      let firstEntry = entries.count
      for term in terms {
        let slot = slots[term] ?? slots.count
        if slot == latestEntry.count {
          slots[term] = slot
          latestEntry.append(-1)
          documentFrequencies.append(0)
        }
        if latestEntry[slot] >= firstEntry {
          entries[latestEntry[slot]].frequency += 1
        } else {
          latestEntry[slot] = entries.count
          documentFrequencies[slot] += 1
          entries.append((slot, Int32(truncatingIfNeeded: document), 1))
        }
      }
    }

    var starts = [0]
    starts.reserveCapacity(documentFrequencies.count + 1)
    for frequency in documentFrequencies { starts.append(starts[starts.count - 1] + frequency) }
    let total = documents.reduce(0) { $0 + $1.count }
    let averageLength = Float(total) / Float(max(1, documents.count))
    let weights = documentFrequencies.map { Self.inverseFrequency($0, of: documents.count) }
    let lengthFactors = documents.map { k1 * (1 - b + b * Float($0.count) / averageLength) }
    var next = starts
    var postingDocuments = [Int32](repeating: 0, count: entries.count)
    var postingScores = [Float](repeating: 0, count: entries.count)
    for (slot, document, frequency) in entries {
      let frequency = Float(frequency)
      postingDocuments[next[slot]] = document
      postingScores[next[slot]] =
        weights[slot] * frequency / (frequency + lengthFactors[Int(document)])
      next[slot] += 1
    }
    self.slots = slots
    self.starts = starts
    self.postingDocuments = postingDocuments
    self.postingScores = postingScores
  }

  /// The best documents for a query, best first; equal scores by document number.
  ///
  /// - Parameters:
  ///   - query: Term ids; those that no document has are ignored.
  ///   - limit: The largest number of documents to return.
  /// - Returns: At most `limit` documents that share a term with the query.
  /// - Complexity: O(documents + postings of the query's terms).
  public func search(_ query: [Int32], limit: Int) -> [(document: Int, score: Float)] {
    guard limit > 0 else { return [] }
    var scores = [Float](repeating: 0, count: documentCount)
    var isMatched = false
    for term in query {
      guard let slot = slots[term] else { continue }
      isMatched = true
      for posting in starts[slot]..<starts[slot + 1] {
        scores[Int(postingDocuments[posting])] += postingScores[posting]
      }
    }
    guard isMatched else { return [] }

    // Keep up to twice the limit, then sort and drop the worse half. Documents come in ascending
    // order, so a later one with the same score as the worst kept loses.
    var best: [(document: Int, score: Float)] = []
    var threshold: Float = 0
    let capacity = limit > documentCount ? documentCount + 1 : 2 * limit
    func cut() {
      best.sort { ($1.score, $0.document) < ($0.score, $1.document) }
      best.removeLast(max(0, best.count - limit))
    }
    for document in scores.indices where scores[document] > threshold {
      best.append((document, scores[document]))
      guard best.count == capacity else { continue }
      cut()
      threshold = best.last?.score ?? 0
    }
    cut()
    return best
  }

  /// Lucene's inverse document frequency.
  static func inverseFrequency(_ frequency: Int, of documentCount: Int) -> Float {
    let frequency = Double(frequency)
    return Float(log(1 + (Double(documentCount) - frequency + 0.5) / (frequency + 0.5)))
  }
}

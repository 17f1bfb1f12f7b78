/// Takes scored identifiers in any order and keeps the best documents, ties and all.
///
/// Documents are in one strict order: by score, then by similarity (or the shuffled key), then by
/// number. So the best `limit` of them are one definite list, whatever order they come in, and no
/// more than `limit` are ever held.
struct CollisionRanking {
  /// A document with its sort keys: score in the high half of `keys`, what breaks ties in the low.
  private struct Candidate: Comparable {
    var keys: UInt64
    var document: UInt32
    var row: UInt32

    static func < (left: Candidate, right: Candidate) -> Bool {
      left.keys != right.keys ? left.keys < right.keys : left.document > right.document
    }
  }

  /// No identifier with a smaller score can still enter; -infinity until `limit` documents are in.
  private(set) var threshold = -Float.infinity

  private let table: IdentifierTable
  private let scores: QueryScores
  private let collisions: CollisionOrder
  private let isAllowed: DocumentSet?
  private var heap: BoundedHeap<Candidate>
  private var queryWeights: [Double]

  // Sections of the table, good for as long as it lives: that is, as long as this value.
  private let members: UnsafeBufferPointer<UInt32>
  private let bucketOffsets: UnsafeBufferPointer<UInt32>
  private let weights: UnsafeBufferPointer<Float>
  private let levelTokens: [UnsafeBufferPointer<UInt32>]

  init(
    table: IdentifierTable, scores: QueryScores, limit: Int, collisions: CollisionOrder,
    isAllowed: DocumentSet?
  ) {
    self.table = table
    self.scores = scores
    self.collisions = collisions
    self.isAllowed = isAllowed
    self.heap = BoundedHeap(capacity: min(limit, table.documentCount))
    self.queryWeights = [Double](repeating: 0, count: table.identifierLength)
    self.members = table.members
    self.bucketOffsets = table.bucketOffsets
    self.weights = table.weights
    self.levelTokens = (0..<table.identifierLength).map { table.levelTokens($0) }
  }

  /// Offers the documents of a row whose score is at least `threshold`.
  mutating func offer(row: Int, score: Float) {
    let high = UInt64(SortKey.key(of: score)) << 32
    let squaredNorm = loadQueryWeights(ofRow: row)
    for place in Int(bucketOffsets[row])..<Int(bucketOffsets[row + 1]) {
      let document = members[place]
      if let isAllowed, !isAllowed.contains(Int(document)) { continue }
      let low =
        switch collisions {
        case .ranked: SortKey.key(of: similarity(ofDocument: Int(document), squaredNorm))
        case .shuffled(let seed): SortKey.shuffled(seed: seed, document: document)
        }
      heap.insert(Candidate(keys: high | UInt64(low), document: document, row: UInt32(row)))
    }
    if heap.isFull, let smallest = heap.smallest {
      threshold = SortKey.value(ofKey: UInt32(truncatingIfNeeded: smallest.keys >> 32))
    }
  }

  /// The kept documents, best first.
  mutating func ranked() -> [RankedDocument] {
    heap.descending().map { candidate in
      let squaredNorm = loadQueryWeights(ofRow: Int(candidate.row))
      return RankedDocument(
        document: Int(candidate.document), identifier: Int(candidate.row),
        score: SortKey.value(ofKey: UInt32(truncatingIfNeeded: candidate.keys >> 32)),
        similarity: similarity(ofDocument: Int(candidate.document), squaredNorm))
    }
  }

  /// Looks up the query's logits at a row's tokens; returns the square of their norm.
  ///
  /// A masked token makes it 0, like a query without weight.
  private mutating func loadQueryWeights(ofRow row: Int) -> Double {
    var squaredNorm = 0.0
    for step in queryWeights.indices {
      let token = Int(levelTokens[step][table.code(step: step, row: row)])
      let weight = Double(scores.logits[step * scores.vocabularySize + token])
      queryWeights[step] = weight
      squaredNorm += weight * weight
    }
    return squaredNorm.isFinite ? squaredNorm : 0
  }

  /// The cosine of the loaded query weights and a document's weights.
  private func similarity(ofDocument document: Int, _ squaredNorm: Double) -> Float {
    guard squaredNorm > 0 else { return 0 }
    var (product, squared) = (0.0, 0.0)
    let base = document * queryWeights.count
    for step in queryWeights.indices {
      let weight = Double(weights[base + step])
      product += queryWeights[step] * weight
      squared += weight * weight
    }
    guard squared > 0 else { return 0 }
    return Float(product / (squaredNorm * squared).squareRoot())
  }
}

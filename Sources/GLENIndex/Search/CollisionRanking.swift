/// Takes scored identifiers in any order and keeps the best documents, ties and all.
///
/// Documents are in one strict order: by score, then by similarity (or the shuffled key), then by
/// number. So the best `limit` of them are one definite list, whatever order they come in, and no
/// more than `limit` are ever held. Documents with one identifier need not come together: those of
/// other tables have the same score, and the order does the rest.
///
/// The threshold is found by scores alone; what breaks ties is computed later, for the few rows that
/// still reach it then.
struct CollisionRanking: Sendable {
  /// A document with its sort keys: score in the high half of `keys`, what breaks ties in the low.
  private struct Candidate: Comparable, Sendable {
    var keys: UInt64
    var document: UInt32

    static func < (left: Candidate, right: Candidate) -> Bool {
      left.keys != right.keys ? left.keys < right.keys : left.document > right.document
    }
  }

  /// A row that was offered, with those of its documents that count.
  private struct Offer: Sendable {
    let score: Float
    let table, row: Int
    let documents: Range<Int>
  }

  /// No identifier with a smaller score can still enter; -infinity until `limit` documents are in.
  private(set) var threshold = -Float.infinity

  private let tables: IdentifierTables
  private let scores: QueryScores
  private let collisions: CollisionOrder
  private let allowed: DocumentSet?
  private var heap: BoundedHeap<Candidate>

  /// The scores of the best documents so far, which give the threshold.
  private var bestScores: BoundedHeap<Float>

  /// Rows whose documents are not in `heap` yet.
  private var offers: [Offer] = []

  private var queryWeights: [Double]

  /// How many documents each table may still offer: in a sound table each comes once, and a damaged
  /// one shall not keep a search busy for ever.
  private var budgets: [Int]

  /// - Parameter allowed: The documents that may be returned, without the deleted ones; nil for all.
  init(
    tables: IdentifierTables, scores: QueryScores, limit: Int, collisions: CollisionOrder,
    allowed: DocumentSet?
  ) {
    self.tables = tables
    self.scores = scores
    self.collisions = collisions
    self.allowed = allowed
    self.heap = BoundedHeap(capacity: min(limit, tables.documentCount))
    self.bestScores = BoundedHeap(capacity: heap.capacity)
    self.queryWeights = [Double](repeating: 0, count: tables.identifierLength)
    self.budgets = tables.tables.map(\.documentCount)
  }

  /// Offers the documents of a table's row whose score is at least `threshold`.
  mutating func offer(row: Int, ofTable index: Int, score: Float) {
    let base = tables.bases[index]
    let places = tables.tables[index].documents(ofRows: row..<row + 1).prefix(budgets[index])
    budgets[index] -= places.count
    // Most rows of a filtered search have no allowed document, and end here.
    let first = places.first { allowed?.contains(base + $0) ?? true }
    guard let first else { return }
    let documents = first..<places.endIndex
    var room = bestScores.capacity
    for place in documents where room > 0 && allowed?.contains(base + place) ?? true {
      bestScores.insert(score)
      room -= 1
    }
    raiseThreshold()
    offers.append(Offer(score: score, table: index, row: row, documents: documents))
    // With many ties none would be dropped later.
    if offers.count >= 1024 + 4 * heap.capacity { settle() }
  }

  private mutating func raiseThreshold() {
    guard bestScores.isFull, let smallest = bestScores.smallest else { return }
    threshold = max(threshold, smallest)
  }

  /// Takes in the documents of the offered rows that still reach the threshold.
  private mutating func settle() {
    for offer in offers where offer.score >= threshold {
      let table = tables.tables[offer.table]
      let base = tables.bases[offer.table]
      let high = UInt64(SortKey.key(of: offer.score)) << 32
      let squaredNorm = loadQueryWeights(table, offer.row)
      for place in offer.documents {
        let document = UInt32(base + place)
        if let allowed, !allowed.contains(base + place) { continue }
        let low =
          switch collisions {
          case .ranked: SortKey.key(of: similarity(table, place, squaredNorm))
          case .shuffled(let seed): SortKey.shuffled(seed: seed, document: document)
          }
        heap.insert(Candidate(keys: high | UInt64(low), document: document))
      }
    }
    offers.removeAll(keepingCapacity: true)
  }

  /// A ranking of the same search that holds nothing yet and keeps the threshold.
  ///
  /// What it does not take in cannot be among the best, once it is merged with this one.
  func withoutDocuments() -> CollisionRanking {
    var empty = self
    empty.heap = BoundedHeap(capacity: heap.capacity)
    empty.bestScores = BoundedHeap(capacity: heap.capacity)
    empty.offers = []
    return empty
  }

  /// Takes in what another ranking of the same search holds, which came from other documents.
  mutating func merge(_ other: CollisionRanking) {
    var other = other
    other.settle()
    for candidate in other.heap.elements {
      heap.insert(candidate)
      bestScores.insert(SortKey.value(ofKey: UInt32(truncatingIfNeeded: candidate.keys >> 32)))
    }
    threshold = max(threshold, other.threshold)
    raiseThreshold()
  }

  /// The kept documents, best first.
  mutating func ranked() -> [RankedDocument] {
    settle()
    return heap.descending().map { candidate in
      let place = tables.place(ofDocument: Int(candidate.document))
      let table = tables.tables[place.table]
      let squaredNorm = loadQueryWeights(table, table.identifier(ofDocument: place.document))
      return RankedDocument(
        document: Int(candidate.document),
        score: SortKey.value(ofKey: UInt32(truncatingIfNeeded: candidate.keys >> 32)),
        similarity: similarity(table, place.document, squaredNorm))
    }
  }

  /// Looks up the query's logits at a row's tokens; returns the square of their norm.
  ///
  /// A masked token makes it 0, like a query without weight.
  private mutating func loadQueryWeights(_ table: IdentifierTable, _ row: Int) -> Double {
    var squaredNorm = 0.0
    for step in queryWeights.indices {
      let token = Int(table.token(step: step, row: row))
      let weight = Double(scores.logits[step * scores.vocabularySize + token])
      queryWeights[step] = weight
      squaredNorm += weight * weight
    }
    return squaredNorm.isFinite ? squaredNorm : 0
  }

  /// The cosine of the loaded query weights and a document's weights.
  private func similarity(
    _ table: IdentifierTable, _ document: Int, _ squaredNorm: Double
  ) -> Float {
    guard squaredNorm > 0 else { return 0 }
    var (product, squared) = (0.0, 0.0)
    let base = document * queryWeights.count
    for step in queryWeights.indices {
      let weight = Double(table.weight(base + step))
      product += queryWeights[step] * weight
      squared += weight * weight
    }
    // A weight that is not finite can only come from a damaged file.
    guard squared > 0, squared < .infinity else { return 0 }
    return Float(product / (squaredNorm * squared).squareRoot())
  }
}

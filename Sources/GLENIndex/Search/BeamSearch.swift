/// The paper's constrained beam search over the identifiers of an index.
///
/// At each step every kept prefix is extended by the tokens that may follow it, and the best
/// extensions are kept, as many as the beam is wide. Log-probabilities are over the full vocabulary.
/// Of equally good prefixes the lexicographically first are kept. A prefix that leads to no allowed
/// document is not kept. The documents of the identifiers that are left are ranked as in
/// ``ExactSearch``; a beam as wide as the index gives the same result, a narrower one may miss some.
public struct BeamSearch: Sendable {
  /// A prefix: its score and, inverted, its place in lexicographic order as one sort key.
  private struct Beam: Comparable {
    var key: UInt64

    /// Where its rows are kept.
    var slot: Int

    init(score: Float, place: Int, slot: Int) {
      self.key = UInt64(SortKey.key(of: score)) << 32 | UInt64(~UInt32(truncatingIfNeeded: place))
      self.slot = slot
    }

    var score: Float { SortKey.value(ofKey: UInt32(truncatingIfNeeded: key >> 32)) }
    var place: UInt32 { ~UInt32(truncatingIfNeeded: key) }

    static func < (left: Beam, right: Beam) -> Bool { left.key < right.key }
  }

  /// What is searched.
  public let tables: IdentifierTables

  /// How many prefixes are kept after each step.
  public let width: Int

  /// Makes a search over the identifiers of an index with a beam of some width.
  ///
  /// - Throws: ``IndexError/invalidSearch(_:)`` if the width is not at least 1.
  /// - Complexity: O(1).
  public init(_ tables: IdentifierTables, width: Int) throws(IndexError) {
    guard width >= 1 else {
      throw .invalidSearch(
        "make beam search: the beam is too narrow; expected a width of at least 1, got \(width); "
          + "use 100 for the paper's setting")
    }
    self.tables = tables
    self.width = width
  }

  /// Makes a search over a table with a beam of some width.
  ///
  /// - Throws: ``IndexError/invalidSearch(_:)`` if the width is not at least 1.
  /// - Complexity: O(1).
  public init(table: IdentifierTable, width: Int) throws(IndexError) {
    try self.init(IdentifierTables(table), width: width)
  }

  /// The best documents that the beam finds for a query, best first.
  ///
  /// - Parameters:
  ///   - scores: The query's score table.
  ///   - limit: How many documents to return at most.
  ///   - collisions: How documents that share an identifier are ordered.
  ///   - isAllowed: The documents that may be returned, or nil for all.
  /// - Throws: ``IndexError/invalidSearch(_:)`` if the query's table does not fit the index.
  /// - Complexity: O(n * extensions of the kept prefixes * log(identifiers)), plus O(documents / 64)
  ///   a step if `isAllowed` is given or documents are deleted.
  public func rank(
    _ scores: QueryScores, limit: Int, collisions: CollisionOrder = .ranked,
    isAllowed: DocumentSet? = nil
  ) throws(IndexError) -> [RankedDocument] {
    try LevelScores.check(scores, tables)
    guard limit > 0, tables.documentCount > 0 else { return [] }
    let trie = IdentifierTrie(tables, isAllowed: isAllowed)
    var ranking = CollisionRanking(
      tables: tables, scores: scores, limit: limit, collisions: collisions, allowed: trie.allowed)
    return withExtendedLifetime(tables) {
      for (score, rows) in search(trie, scores) where score >= ranking.threshold {
        for (table, row) in rows.enumerated() where !row.isEmpty {
          ranking.offer(row: row.lowerBound, ofTable: table, score: score)
        }
      }
      return ranking.ranked()
    }
  }

  /// Extends the empty prefix step by step; returns identifiers with their scores, best first.
  private func search(
    _ trie: IdentifierTrie, _ scores: QueryScores
  ) -> [(score: Float, rows: [Range<Int>])] {
    var prefixes: [(score: Float, rows: [Range<Int>])] = [(0, trie.root)]
    for step in 0..<tables.identifierLength {
      let base = step * scores.vocabularySize
      let normalizer = scores.logNormalizers[step]
      var kept = BoundedHeap<Beam>(capacity: width)
      // The rows of what the heap took in, also of what has left it since.
      var slots: [[Range<Int>]] = []
      var place = 0
      for prefix in prefixes {
        trie.forEachPrefix(below: prefix.rows, step: step) { token, rows in
          let value = QueryScores.logProbability(
            logit: scores.logits[base + Int(token)], logNormalizer: normalizer)
          let beam = Beam(score: prefix.score + value, place: place, slot: slots.count)
          place += 1
          if kept.accepts(beam), trie.isAllowed(rows) {
            kept.insert(beam)
            slots.append(rows)
          }
        }
      }
      // In lexicographic order, so that the next step's places are.
      let isLast = step + 1 == tables.identifierLength
      let beams = isLast ? kept.descending() : kept.elements.sorted { $0.place < $1.place }
      prefixes = beams.map { ($0.score, slots[$0.slot]) }
    }
    return prefixes
  }
}

/// The paper's constrained beam search over the identifiers of a table.
///
/// At each step every kept prefix is extended by the tokens that may follow it, and the best
/// extensions are kept, as many as the beam is wide. Log-probabilities are over the full vocabulary.
/// Of equally good prefixes the lexicographically first are kept. A prefix that leads to no allowed
/// document is not kept. The documents of the identifiers that are left are ranked as in
/// ``ExactSearch``; a beam as wide as the index gives the same result, a narrower one may miss some.
public struct BeamSearch: Sendable {
  /// A prefix: its score and, inverted, its first row as one sort key, and the row behind its last.
  private struct Beam: Comparable {
    var key: UInt64
    var upper: Int

    init(score: Float, rows: Range<Int>) {
      self.key = UInt64(SortKey.key(of: score)) << 32 | UInt64(~UInt32(rows.lowerBound))
      self.upper = rows.upperBound
    }

    var score: Float { SortKey.value(ofKey: UInt32(truncatingIfNeeded: key >> 32)) }
    var rows: Range<Int> { Int(~UInt32(truncatingIfNeeded: key))..<upper }

    static func < (left: Beam, right: Beam) -> Bool { left.key < right.key }
  }

  /// The table that is searched.
  public let table: IdentifierTable

  /// How many prefixes are kept after each step.
  public let width: Int

  /// Makes a search over a table with a beam of some width.
  ///
  /// - Throws: ``IndexError/invalidSearch(_:)`` if the width is not at least 1.
  /// - Complexity: O(1).
  public init(table: IdentifierTable, width: Int) throws(IndexError) {
    guard width >= 1 else {
      throw .invalidSearch(
        "make beam search: the beam is too narrow; expected a width of at least 1, got \(width); "
          + "use 100 for the paper's setting")
    }
    self.table = table
    self.width = width
  }

  /// The best documents that the beam finds for a query, best first.
  ///
  /// - Parameters:
  ///   - scores: The query's score table.
  ///   - limit: How many documents to return at most.
  ///   - collisions: How documents that share an identifier are ordered.
  ///   - isAllowed: The documents that may be returned, or nil for all.
  /// - Throws: ``IndexError/invalidSearch(_:)`` if the query's table does not fit the index.
  /// - Complexity: O(n * extensions of the kept prefixes * log(identifiers)), plus O(documents) if
  ///   `isAllowed` is given.
  public func rank(
    _ scores: QueryScores, limit: Int, collisions: CollisionOrder = .ranked,
    isAllowed: DocumentSet? = nil
  ) throws(IndexError) -> [RankedDocument] {
    let levels = try LevelScores(scores, table: table)
    guard limit > 0, table.documentCount > 0 else { return [] }
    var ranking = CollisionRanking(
      table: table, scores: scores, limit: limit, collisions: collisions, isAllowed: isAllowed)
    return withExtendedLifetime(table) {
      let counts = isAllowed.map { allowedRowCounts($0) }
      let beams =
        table.layout.codeWidth == 2
        ? search(UInt16.self, levels, counts) : search(UInt32.self, levels, counts)
      for beam in beams where beam.score >= ranking.threshold {
        ranking.offer(row: beam.rows.lowerBound, score: beam.score)
      }
      return ranking.ranked()
    }
  }

  /// Extends the empty prefix step by step.
  private func search<Code: IdentifierCode>(
    _ type: Code.Type, _ levels: LevelScores, _ allowedRowCounts: [UInt32]?
  ) -> [Beam] {
    var beams = [Beam(score: 0, rows: 0..<table.identifierCount)]
    for step in 0..<table.identifierLength {
      let column = table.column(step, as: type)
      let base = Int(table.levelOffsets[step])
      var kept = BoundedHeap<Beam>(capacity: width)
      levels.values.withUnsafeBufferPointer { values in
        for beam in beams {
          let score = beam.score
          IdentifierTrie.forEachChild(of: beam.rows, in: column) { code, rows in
            if let counts = allowedRowCounts, counts[rows.lowerBound] == counts[rows.upperBound] {
              return
            }
            kept.insert(Beam(score: score + values[base + code], rows: rows))
          }
        }
      }
      beams = kept.descending()
    }
    return beams
  }

  /// For each row how many rows before it have an allowed document, and the total.
  private func allowedRowCounts(_ isAllowed: DocumentSet) -> [UInt32] {
    var counts: [UInt32] = [0]
    counts.reserveCapacity(table.identifierCount + 1)
    var count: UInt32 = 0
    for row in 0..<table.identifierCount {
      if table.members(ofRow: row).contains(where: { isAllowed.contains(Int($0)) }) { count += 1 }
      counts.append(count)
    }
    return counts
  }
}

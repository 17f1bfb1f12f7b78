/// Scores every identifier of a table and ranks the documents by Equation (9) of the paper.
///
/// Nothing is approximated: the result is the first `limit` documents of the full ranking. The
/// documents are ordered by score (the sum over the steps of the log-probability of the identifier's
/// token), then by similarity, then by number. Scores are single precision sums in the order of the
/// steps, so they are the same in every search.
public struct ExactSearch: Sendable {
  /// The table that is searched.
  public let table: IdentifierTable

  /// How many rows are scored between two looks at the threshold.
  private let blockSize: Int

  /// Makes a search over a table.
  ///
  /// - Complexity: O(1).
  public init(table: IdentifierTable) {
    self.init(table: table, blockSize: 512)
  }

  /// Makes a search with another block size, which changes its speed and nothing else.
  init(table: IdentifierTable, blockSize: Int) {
    self.table = table
    self.blockSize = max(blockSize, 1)
  }

  /// The best documents for a query, best first.
  ///
  /// - Parameters:
  ///   - scores: The query's score table.
  ///   - limit: How many documents to return at most; fewer if the table (or the set) holds fewer.
  ///   - collisions: How documents that share an identifier are ordered.
  ///   - isAllowed: The documents that may be returned, or nil for all.
  /// - Throws: ``IndexError/invalidSearch(_:)`` if the query's table does not fit the index.
  /// - Complexity: O(identifiers * n + documents offered * (n + log(limit))), and O(limit) memory.
  public func rank(
    _ scores: QueryScores, limit: Int, collisions: CollisionOrder = .ranked,
    isAllowed: DocumentSet? = nil
  ) throws(IndexError) -> [RankedDocument] {
    let levels = try LevelScores(scores, table: table)
    guard limit > 0 else { return [] }
    var ranking = CollisionRanking(
      table: table, scores: scores, limit: limit, collisions: collisions, isAllowed: isAllowed)
    return withExtendedLifetime(table) {
      if let isAllowed, isAllowed.count <= table.identifierCount / 16 {
        visit(isAllowed, levels, into: &ranking)
      } else if table.layout.codeWidth == 2 {
        scan(UInt16.self, levels, into: &ranking)
      } else {
        scan(UInt32.self, levels, into: &ranking)
      }
      return ranking.ranked()
    }
  }

  /// Scores only the rows that have an allowed document, for sets that are small.
  private func visit(
    _ isAllowed: DocumentSet, _ levels: LevelScores, into ranking: inout CollisionRanking
  ) {
    let rows = Set(isAllowed.lazy.filter { $0 < table.documentCount }.map { table.rows[$0] })
    for row in rows {
      var score: Float = 0
      for step in 0..<table.identifierLength {
        let code = table.code(step: step, row: Int(row))
        score += levels.values[Int(table.levelOffsets[step]) + code]
      }
      if score >= ranking.threshold { ranking.offer(row: Int(row), score: score) }
    }
  }

  /// Scores the rows block by block and offers those that reach the threshold.
  private func scan<Code: IdentifierCode>(
    _ type: Code.Type, _ levels: LevelScores, into ranking: inout CollisionRanking
  ) {
    let columns = (0..<table.identifierLength).map { table.column($0, as: type) }
    levels.values.withUnsafeBufferPointer { values in
      let lookups = (0..<table.identifierLength).map { step in
        UnsafeBufferPointer(
          rebasing: values[Int(table.levelOffsets[step])..<Int(table.levelOffsets[step + 1])])
      }
      withUnsafeTemporaryAllocation(of: Float.self, capacity: blockSize) { sums in
        var lower = 0
        while lower < table.identifierCount {
          let rows = lower..<min(lower + blockSize, table.identifierCount)
          let best = score(rows, columns, lookups, levels.largest, ranking.threshold, into: sums)
          if best >= ranking.threshold {
            for index in 0..<rows.count where sums[index] >= ranking.threshold {
              ranking.offer(row: lower + index, score: sums[index])
            }
          }
          lower = rows.upperBound
        }
      }
    }
  }

  /// Scores a block of rows and returns the best score, or a bound on it that misses the threshold.
  ///
  /// Rounding keeps the order of sums, so the sum of the first step's best and the best of all
  /// later steps, added in the same order, bounds every score in the block.
  @inline(__always)
  private func score<Code: IdentifierCode>(
    _ rows: Range<Int>, _ columns: [UnsafeBufferPointer<Code>],
    _ lookups: [UnsafeBufferPointer<Float>], _ largest: [Float], _ threshold: Float,
    into sums: UnsafeMutableBufferPointer<Float>
  ) -> Float {
    let count = rows.count
    let block = UnsafeBufferPointer(rebasing: sums[..<count])
    let (codes, lookup) = (UnsafeBufferPointer(rebasing: columns[0][rows]), lookups[0])
    for index in 0..<count { sums[index] = lookup[Int(codes[index])] }
    var bound = Maximum.value(of: block)
    for step in 1..<max(columns.count, 1) { bound += largest[step] }
    guard bound >= threshold, columns.count > 1 else { return bound }
    for step in 1..<columns.count {
      let (codes, lookup) = (UnsafeBufferPointer(rebasing: columns[step][rows]), lookups[step])
      for index in 0..<count { sums[index] += lookup[Int(codes[index])] }
    }
    return Maximum.value(of: block)
  }
}

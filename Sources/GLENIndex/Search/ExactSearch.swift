/// Scores every identifier of an index and ranks the documents by Equation (9) of the paper.
///
/// Nothing is approximated: the result is the first `limit` documents of the full ranking. The
/// documents are ordered by score (the sum over the steps of the log-probability of the identifier's
/// token), then by similarity, then by number. Scores are single precision sums in the order of the
/// steps, so they are the same in every search.
public struct ExactSearch: Sendable {
  /// What is searched.
  public let tables: IdentifierTables

  /// How many rows are scored between two looks at the threshold.
  private let blockSize: Int

  /// Makes a search over the identifiers of an index.
  ///
  /// - Complexity: O(1).
  public init(_ tables: IdentifierTables) {
    self.init(tables, blockSize: 512)
  }

  /// Makes a search over a table.
  ///
  /// - Complexity: O(1).
  public init(table: IdentifierTable) {
    self.init(IdentifierTables(table), blockSize: 512)
  }

  /// Makes a search with another block size, which changes its speed and nothing else.
  init(_ tables: IdentifierTables, blockSize: Int) {
    self.tables = tables
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
    var levels = try LevelScores(scores, tables)
    guard limit > 0 else { return [] }
    let allowed = tables.allowed(isAllowed)
    var ranking = CollisionRanking(
      tables: tables, scores: scores, limit: limit, collisions: collisions, allowed: allowed)
    return withExtendedLifetime(tables) {
      for (index, table) in tables.tables.enumerated() where table.documentCount > 0 {
        let documents = tables.bases[index]..<tables.bases[index + 1]
        levels.load(table)
        if let allowed, allowed.count(in: documents) <= table.identifierCount / 16 {
          visit(allowed, documents, index, levels, into: &ranking)
        } else if table.layout.codeWidth == 2 {
          scan(UInt16.self, index, levels, into: &ranking)
        } else {
          scan(UInt32.self, index, levels, into: &ranking)
        }
      }
      return ranking.ranked()
    }
  }

  /// Scores only the rows that have an allowed document, for sets that are small.
  private func visit(
    _ allowed: DocumentSet, _ documents: Range<Int>, _ index: Int, _ levels: LevelScores,
    into ranking: inout CollisionRanking
  ) {
    let table = tables.tables[index]
    var next = documents.lowerBound
    while let document = allowed.first(in: next..<documents.upperBound) {
      let row = table.identifier(ofDocument: document - documents.lowerBound)
      var score: Float = 0
      for step in 0..<table.identifierLength {
        score += levels.values[Int(table.levelOffsets[step]) + table.code(step: step, row: row)]
      }
      if score >= ranking.threshold { ranking.offer(row: row, ofTable: index, score: score) }
      // The other documents of the row stand beside this one.
      let behind = documents.lowerBound + table.documents(ofRows: row..<row + 1).upperBound
      next = min(max(behind, document + 1), documents.upperBound)
    }
  }

  /// Scores the rows of a table block by block and offers those that reach the threshold.
  private func scan<Code: IdentifierCode>(
    _ type: Code.Type, _ index: Int, _ levels: LevelScores, into ranking: inout CollisionRanking
  ) {
    let table = tables.tables[index]
    let columns = (0..<table.identifierLength).map { table.column($0, as: type) }
    levels.values.withUnsafeBufferPointer { values in
      let lookups = (0..<table.identifierLength).map { step in
        Lookup<Code>(
          values: UnsafeBufferPointer(rebasing: values[Int(table.levelOffsets[step])...]),
          count: table.levelTokens(step).count)
      }
      withUnsafeTemporaryAllocation(of: Float.self, capacity: blockSize) { sums in
        var lower = 0
        while lower < table.identifierCount {
          let rows = lower..<min(lower + blockSize, table.identifierCount)
          let best = score(rows, columns, lookups, levels.largest, ranking.threshold, into: sums)
          if best >= ranking.threshold {
            for place in 0..<rows.count where sums[place] >= ranking.threshold {
              ranking.offer(row: lower + place, ofTable: index, score: sums[place])
            }
          }
          lower = rows.upperBound
        }
      }
    }
  }

  /// The log-probabilities of a step, by code; any code may be looked up.
  private struct Lookup<Code: IdentifierCode> {
    let values: UnsafeBufferPointer<Float>
    private let last: Code

    /// The values go on behind the step's `count` as far as a 16-bit code can reach.
    init(values: UnsafeBufferPointer<Float>, count: Int) {
      self.values = values
      self.last = Code(clamping: count - 1)
    }

    @inline(__always)
    subscript(code: Code) -> Float { values[Int(Code.bitWidth == 16 ? code : min(code, last))] }
  }

  /// Scores a block of rows and returns the best score, or a bound on it that misses the threshold.
  ///
  /// Rounding keeps the order of sums, so the sum of the first step's best and the best of all
  /// later steps, added in the same order, bounds every score in the block.
  @inline(__always)
  private func score<Code: IdentifierCode>(
    _ rows: Range<Int>, _ columns: [UnsafeBufferPointer<Code>],
    _ lookups: [Lookup<Code>], _ largest: [Float], _ threshold: Float,
    into sums: UnsafeMutableBufferPointer<Float>
  ) -> Float {
    let count = rows.count
    let block = UnsafeBufferPointer(rebasing: sums[..<count])
    let (codes, lookup) = (UnsafeBufferPointer(rebasing: columns[0][rows]), lookups[0])
    for index in 0..<count { sums[index] = lookup[codes[index]] }
    var bound = Maximum.value(of: block)
    for step in 1..<max(columns.count, 1) { bound += largest[step] }
    guard bound >= threshold, columns.count > 1 else { return bound }
    for step in 1..<columns.count {
      let (codes, lookup) = (UnsafeBufferPointer(rebasing: columns[step][rows]), lookups[step])
      for index in 0..<count { sums[index] += lookup[codes[index]] }
    }
    return Maximum.value(of: block)
  }
}

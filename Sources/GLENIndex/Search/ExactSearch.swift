/// Scores every identifier of an index and ranks the documents by Equation (9) of the paper.
///
/// Nothing is approximated: the result is the first `limit` documents of the full ranking. The
/// documents are ordered by score (the sum over the steps of the log-probability of the identifier's
/// token), then by similarity, then by number. Scores are single precision sums in the order of the
/// steps, so they are the same in every search, on any number of threads.
public struct ExactSearch: Sendable {
  /// What is searched.
  public let tables: IdentifierTables

  /// The most threads that scan one table at once.
  public let threadCount: Int

  /// How many rows are scored between two looks at the threshold.
  private let blockSize: Int

  /// How many rows of a table are worth a thread.
  private let rowsPerThread: Int

  /// Makes a search over the identifiers of an index.
  ///
  /// - Parameters:
  ///   - tables: What is searched.
  ///   - threadCount: The most threads that scan one table at once, below 1 as 1. Each gets half a
  ///     million identifiers at least.
  /// - Complexity: O(1).
  public init(_ tables: IdentifierTables, threadCount: Int = 1) {
    self.init(tables, threadCount: threadCount, blockSize: 1024, rowsPerThread: 500_000)
  }

  /// Makes a search over a table.
  ///
  /// - Complexity: O(1).
  public init(table: IdentifierTable) {
    self.init(IdentifierTables(table))
  }

  /// Makes a search with other divisions of the work, which change its speed and nothing else.
  init(_ tables: IdentifierTables, threadCount: Int = 1, blockSize: Int, rowsPerThread: Int) {
    self.tables = tables
    self.threadCount = max(threadCount, 1)
    self.blockSize = max(blockSize, 1)
    self.rowsPerThread = max(rowsPerThread, 1)
  }

  /// The best documents for a query, best first.
  ///
  /// - Parameters:
  ///   - scores: The query's score table.
  ///   - limit: How many documents to return at most; fewer if the table (or the set) holds fewer.
  ///   - collisions: How documents that share an identifier are ordered.
  ///   - isAllowed: The documents that may be returned, or nil for all.
  /// - Throws: ``IndexError/invalidSearch(_:)`` if the query's table does not fit the index.
  /// - Complexity: O(identifiers * n + documents offered * (n + log(limit))), and O(limit) memory for
  ///   each thread beside O(identifiers / 1000).
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
        if let allowed, allowed.count(in: documents) <= table.identifierCount / 32 {
          visit(allowed, documents, index, levels, into: &ranking)
        } else if table.layout.codeWidth == 2 {
          scan(BlockScan<UInt16>(table, levels, blockSize: blockSize), index, into: &ranking)
        } else {
          scan(BlockScan<UInt32>(table, levels, blockSize: blockSize), index, into: &ranking)
        }
      }
      return ranking.ranked()
    }
  }

  /// Scores the rows of a table on some threads, each with a ranking of its own.
  ///
  /// The threads take turns in the order of the blocks, so all of them begin with promising ones.
  private func scan<Code: IdentifierCode>(
    _ scan: BlockScan<Code>, _ index: Int, into ranking: inout CollisionRanking
  ) {
    let parts = min(threadCount, scan.table.identifierCount / rowsPerThread)
    let order = scan.mostPromisingFirst()
    guard parts > 1 else {
      return scan.offer(order, from: 0, by: 1, ofTable: index, to: &ranking)
    }
    let begun = ranking
    let ended = Parallel.map(parts, threads: parts) { part in
      var own = begun.withoutDocuments()
      scan.offer(order, from: part, by: parts, ofTable: index, to: &own)
      return own
    }
    for part in ended { ranking.merge(part) }
  }

  /// Scores only the rows that have an allowed document, for sets that are small.
  private func visit(
    _ allowed: DocumentSet, _ documents: Range<Int>, _ index: Int, _ levels: LevelScores,
    into ranking: inout CollisionRanking
  ) {
    let table = tables.tables[index]
    var next = documents.lowerBound
    var row = 0
    while let document = allowed.first(in: next..<documents.upperBound) {
      row = table.identifier(ofDocument: document - documents.lowerBound, from: row)
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
}

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

  /// How many blocks give the first threshold.
  private let firstBlocks = 4

  /// Of how many rows one must be allowed for a scan of all to be faster than visits of those.
  private let rowsPerVisit = 8

  /// Makes a search over the identifiers of an index.
  ///
  /// - Parameters:
  ///   - tables: What is searched.
  ///   - threadCount: The most threads that scan one table at once, below 1 as 1. Each gets a quarter of a
  ///     million identifiers at least.
  /// - Complexity: O(1).
  public init(_ tables: IdentifierTables, threadCount: Int = 1) {
    self.init(tables, threadCount: threadCount, blockSize: 1024, rowsPerThread: 250_000)
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
        levels.load(table)
        if table.layout.codeWidth == 2 {
          search(
            BlockScan<UInt16>(table, levels, blockSize: blockSize), index, allowed, into: &ranking)
        } else {
          search(
            BlockScan<UInt32>(table, levels, blockSize: blockSize), index, allowed, into: &ranking)
        }
      }
      return ranking.ranked()
    }
  }

  /// Searches one table: a few rows where few are allowed, otherwise all that may be good enough.
  private func search<Code: IdentifierCode>(
    _ scan: BlockScan<Code>, _ index: Int, _ allowed: DocumentSet?,
    into ranking: inout CollisionRanking
  ) {
    let documents = tables.bases[index]..<tables.bases[index + 1]
    if let allowed, allowed.count(in: documents) <= scan.table.identifierCount / rowsPerVisit {
      return scan.visit(allowed, documents, ofTable: index, to: &ranking)
    }
    let order = scan.mostPromisingFirst(allowed: allowed, base: documents.lowerBound)
    // The most promising blocks give the threshold, without which deficits say nothing.
    var begun = 0
    while begun < order.count,
      begun < firstBlocks || ranking.threshold == -.infinity && begun < order.count / 8
    {
      scan.offer(order[begun...begun], from: 0, by: 1, ofTable: index, to: &ranking)
      begun += 1
    }
    let rest = order[begun...]
    guard let next = rest.first, scan.rows(of: next, reaching: ranking.threshold) != nil else {
      return
    }
    let deficits = Deficits(scan.levels, scan.table, threshold: ranking.threshold)
    @Sendable func offer(_ part: Int, of parts: Int, to ranking: inout CollisionRanking) {
      if let deficits {
        scan.offer(rest, from: part, by: parts, deficits, ofTable: index, to: &ranking)
      } else {
        scan.offer(rest, from: part, by: parts, ofTable: index, to: &ranking)
      }
    }
    let parts = min(threadCount, rest.count * blockSize / rowsPerThread)
    guard parts > 1 else { return offer(0, of: 1, to: &ranking) }
    // The threads take turns in the order of the blocks, so all of them begin with promising ones.
    let before = ranking
    let ended = Parallel.map(parts, threads: parts) { part in
      var own = before.withoutDocuments()
      offer(part, of: parts, to: &own)
      return own
    }
    for part in ended { ranking.merge(part) }
  }
}

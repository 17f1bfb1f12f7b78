import GLENTensor

/// ``ExactSearch`` for many queries at once, with the identifiers on a device.
///
/// The device finds the rows that may hold one of the best documents; their documents are ranked here,
/// as every search does it. So the answers are those of ``ExactSearch``: the same documents in the same
/// order, with the same bits. A query for which so many identifiers score equally that the device does
/// not keep them is searched on the processor.
public struct DeviceSearch: Sendable {
  /// What is searched.
  public let tables: IdentifierTables

  /// The most threads that prepare and finish the device's work.
  public let threadCount: Int

  /// Each table's rows on the device, or nil for a table without rows.
  private let scans: [(any CodeScan)?]

  /// Each table's rows that have a living document, or nil where all do.
  private let living: [[UInt32]?]

  /// The bytes of look-up tables that are handed to the device together.
  private let tableByteCount = 1 << 26

  /// Copies the identifiers of an index to a device, where they stay as long as the search.
  ///
  /// - Parameters:
  ///   - tables: What is searched.
  ///   - scanner: The device, such as a `CUDABackend`.
  ///   - threadCount: The most threads that prepare and finish the device's work, below 1 as 1.
  /// - Throws: `TensorError.outOfMemory`.
  /// - Complexity: O(identifiers * n).
  public init(
    _ tables: IdentifierTables, on scanner: any CodeScanner, threadCount: Int = 1
  ) throws(TensorError) {
    self.tables = tables
    self.threadCount = max(threadCount, 1)
    var scans: [(any CodeScan)?] = []
    for table in tables.tables { scans.append(try Self.scan(of: table, on: scanner)) }
    self.scans = scans
    living = Self.rows(of: tables, allowed: tables.living)
  }

  /// The best documents for each query, best first.
  ///
  /// - Parameters:
  ///   - scores: The queries' score tables.
  ///   - limit: How many documents to return at most for each query.
  ///   - collisions: How documents that share an identifier are ordered.
  ///   - isAllowed: The documents that may be returned, or nil for all.
  /// - Throws: ``IndexError/invalidSearch(_:)`` if a query's table does not fit the index; `TensorError`
  ///   if the device fails.
  /// - Complexity: O(queries * identifiers * n) on the device.
  public func rank(
    _ scores: [QueryScores], limit: Int, collisions: CollisionOrder = .ranked,
    isAllowed: DocumentSet? = nil
  ) throws -> [[RankedDocument]] {
    for query in scores { try LevelScores.check(query, tables) }
    guard limit > 0 else { return scores.map { _ in [] } }
    let rows = isAllowed.map { Self.rows(of: tables, allowed: tables.allowed($0)) } ?? living
    let codes = tables.tables.map(\.allLevelTokens.count).max() ?? 0
    // Whole tiles of queries; a grid of blocks has room for so many.
    let most = min(max(tableByteCount / max(4 * codes, 1) / 8 * 8, 8), 4096)
    return try stride(from: 0, to: scores.count, by: most).flatMap { first in
      try rank(
        scores[first..<min(first + most, scores.count)], limit, collisions, isAllowed, rows: rows)
    }
  }

  /// Ranks as many queries as fit on the device.
  private func rank(
    _ scores: ArraySlice<QueryScores>, _ limit: Int, _ collisions: CollisionOrder,
    _ isAllowed: DocumentSet?, rows: [[UInt32]?]
  ) throws -> [[RankedDocument]] {
    let scores = Array(scores)
    var found: [[[ScoredRow]?]] = []
    for (index, table) in tables.tables.enumerated() {
      guard let scan = scans[index] else {
        found.append(scores.map { _ in [] })
        continue
      }
      found.append(
        try scan.largest(
          min(limit, table.identifierCount), of: values(of: scores, in: table),
          queries: scores.count, allowed: rows[index]))
    }
    let (all, allowed) = (found, tables.allowed(isAllowed))
    return try Parallel.map(scores.count, threads: threadCount) { query in
      var ranking = CollisionRanking(
        tables: tables, scores: scores[query], limit: limit, collisions: collisions,
        allowed: allowed)
      for table in all.indices {
        guard let rows = all[table][query] else {
          return try ExactSearch(tables).rank(
            scores[query], limit: limit, collisions: collisions, isAllowed: isAllowed)
        }
        for row in rows where row.score >= ranking.threshold {
          ranking.offer(row: row.row, ofTable: table, score: row.score)
        }
      }
      return ranking.ranked()
    }
  }

  /// The queries' look-up tables, one after the other.
  ///
  /// - Throws: ``IndexError/invalidSearch(_:)``.
  private func values(of scores: [QueryScores], in table: IdentifierTable) throws -> [Float] {
    let width = table.allLevelTokens.count
    return try [Float](unsafeUninitializedCapacity: scores.count * width) { all, count in
      nonisolated(unsafe) let all = all
      _ = try Parallel.map(scores.count, threads: threadCount) { query in
        var levels = try LevelScores(scores[query], tables)
        levels.load(table)
        _ = UnsafeMutableBufferPointer(rebasing: all[query * width..<(query + 1) * width])
          .initialize(from: levels.values)
      }
      count = scores.count * width
    }
  }

  /// Copies a table's columns to a device.
  private static func scan(
    of table: IdentifierTable, on scanner: any CodeScanner
  ) throws(TensorError) -> (any CodeScan)? {
    guard table.identifierCount > 0 else { return nil }
    return try withExtendedLifetime(table) { () throws(TensorError) in
      let steps = 0..<table.identifierLength
      return try scanner.scan(
        of: CodeColumns(
          columns: steps.map { step in
            table.layout.codeWidth == 2
              ? UnsafeRawBufferPointer(table.column(step, as: UInt16.self))
              : UnsafeRawBufferPointer(table.column(step, as: UInt32.self))
          },
          codeWidth: table.layout.codeWidth, rows: table.identifierCount,
          codeCounts: steps.map { table.levelTokens($0).count }))
    }
  }

  /// For each table a bit for every row that has an allowed document; nil where all are allowed.
  private static func rows(
    of tables: IdentifierTables, allowed: DocumentSet?
  ) -> [[UInt32]?] {
    guard let allowed else { return tables.tables.map { _ in nil } }
    return withExtendedLifetime(tables) {
      tables.tables.enumerated().map { index, table in
        var bits = [UInt32](repeating: 0, count: (table.identifierCount + 31) / 32)
        let base = tables.bases[index]
        for row in 0..<table.identifierCount {
          let documents = table.documents(ofRows: row..<row + 1)
          let moved = base + documents.lowerBound..<base + documents.upperBound
          if allowed.first(in: moved) != nil { bits[row / 32] |= 1 << UInt32(row % 32) }
        }
        return bits
      }
    }
  }
}

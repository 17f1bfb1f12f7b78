import GLENPlatform

/// How probable each identifier of an index is for a query, given that it is one of the index's.
///
/// P(z | q, corpus) = exp(score(z)) / Σ exp(score(z')) over the distinct identifiers z' that a document
/// has which is not deleted. The normalisers of the steps cancel, so this works on logits, shifted by
/// the largest of each step.
struct CorpusProbabilities {
  private let trie: IdentifierTrie
  /// For each table, for each code of each step its logit less the step's largest.
  private let shifts: [[Double]]
  /// The logarithm of the sum over all identifiers of exp(sum of shifts).
  private let logTotal: Double

  /// Sums over all identifiers of the index, in double precision; the sum does not depend on the
  /// number of threads.
  ///
  /// - Complexity: O(identifiers * n) products and O(tokens of the steps) exponentials, and for the first
  ///   query of several tables, or with deletions, what `IdentifierTables.rowsThatCount` takes. Where all
  ///   products are too small, O(identifiers * n) steps of a walk, and an exponential for each.
  init(
    _ scores: QueryScores, _ tables: IdentifierTables, threadCount: Int = 1
  ) throws(IndexError) {
    try LevelScores.check(scores, tables)
    trie = IdentifierTrie(tables)
    let shifts = Self.shifts(of: scores, tables)
    self.shifts = shifts
    let total = zip(tables.tables, zip(shifts, tables.rowsThatCount)).reduce(0.0) { total, part in
      let (table, (shifts, counts)) = part
      return total
        + withExtendedLifetime(table) {
          table.layout.codeWidth == 2
            ? Self.sum(UInt16.self, table, shifts, counts, threadCount)
            : Self.sum(UInt32.self, table, shifts, counts, threadCount)
        }
    }
    // The best tokens of the steps may never stand together, and what does may be too small.
    if total >= .leastNormalMagnitude {
      logTotal = log(total)
      return
    }
    var sums: [Double] = []
    trie.forEachIdentifier(below: trie.root, step: 0) { rows in
      guard let table = rows.firstIndex(where: { !$0.isEmpty }) else { return }
      sums.append(
        Self.sumOfShifts(rows[table].lowerBound, tables.tables[table], shifts[table]))
    }
    let largest = sums.max() ?? -.infinity
    logTotal =
      largest == -.infinity ? largest : largest + log(sums.reduce(0) { $0 + exp($1 - largest) })
  }

  /// The probability of a document: an equal share of its identifier's, between 0 and 1.
  func probability(ofDocument document: Int) -> Double {
    let tables = trie.index
    let place = tables.place(ofDocument: document)
    let table = tables.tables[place.table]
    let row = table.identifier(ofDocument: place.document)
    let sum = Self.sumOfShifts(row, table, shifts[place.table])
    guard sum > -.infinity else { return 0 }
    let rows =
      tables.tables.count == 1
      ? [row..<row + 1] : trie.rows(of: table.tokens(ofIdentifier: row))
    return min(exp(sum - logTotal), 1) / Double(max(trie.documentCount(of: rows), 1))
  }

  private static func shifts(of scores: QueryScores, _ tables: IdentifierTables) -> [[Double]] {
    withExtendedLifetime(tables) {
      let largest = (0..<tables.identifierLength).map { step in
        tables.tables.reduce(-Float.infinity) { largest, table in
          table.documentCount == 0
            ? largest
            : table.levelTokens(step).reduce(largest) {
              max($0, scores.logits[step * scores.vocabularySize + Int($1)])
            }
        }
      }
      return tables.tables.map { table in
        var shifts: [Double] = []
        shifts.reserveCapacity(table.layout.levelTokenCount)
        for step in 0..<table.identifierLength where table.documentCount > 0 {
          for token in table.levelTokens(step) {
            let logit = scores.logits[step * scores.vocabularySize + Int(token)]
            shifts.append(logit == -.infinity ? -.infinity : Double(logit) - Double(largest[step]))
          }
        }
        return shifts
      }
    }
  }

  /// The sum over all rows that count (1 in `counts`; nil for all) of the product of their codes' factors exp(shift), all at most 1.
  ///
  /// Damaged codes lead to a factor of 0, or to the step's last code.
  private static func sum<Code: IdentifierCode>(
    _ type: Code.Type, _ table: IdentifierTable, _ shifts: [Double], _ counts: [UInt8]?,
    _ threadCount: Int
  ) -> Double {
    guard table.documentCount > 0 else { return 0 }
    let padding = [Double](repeating: -.infinity, count: Code.bitWidth == 16 ? 1 << 16 : 0)
    let factors = LogSumExp.exponentials(of: shifts + padding)
    // Large enough that starting a thread does not show; the same whatever the threads.
    let partSize = 1 << 18
    let parts = (table.identifierCount + partSize - 1) / partSize
    return Parallel.map(parts, threads: threadCount) { part in
      let rows = part * partSize..<min((part + 1) * partSize, table.identifierCount)
      return factors.withUnsafeBufferPointer { sum(type, table, $0, counts, rows) }
    }.reduce(0, +)
  }

  /// The sum over some rows, from the factors of all codes.
  private static func sum<Code: IdentifierCode>(
    _ type: Code.Type, _ table: IdentifierTable, _ factors: UnsafeBufferPointer<Double>,
    _ counts: [UInt8]?, _ allRows: Range<Int>
  ) -> Double {
    let blockSize = 512
    return withUnsafeTemporaryAllocation(of: Double.self, capacity: blockSize) { products in
      var total = 0.0
      for lower in stride(from: allRows.lowerBound, to: allRows.upperBound, by: blockSize) {
        let rows = lower..<min(lower + blockSize, allRows.upperBound)
        for step in 0..<table.identifierLength {
          let codes = UnsafeBufferPointer(rebasing: table.column(step, as: type)[rows])
          let factors = UnsafeBufferPointer(rebasing: factors[Int(table.levelOffsets[step])...])
          let last = Code(clamping: table.levelTokens(step).count - 1)
          func factor(_ code: Code) -> Double {
            factors[Int(Code.bitWidth == 16 ? code : min(code, last))]
          }
          if step == 0 {
            for index in 0..<rows.count { products[index] = factor(codes[index]) }
          } else {
            for index in 0..<rows.count { products[index] *= factor(codes[index]) }
          }
        }
        var sum = 0.0
        if let counts {
          for index in 0..<rows.count {
            sum += products[index] * Double(counts[rows.lowerBound + index])
          }
        } else {
          for index in 0..<rows.count { sum += products[index] }
        }
        total += sum
      }
      return total
    }
  }

  private static func sumOfShifts(
    _ row: Int, _ table: IdentifierTable, _ shifts: [Double]
  ) -> Double {
    withExtendedLifetime(table) {
      var sum = 0.0
      for step in 0..<table.identifierLength {
        sum += shifts[Int(table.levelOffsets[step]) + table.code(step: step, row: row)]
      }
      return sum
    }
  }
}

#if canImport(Darwin)
  import Darwin
#elseif canImport(Musl)
  import Musl
#else
  import Glibc
#endif

/// How probable each identifier of a table is for a query, given that it is one of the table's.
///
/// P(z | q, corpus) = exp(score(z)) / Σ exp(score(z')) over the table's identifiers z'. The
/// normalisers of the steps cancel, so this works on logits, shifted by the largest of each step.
struct CorpusProbabilities {
  private let table: IdentifierTable
  /// For each code of each step its logit less the step's largest.
  private let shifts: [Double]
  /// The logarithm of the sum over all identifiers of exp(sum of shifts).
  private let logTotal: Double

  /// Sums over all identifiers of the table, in double precision.
  ///
  /// - Complexity: O(identifiers * n) products; O(tokens of the steps) exponentials.
  init(_ scores: QueryScores, table: IdentifierTable) throws(IndexError) {
    try LevelScores.check(scores, table: table)
    self.table = table
    var shifts: [Double] = []
    shifts.reserveCapacity(table.layout.levelTokenCount)
    withExtendedLifetime(table) {
      for step in 0..<table.identifierLength {
        let base = step * scores.vocabularySize
        let tokens = table.levelTokens(step)
        let largest = tokens.reduce(-Float.infinity) { max($0, scores.logits[base + Int($1)]) }
        for token in tokens {
          let logit = scores.logits[base + Int(token)]
          shifts.append(logit == -.infinity ? -.infinity : Double(logit) - Double(largest))
        }
      }
    }
    self.shifts = shifts
    logTotal = withExtendedLifetime(table) {
      let total =
        table.layout.codeWidth == 2
        ? Self.sum(UInt16.self, table, shifts) : Self.sum(UInt32.self, table, shifts)
      // The best tokens of the steps may never stand together, and what does may be too small.
      return total >= .leastNormalMagnitude ? log(total) : Self.logSum(table, shifts)
    }
  }

  /// The probability of the identifier in a row, between 0 and 1.
  func probability(ofRow row: Int) -> Double {
    let sum = withExtendedLifetime(table) { Self.sumOfShifts(row, table, shifts) }
    return sum == -.infinity ? 0 : min(exp(sum - logTotal), 1)
  }

  /// The probability of a document: an equal share of its identifier's.
  func probability(ofDocument document: Int) -> Double {
    let row = table.identifier(ofDocument: document)
    let count = withExtendedLifetime(table) { table.members(ofRow: row).count }
    return probability(ofRow: row) / Double(max(count, 1))
  }

  /// The sum over all rows of the product of their codes' factors exp(shift), all at most 1.
  private static func sum<Code: IdentifierCode>(
    _ type: Code.Type, _ table: IdentifierTable, _ shifts: [Double]
  ) -> Double {
    let blockSize = 512
    return LogSumExp.exponentials(of: shifts).withUnsafeBufferPointer { factors in
      withUnsafeTemporaryAllocation(of: Double.self, capacity: blockSize) { products in
        var total = 0.0
        for lower in stride(from: 0, to: table.identifierCount, by: blockSize) {
          let rows = lower..<min(lower + blockSize, table.identifierCount)
          for step in 0..<table.identifierLength {
            let codes = UnsafeBufferPointer(rebasing: table.column(step, as: type)[rows])
            let factors = UnsafeBufferPointer(rebasing: factors[Int(table.levelOffsets[step])...])
            if step == 0 {
              for index in 0..<rows.count { products[index] = factors[Int(codes[index])] }
            } else {
              for index in 0..<rows.count { products[index] *= factors[Int(codes[index])] }
            }
          }
          var sum = 0.0
          for index in 0..<rows.count { sum += products[index] }
          total += sum
        }
        return total
      }
    }
  }

  /// The logarithm of the same sum, slowly, whatever the magnitudes; -infinity if all rows are masked.
  private static func logSum(_ table: IdentifierTable, _ shifts: [Double]) -> Double {
    let rows = 0..<table.identifierCount
    let largest = rows.reduce(-Double.infinity) { max($0, sumOfShifts($1, table, shifts)) }
    guard largest > -.infinity else { return -.infinity }
    return largest + log(rows.reduce(0) { $0 + exp(sumOfShifts($1, table, shifts) - largest) })
  }

  private static func sumOfShifts(
    _ row: Int, _ table: IdentifierTable, _ shifts: [Double]
  ) -> Double {
    var sum = 0.0
    for step in 0..<table.identifierLength {
      sum += shifts[Int(table.levelOffsets[step]) + table.code(step: step, row: row)]
    }
    return sum
  }
}

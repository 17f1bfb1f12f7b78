/// A table's rows in blocks, with a query's scores of its codes: the inner loops of ``ExactSearch``.
///
/// Blocks are looked at from the most promising to the least, so the threshold is high from early on
/// and the rest is left out unread. What bounds a block is a sum like that of a score, in the same
/// order, of numbers that are nowhere smaller; rounding keeps the order of sums, so no score exceeds
/// its bound, not by a bit.
struct BlockScan<Code: IdentifierCode>: Sendable {
  let table: IdentifierTable
  private let levels: LevelScores
  private let blockSize: Int

  init(_ table: IdentifierTable, _ levels: LevelScores, blockSize: Int) {
    self.table = table
    self.levels = levels
    self.blockSize = blockSize
  }

  /// The blocks by the bounds of their scores, largest first: the bound's key over the inverted place.
  ///
  /// Rows are sorted, so the first step's codes in a block lie between those of its ends.
  func mostPromisingFirst() -> [UInt64] {
    let starts = stride(from: 0, to: table.identifierCount, by: blockSize)
    let codes = table.column(0, as: Code.self)
    let last = table.levelTokens(0).count - 1
    var keys: [UInt64] = []
    keys.reserveCapacity(table.identifierCount / blockSize + 1)
    for (place, start) in starts.enumerated() {
      let end = min(start + blockSize, table.identifierCount) - 1
      let lower = min(Int(codes[start]), last)
      let upper = min(max(Int(codes[end]), lower), last)
      let key = SortKey.key(of: bound(levels.values[lower...upper].max() ?? -.infinity, from: 1))
      keys.append(UInt64(key) << 32 | UInt64(~UInt32(truncatingIfNeeded: place)))
    }
    return keys.sorted(by: >)
  }

  /// The largest score that steps from `step` on can make of a sum.
  @inline(__always)
  private func bound(_ sum: Float, from step: Int) -> Float {
    var bound = sum
    for step in step..<max(table.identifierLength, step) { bound += levels.largest[step] }
    return bound
  }

  /// Offers the rows that reach the threshold, of every so many of the ordered blocks.
  func offer(
    _ order: [UInt64], from first: Int, by step: Int, ofTable index: Int,
    to ranking: inout CollisionRanking
  ) {
    levels.values.withUnsafeBufferPointer { values in
      let steps = (0..<table.identifierLength).map { step in
        Step<Code>(
          codes: table.column(step, as: Code.self),
          values: UnsafeBufferPointer(rebasing: values[Int(table.levelOffsets[step])...]),
          count: table.levelTokens(step).count)
      }
      withUnsafeTemporaryAllocation(of: Float.self, capacity: blockSize) { sums in
        for place in stride(from: first, to: order.count, by: step) {
          let bound = SortKey.value(ofKey: UInt32(truncatingIfNeeded: order[place] >> 32))
          guard bound >= ranking.threshold else { return }
          let lower = Int(~UInt32(truncatingIfNeeded: order[place])) * blockSize
          let rows = lower..<min(lower + blockSize, table.identifierCount)
          guard score(rows, steps, ranking.threshold, into: sums) else { continue }
          for place in 0..<rows.count where sums[place] >= ranking.threshold {
            ranking.offer(row: lower + place, ofTable: index, score: sums[place])
          }
        }
      }
    }
  }

  /// Scores a block of rows, and says whether one may reach the threshold; if not, sums are missing.
  ///
  /// Two steps at a time, which halves the traffic of the sums.
  @inline(__always)
  private func score(
    _ rows: Range<Int>, _ steps: [Step<Code>], _ threshold: Float,
    into sums: UnsafeMutableBufferPointer<Float>
  ) -> Bool {
    let count = rows.count
    let block = UnsafeBufferPointer(rebasing: sums[..<count])
    let (codes, first) = (steps[0].codes(of: rows), steps[0])
    if codes[0] == codes[count - 1] {
      sums[..<count].update(repeating: first[codes[0]])
    } else {
      for index in 0..<count { sums[index] = first[codes[index]] }
    }
    var step = 1
    while step < steps.count {
      let (one, ones) = (steps[step], steps[step].codes(of: rows))
      if step + 1 < steps.count {
        let (two, twos) = (steps[step + 1], steps[step + 1].codes(of: rows))
        for index in 0..<count { sums[index] = sums[index] + one[ones[index]] + two[twos[index]] }
      } else {
        for index in 0..<count { sums[index] += one[ones[index]] }
      }
      step += 2
      guard bound(Maximum.value(of: block), from: step) >= threshold else { return false }
    }
    return true
  }
}

/// A step's column and log-probabilities; any code may be looked up.
private struct Step<Code: IdentifierCode> {
  private let codes: UnsafeBufferPointer<Code>
  private let values: UnsafeBufferPointer<Float>
  private let last: Code

  /// The values go on behind the step's `count` as far as a 16-bit code can reach.
  init(codes: UnsafeBufferPointer<Code>, values: UnsafeBufferPointer<Float>, count: Int) {
    self.codes = codes
    self.values = values
    self.last = Code(clamping: count - 1)
  }

  @inline(__always)
  func codes(of rows: Range<Int>) -> UnsafeBufferPointer<Code> {
    UnsafeBufferPointer(rebasing: codes[rows])
  }

  @inline(__always)
  subscript(code: Code) -> Float { values[Int(Code.bitWidth == 16 ? code : min(code, last))] }
}

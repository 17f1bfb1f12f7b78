/// A table's rows in blocks, with a query's scores of its codes: the inner loops of ``ExactSearch``.
///
/// Blocks are looked at from the most promising to the least, so the threshold is high from early on
/// and the rest is left out unread. What bounds a block is a sum like that of a score, in the same
/// order, of numbers that are nowhere smaller; rounding keeps the order of sums, so no score exceeds
/// its bound, not by a bit.
struct BlockScan<Code: IdentifierCode> {
  let table: IdentifierTable
  let levels: LevelScores
  let blockSize: Int

  init(_ table: IdentifierTable, _ levels: LevelScores, blockSize: Int) {
    self.table = table
    self.levels = levels
    self.blockSize = blockSize
  }

  /// The blocks by the bounds of their scores, largest first: the bound's key over the inverted place.
  ///
  /// Rows are sorted, so the first step's codes in a block lie between those of its ends. A block
  /// without an allowed document, which is one of those from `base` on, is left out.
  func mostPromisingFirst(allowed: DocumentSet?, base: Int) -> [UInt64] {
    let codes = table.column(0, as: Code.self)
    let last = table.levelTokens(0).count - 1
    var keys: [UInt64] = []
    keys.reserveCapacity(table.identifierCount / blockSize + 1)
    levels.values.withUnsafeBufferPointer { values in
      for start in stride(from: 0, to: table.identifierCount, by: blockSize) {
        let end = min(start + blockSize, table.identifierCount)
        if let allowed {
          let documents = table.documents(ofRows: start..<end)
          let moved = base + documents.lowerBound..<base + documents.upperBound
          guard allowed.first(in: moved) != nil else { continue }
        }
        let lower = min(Int(codes[start]), last)
        let upper = min(max(Int(codes[end - 1]), lower), last)
        let largest = Maximum.value(of: UnsafeBufferPointer(rebasing: values[lower...upper]))
        let place = UInt32(truncatingIfNeeded: start / blockSize)
        keys.append(UInt64(SortKey.key(of: bound(largest))) << 32 | UInt64(~place))
      }
    }
    return keys.sorted(by: >)
  }

  /// The largest score that the other steps can make of the first one's log-probability.
  private func bound(_ first: Float) -> Float { levels.largest.dropFirst().reduce(first, +) }

  /// The rows of an ordered block, or nil where none of them can reach a threshold.
  @inline(__always)
  func rows(of block: UInt64, reaching threshold: Float) -> Range<Int>? {
    let bound = SortKey.value(ofKey: UInt32(truncatingIfNeeded: block >> 32))
    guard bound >= threshold else { return nil }
    let lower = Int(~UInt32(truncatingIfNeeded: block)) * blockSize
    return lower..<min(lower + blockSize, table.identifierCount)
  }

  /// Each step's column and log-probabilities.
  func steps(_ values: UnsafeBufferPointer<Float>) -> [ScanStep<Code>] {
    (0..<table.identifierLength).map { step in
      ScanStep<Code>(
        codes: table.column(step, as: Code.self),
        values: UnsafeBufferPointer(
          rebasing: values[Int(table.levelOffsets[step])..<Int(table.levelOffsets[step + 1])]))
    }
  }

  /// Offers the rows that reach the threshold, of every so many of the ordered blocks.
  func offer(
    _ order: ArraySlice<UInt64>, from first: Int, by stride: Int, ofTable index: Int,
    to ranking: inout CollisionRanking
  ) {
    levels.values.withUnsafeBufferPointer { values in
      let steps = steps(values)
      withUnsafeTemporaryAllocation(of: Float.self, capacity: blockSize) { sums in
        for place in Swift.stride(from: order.startIndex + first, to: order.endIndex, by: stride) {
          guard let rows = rows(of: order[place], reaching: ranking.threshold) else { return }
          for (number, step) in steps.enumerated() {
            let codes = step.codes(of: rows)
            if number == 0 {
              for row in codes.indices { sums[row] = step[codes[row]] }
            } else {
              for row in codes.indices { sums[row] += step[codes[row]] }
            }
          }
          for row in 0..<rows.count where sums[row] >= ranking.threshold {
            ranking.offer(row: rows.lowerBound + row, ofTable: index, score: sums[row])
          }
        }
      }
    }
  }

  /// Offers only the rows that have an allowed document, for sets that are small.
  func visit(
    _ allowed: DocumentSet, _ documents: Range<Int>, ofTable index: Int,
    to ranking: inout CollisionRanking
  ) {
    levels.values.withUnsafeBufferPointer { values in
      let steps = steps(values)
      var (row, behind) = (0, documents.lowerBound)
      allowed.forEach(in: documents) { document in
        // The other documents of a row stand beside its first.
        guard document >= behind else { return }
        row = table.identifier(ofDocument: document - documents.lowerBound, from: row)
        behind = documents.lowerBound + table.documents(ofRows: row..<row + 1).upperBound
        let score = steps.score(row)
        if score >= ranking.threshold { ranking.offer(row: row, ofTable: index, score: score) }
      }
    }
  }
}

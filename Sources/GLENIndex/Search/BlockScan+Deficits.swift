import CGLENKernels

extension BlockScan {
  /// Offers the rows that reach the threshold, of every so many of the ordered blocks, and looks at
  /// the scores of only those whose deficits allow it.
  func offer(
    _ order: ArraySlice<UInt64>, from first: Int, by stride: Int, _ deficits: Deficits,
    ofTable index: Int, to ranking: inout CollisionRanking
  ) {
    levels.values.withUnsafeBufferPointer { values in
      let steps = steps(values)
      withDeficitTable(deficits) { deficitTable in
        withUnsafeTemporaryAllocation(of: UInt32.self, capacity: blockSize) { found in
          for block in Swift.stride(from: order.startIndex + first, to: order.endIndex, by: stride)
          {
            guard let rows = rows(of: order[block], reaching: ranking.threshold) else { return }
            let count = glen_scan_deficits(
              deficitTable, rows.lowerBound, rows.upperBound,
              Int(deficits.limit(ranking.threshold)), found.baseAddress)
            for number in 0..<count {
              let row = rows.lowerBound + Int(found[number])
              let score = steps.score(row)
              if score >= ranking.threshold {
                ranking.offer(row: row, ofTable: index, score: score)
              }
            }
          }
        }
      }
    }
  }

  /// The table's columns and their deficits as the inner loop reads them.
  private func withDeficitTable(
    _ deficits: Deficits, _ body: (UnsafePointer<glen_deficit_table>) -> Void
  ) {
    deficits.values.withUnsafeBufferPointer { values in
      let steps = (0..<table.identifierLength).map { step in
        glen_deficit_step(
          codes: table.column(step, as: Code.self).baseAddress,
          deficits: UnsafeBufferPointer(rebasing: values[Int(table.levelOffsets[step])...])
            .baseAddress,
          last: UInt32(table.levelTokens(step).count - 1))
      }
      steps.withUnsafeBufferPointer { steps in
        var table = glen_deficit_table(
          count: Int32(steps.count), code_bytes: Int32(MemoryLayout<Code>.size),
          steps: steps.baseAddress)
        body(&table)
      }
    }
  }
}

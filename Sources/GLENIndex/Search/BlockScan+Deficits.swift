extension BlockScan {
  /// How many blocks go through a step together, so that its deficits stay in the first cache.
  private var batchSize: Int { 16 }

  /// Offers the rows that reach the threshold, of every so many of the ordered blocks, and looks at
  /// the scores of only those whose deficits allow it.
  func offer(
    _ order: ArraySlice<UInt64>, from first: Int, by stride: Int, _ deficits: Deficits,
    ofTable index: Int, to ranking: inout CollisionRanking
  ) {
    // Whole words of four sums.
    let width = (blockSize + 3) & ~3
    levels.values.withUnsafeBufferPointer { values in
      let steps = steps(values)
      withUnsafeTemporaryAllocation(of: UInt16.self, capacity: batchSize * width) { sums in
        sums.initialize(repeating: 0)
        var place = order.startIndex + first
        while place < order.endIndex {
          var batch: [Range<Int>] = []
          batch.reserveCapacity(batchSize)
          while batch.count < batchSize, place < order.endIndex,
            let rows = rows(of: order[place], reaching: ranking.threshold)
          {
            batch.append(rows)
            place += stride
          }
          guard !batch.isEmpty else { return }
          addUp(batch, deficits, into: sums, width: width)
          for (number, rows) in batch.enumerated() {
            // The last block may be shorter than the others.
            let words = number * width..<number * width + (rows.count + 3) & ~3
            offer(
              rows, UnsafeBufferPointer(rebasing: sums[words]), deficits, steps, ofTable: index,
              to: &ranking)
          }
        }
      }
    }
  }

  /// Adds up the deficits of the rows of some blocks, step by step.
  private func addUp(
    _ batch: [Range<Int>], _ deficits: Deficits, into sums: UnsafeMutableBufferPointer<UInt16>,
    width: Int
  ) {
    deficits.values.withUnsafeBufferPointer { values in
      for step in 0..<table.identifierLength {
        let column = table.column(step, as: Code.self)
        let values = UnsafeBufferPointer(rebasing: values[Int(table.levelOffsets[step])...])
        let last = Code(clamping: table.levelTokens(step).count - 1)
        // Behind the last code the values go on for as far as a code of 16 bits can reach.
        func deficit(_ code: Code) -> UInt16 {
          UInt16(values[Int(Code.bitWidth == 16 ? code : min(code, last))])
        }
        for (number, rows) in batch.enumerated() {
          let codes = UnsafeBufferPointer(rebasing: column[rows])
          let sums = UnsafeMutableBufferPointer(
            rebasing: sums[number * width..<number * width + codes.count])
          if step > 0 {
            for row in codes.indices { sums[row] &+= deficit(codes[row]) }
            continue
          }
          // Rows are sorted, so in a large table many have the same first code.
          for start in Swift.stride(from: 0, to: codes.count, by: 64) {
            let part = start..<min(start + 64, codes.count)
            if codes[start] == codes[part.upperBound - 1] {
              sums[part].update(repeating: deficit(codes[start]))
            } else {
              for row in part { sums[row] = deficit(codes[row]) }
            }
          }
        }
      }
    }
  }

  /// Offers the rows of a block whose sums are small enough, sixteen at a time: four words of four
  /// sums, whose highest bits stay set by the subtraction where a sum is not above the limit.
  private func offer(
    _ rows: Range<Int>, _ sums: UnsafeBufferPointer<UInt16>, _ deficits: Deficits,
    _ steps: [ScanStep<Code>], ofTable index: Int, to ranking: inout CollisionRanking
  ) {
    let words = UnsafeRawBufferPointer(sums)
    var limit = deficits.limit(ranking.threshold)
    var limits = UInt64(limit | 0x8000) &* 0x0001_0001_0001_0001
    for start in Swift.stride(from: 0, to: sums.count, by: 16) {
      let end = min(start + 16, sums.count)
      var reached: UInt64 = 0
      for word in Swift.stride(from: start, to: end, by: 4) {
        reached |= limits &- words.loadUnaligned(fromByteOffset: 2 * word, as: UInt64.self)
      }
      guard reached & 0x8000_8000_8000_8000 != 0 else { continue }
      for row in start..<min(end, rows.count) where sums[row] <= limit {
        let place = rows.lowerBound + row
        guard ranking.allows(row: place, ofTable: index) else { continue }
        let score = steps.score(place)
        guard score >= ranking.threshold else { continue }
        ranking.offer(row: place, ofTable: index, score: score)
        limit = deficits.limit(ranking.threshold)
        limits = UInt64(limit | 0x8000) &* 0x0001_0001_0001_0001
      }
    }
  }
}

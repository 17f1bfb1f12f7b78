import GLENTensor

extension OperationCase {
  /// The largest scores of rows of codes, on a device that is a `CodeScanner`.
  static let searches: [OperationCase] = list {
    for (rows, counts, width, queries) in [
      (1, [1], 2, 1), (300, [7, 19], 2, 3), (5000, [40, 90, 800], 2, 9),
      (70_001, [60, 70_000], 4, 2),
    ] {
      for isFiltered in [false, true] {
        let extents = "\(rows) rows of \(counts.count), \(queries) queries"
        OperationCase("search", extents + (isFiltered ? " filtered" : ""), tolerance: 1e-300) {
          bench in
          guard let scanner = bench.backend as? any CodeScanner else { return }
          let codes = counts.map { bench.integers(rows, in: 0..<Int32($0)) }
          let values = bench.values(queries * counts.reduce(0, +), in: -9...0)
          let words = bench.integers((rows + 31) / 32, in: Int32.min..<Int32.max)
          let allowed = words.map { UInt32(bitPattern: $0) | 1 }
          let limit = min(20, rows)
          let found = try withColumns(codes, width: width) { columns in
            try scanner.scan(
              of: CodeColumns(
                columns: columns, codeWidth: width, rows: rows, codeCounts: counts)
            ).largest(
              limit, of: values, queries: queries, allowed: isFiltered ? allowed : nil)
          }
          for query in 0..<queries {
            let expected = scores(codes, counts, values, query: query)
              .filter { !isFiltered || allowed[$0.row / 32] >> UInt32($0.row % 32) & 1 == 1 }
              .sorted { ($0.score, $1.row) > ($1.score, $0.row) }
            // None has so many ties that a device may give it back to the processor.
            let best = (found[query] ?? []).sorted { ($0.score, $1.row) > ($1.score, $0.row) }
            bench.expect(
              "rows of query \(query)", best.prefix(limit).map { Float($0.row) },
              expected.prefix(limit).map { Double($0.row) })
            bench.expect(
              "scores of query \(query)", best.prefix(limit).map(\.score),
              expected.prefix(limit).map { Double($0.score) })
          }
        }
      }
    }
  }

  /// Every row's score for a query, in single precision and in the order of the steps.
  private static func scores(
    _ codes: [[Int32]], _ counts: [Int], _ values: [Float], query: Int
  ) -> [ScoredRow] {
    codes[0].indices.map { row in
      var (score, first) = (Float(0), query * counts.reduce(0, +))
      for (step, count) in counts.enumerated() {
        score += values[first + Int(codes[step][row])]
        first += count
      }
      return ScoredRow(row: row, score: score)
    }
  }

  /// Columns of 2 or 4 bytes a code.
  private static func withColumns<Value>(
    _ codes: [[Int32]], width: Int, _ body: ([UnsafeRawBufferPointer]) throws -> Value
  ) throws -> Value {
    let short = codes.flatMap { $0.map { UInt16(truncatingIfNeeded: $0) } }
    let bytes = codes.flatMap { $0 }
    func columns(_ all: UnsafeRawBufferPointer) -> [UnsafeRawBufferPointer] {
      let size = width * codes[0].count
      return codes.indices.map {
        UnsafeRawBufferPointer(rebasing: all[$0 * size..<($0 + 1) * size])
      }
    }
    if width == 2 { return try short.withUnsafeBytes { try body(columns($0)) } }
    return try bytes.withUnsafeBytes { try body(columns($0)) }
  }
}

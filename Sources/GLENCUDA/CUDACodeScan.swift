import CGLENCUDA
import GLENTensor

extension CUDABackend: CodeScanner {
  /// Copies rows to the device.
  public func scan(of columns: CodeColumns) throws(TensorError) -> any CodeScan {
    try CUDACodeScan(columns, on: self)
  }
}

/// Rows of codes in device memory.
final class CUDACodeScan: CodeScan {
  /// How many rows with one score, beside those that were asked for, are worth keeping.
  private static let ties = 32
  /// The queries that share a tile, `GLEN_SEARCH_LANES`.
  private static let lanes = 8
  /// The rows of a group that are kept: groups are so many that few hold two of the best.
  private static let depth = 4

  private let backend: CUDABackend
  private let rows: Int, codeWidth: Int, stride: Int, steps: Int, codes: Int
  private let columns: Region, offsets: Region
  /// The fewest groups where there are more rows, and the most for a query alone.
  private let leastGroups: Int, mostGroups: Int

  /// Copies rows to a device.
  ///
  /// - Parameter leastGroups: how many groups of rows there are at least, where there are rows.
  /// - Throws: `TensorError.outOfMemory`.
  init(
    _ codes: CodeColumns, on backend: CUDABackend, leastGroups: Int = 16_384
  ) throws(TensorError) {
    self.backend = backend
    (rows, codeWidth, steps) = (codes.rows, codes.codeWidth, codes.columns.count)
    (self.leastGroups, mostGroups) = (leastGroups, 4 * leastGroups)
    // An even number of codes, so that each column begins at a whole word.
    stride = (codes.rows + 1) / 2 * 2
    let columnWords = stride * codes.codeWidth / 4
    columns = Region(try Storage(byteCount: 4 * columnWords * steps, on: backend))
    for (step, column) in codes.columns.enumerated() {
      backend.upload(column, to: columns.advanced(by: step * columnWords))
    }
    var ends: [Int32] = [0]
    for count in codes.codeCounts { ends.append(ends[ends.count - 1] + Int32(count)) }
    self.codes = Int(ends[ends.count - 1])
    offsets = Region(try Storage(byteCount: 4 * ends.count, on: backend))
    ends.withUnsafeBytes { backend.upload($0, to: offsets) }
  }

  /// For each query its best rows with all that score the same.
  func largest(
    _ count: Int, of values: [Float], queries: Int, allowed: [UInt32]?
  ) throws(TensorError) -> [[ScoredRow]?] {
    let groups = groupCount(for: count, queries: queries)
    // A query beyond the grid's height, or with hardly a group for each row that is wanted.
    guard queries > 0, queries < 1 << 16, count <= groups / 2 || groups >= rows else {
      return [[ScoredRow]?](repeating: nil, count: queries)
    }
    let lanes = queries == 1 ? 1 : Self.lanes
    var arguments = glen_search()
    arguments.columns = UnsafeRawPointer(columns.address)
    arguments.offsets = UnsafePointer(offsets.address.assumingMemoryBound(to: Int32.self))
    (arguments.rows, arguments.stride, arguments.steps) = (rows, stride, steps)
    (arguments.code_width, arguments.codes, arguments.lanes) = (codeWidth, codes, lanes)
    (arguments.queries, arguments.groups) = (queries, groups)
    arguments.slots = min(count + count / 4 + Self.ties, groups)
    arguments.depth = Self.depth
    let bits = try allowed.map { words throws(TensorError) in
      try uploaded(words, byteCount: 4 * words.count)
    }
    arguments.allowed = bits.map {
      UnsafePointer($0.address.assumingMemoryBound(to: UInt32.self))
    }
    let given = try uploaded(values, byteCount: 4 * values.count)
    let tables = lanes == 1 ? given : try self.tables(given, queries: queries)
    arguments.tables = UnsafePointer(tables.address.assumingMemoryBound(to: Float.self))
    // Whatever the kernels read outlives the launches: the stream orders its reuse.
    return try withExtendedLifetime((bits, given, tables)) { () throws(TensorError) in
      try largest(count, &arguments)
    }
  }

  /// How many groups the rows are in: enough that the best rows seldom meet in one, and that a query
  /// alone keeps the whole device at work.
  private func groupCount(for count: Int, queries: Int) -> Int {
    let wanted = max(leastGroups, min(16 * count, 16 * leastGroups), mostGroups / queries)
    return (min(rows, wanted) + Kernel.threads - 1) / Kernel.threads * Kernel.threads
  }

  private func memory(words: Int) throws(TensorError) -> Region {
    Region(try Storage(byteCount: 4 * words, on: backend))
  }

  private func uploaded<Word>(_ words: [Word], byteCount: Int) throws(TensorError) -> Region {
    let region = try memory(words: byteCount / 4)
    words.withUnsafeBytes { backend.upload($0, to: region) }
    return region
  }

  /// The values in tiles of queries.
  private func tables(_ values: Region, queries: Int) throws(TensorError) -> Region {
    let padded = (queries + Self.lanes - 1) / Self.lanes * Self.lanes
    let tables = try memory(words: padded * codes)
    backend.launchEach(
      .searchTiles, count: padded * codes, .at(values), .count(queries), .count(codes), .at(tables))
    return tables
  }

  /// Runs the three kernels and reads what they found.
  private func largest(
    _ count: Int, _ arguments: inout glen_search
  ) throws(TensorError) -> [[ScoredRow]?] {
    let (queries, slots) = (arguments.queries, arguments.slots)
    let maxima = try memory(words: queries * arguments.groups)
    let groups = try memory(words: queries * slots)
    let thresholds = try memory(words: queries)
    // What is read back lies together: how many groups reach a query's threshold, how many rows of
    // each slot do, and the rows with their scores.
    let places = queries * slots * Self.depth
    let results = try memory(words: queries + queries * slots + 2 * places)
    let counts = results.advanced(by: queries)
    let found = counts.advanced(by: queries * slots)
    launch(
      arguments.lanes == 1 ? .searchMaximaOne : .searchMaximaMany,
      blocks: (
        arguments.groups / Kernel.threads, (queries + arguments.lanes - 1) / arguments.lanes
      ), &arguments, .at(maxima))
    launch(
      .searchGroups, blocks: (queries, 1), &arguments, .at(maxima), .count(count), .at(groups),
      .at(results), .at(thresholds))
    launch(
      .searchCollect, blocks: (slots, queries), &arguments, .at(groups), .at(results),
      .at(thresholds), .at(counts), .at(found), .at(found.advanced(by: places)))
    var words = [UInt32](repeating: 0, count: queries + queries * slots + 2 * places)
    try Self.download(results, into: &words)
    return withExtendedLifetime((maxima, groups, thresholds)) {
      (0..<queries).map { query in Self.rows(of: query, queries, slots: slots, in: words) }
    }
  }

  private static func download(_ region: Region, into words: inout [UInt32]) throws(TensorError) {
    // The closure's error is erased by `withUnsafeMutableBytes`, and a typed one wanted.
    let result = words.withUnsafeMutableBytes { bytes in
      Result { () throws(TensorError) in
        try region.storage.backend.download(region, into: bytes)
      }
    }
    try result.get()
  }

  /// A query's rows, or nil where a slot or the slots did not suffice.
  private static func rows(
    of query: Int, _ queries: Int, slots: Int, in words: [UInt32]
  ) -> [ScoredRow]? {
    let groups = Int(words[query])
    guard groups <= slots else { return nil }
    let (counts, places) = (queries + query * slots, queries * slots * depth)
    var rows: [ScoredRow] = []
    for slot in 0..<groups {
      let count = Int(words[counts + slot])
      guard count <= depth else { return nil }
      let first = queries + queries * slots + (query * slots + slot) * depth
      for place in first..<first + count {
        rows.append(
          ScoredRow(row: Int(words[place]), score: Float(bitPattern: words[place + places])))
      }
    }
    return rows
  }

  /// Starts a kernel whose first argument says what is searched.
  private func launch(
    _ kernel: Kernel, blocks: (x: Int, y: Int), _ search: inout glen_search,
    _ arguments: KernelArgument...
  ) {
    var words = arguments.map(\.bits)
    withUnsafeMutablePointer(to: &search) { search in
      words.withUnsafeMutableBytes { bytes in
        var addresses = [UnsafeMutableRawPointer?(UnsafeMutableRawPointer(search))]
        addresses += arguments.indices.map { index in bytes.baseAddress.map { $0 + 8 * index } }
        backend.start(kernel, blocks: (blocks.x, blocks.y, 1), &addresses)
      }
    }
  }
}

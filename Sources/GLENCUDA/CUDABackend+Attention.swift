import CGLENCUDA
import GLENTensor

/// One of attention's kernels, for many rows of narrow heads, for few, and for wide heads.
private struct Shapes {
  let many: Kernel, few: Kernel, wide: Kernel

  static let output = Shapes(many: .outputMany, few: .outputFew, wide: .outputWide)
  static let queries = Shapes(many: .queriesMany, few: .queriesFew, wide: .queriesWide)
  static let keys = Shapes(many: .keysMany, few: .keysFew, wide: .keysWide)
  static let values = Shapes(many: .valuesMany, few: .valuesFew, wide: .valuesWide)

  /// The kernel, the rows of its tiles, and the columns of a head that one block computes.
  func kernel(headWidth: Int, longest: Int) -> (kernel: Kernel, rows: Int, columns: Int) {
    if headWidth > 64 { return (wide, 16, 768) }
    return longest > 16 ? (many, 64, 64) : (few, 16, 64)
  }
}

extension CUDABackend {
  /// Multi-head attention; a block for each tile of queries of each head of each sequence.
  public func attention(_ a: AttentionArguments) {
    var operands = Self.operands(a)
    attend(.output, &operands, a, longest: a.longestQueries, into: a.output, accumulating: false)
  }

  /// The gradients of `attention`; the probabilities are computed again from the kept sums.
  public func attentionBackward(_ a: AttentionArguments, _ g: AttentionGradients) {
    var operands = Self.operands(a)
    operands.doutput = Self.floats(g.dOutput)
    // Without a query, too, keys and values have gradients to set.
    withScratch(floats: max(a.heads * a.totalQueries, 1)) { delta in
      let rowsOfBlock = Kernel.threads / 32
      launch(
        .attentionDelta,
        blocks: ((a.heads * a.totalQueries + rowsOfBlock - 1) / rowsOfBlock, 1, 1), .at(a.output),
        .at(g.dOutput), .address(delta), .count(a.heads), .count(a.headWidth),
        .count(a.totalQueries))
      operands.delta = UnsafePointer(delta.assumingMemoryBound(to: Float.self))
      queriesBackward(&operands, a, g)
      attend(
        .keys, &operands, a, longest: a.longestKeys, into: g.dKeys,
        accumulating: g.accumulatingKeys)
      attend(
        .values, &operands, a, longest: a.longestKeys, into: g.dValues,
        accumulating: g.accumulatingValues)
    }
  }

  /// The gradients of the queries and of the bias, which is the sum of the scores' by distance: first
  /// within each tile, then over the tiles, then over the distances of a bucket.
  private func queriesBackward(
    _ operands: inout glen_attention, _ a: AttentionArguments, _ g: AttentionGradients
  ) {
    guard let dBias = g.dBias, let bias = a.bias else {
      attend(
        .queries, &operands, a, longest: a.longestQueries, into: g.dQueries,
        accumulating: g.accumulatingQueries)
      return
    }
    let rows = Shapes.queries.kernel(headWidth: a.headWidth, longest: a.longestQueries).rows
    let tiles = (a.longestQueries + rows - 1) / rows * a.sequences
    let distances = 2 * bias.reach + 1
    let width = a.heads * distances
    withScratch(floats: (tiles + 1) * width) { memory in
      let sums = memory + 4 * tiles * width
      fill(memory, with: 0, count: tiles * width)
      operands.distances = memory.assumingMemoryBound(to: Float.self)
      attend(
        .queries, &operands, a, longest: a.longestQueries, into: g.dQueries,
        accumulating: g.accumulatingQueries)
      operands.distances = nil
      launchEach(
        .attentionDistances, count: width, .address(memory), .count(tiles), .address(sums),
        .count(width))
      launch(
        .attentionBias, blocks: (a.heads, 1, 1), .address(sums), .at(bias.bucketOfDistance),
        .count(distances), .count(a.heads), .at(dBias))
    }
  }

  private func attend(
    _ shapes: Shapes, _ operands: inout glen_attention, _ a: AttentionArguments, longest: Int,
    into result: Region, accumulating: Bool
  ) {
    let (kernel, rows, columns) = shapes.kernel(headWidth: a.headWidth, longest: longest)
    let tiles = (longest + rows - 1) / rows
    operands.tiles = tiles
    operands.result = result.address.assumingMemoryBound(to: Float.self)
    operands.accumulates = accumulating ? 1 : 0
    withUnsafeMutablePointer(to: &operands) { operands in
      var arguments: [UnsafeMutableRawPointer?] = [UnsafeMutableRawPointer(operands)]
      launch(
        kernel,
        blocks: (tiles * a.sequences, a.heads, (a.headWidth + columns - 1) / columns), &arguments)
    }
  }

  private static func operands(_ a: AttentionArguments) -> glen_attention {
    var operands = glen_attention()
    operands.queries = floats(a.queries)
    operands.keys = floats(a.keys)
    operands.values = floats(a.values)
    operands.query_offsets = integers(a.queryOffsets)
    operands.key_offsets = integers(a.keyOffsets)
    operands.log_sums = a.logSums.address.assumingMemoryBound(to: Float.self)
    operands.heads = a.heads
    operands.head_width = a.headWidth
    operands.all_queries = a.totalQueries
    operands.causal = a.isCausal ? 1 : 0
    if let bias = a.bias {
      operands.bias = floats(bias.table)
      operands.buckets = integers(bias.bucketOfDistance)
      operands.reach = bias.reach
    }
    if let dropout = a.dropout {
      operands.drops = 1
      operands.mask_row = dropout.firstRow
      operands.numbers_per_row = AttentionArguments.randomNumbersPerRow
      operands.rate = dropout.rate
      operands.seed = dropout.key.seed
      operands.stream = dropout.key.stream
    }
    return operands
  }

  private static func floats(_ region: Region) -> UnsafePointer<Float> {
    UnsafePointer(region.address.assumingMemoryBound(to: Float.self))
  }

  private static func integers(_ region: Region) -> UnsafePointer<Int32> {
    UnsafePointer(region.address.assumingMemoryBound(to: Int32.self))
  }
}

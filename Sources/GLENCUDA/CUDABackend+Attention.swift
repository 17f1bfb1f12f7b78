import CGLENCUDA
import GLENTensor
import Synchronization

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
    widen(a.bias?.table)
    forgetRounded(a.output, a.logSums)
    if !isSingle(a), roundedAttention(a) { return }
    var operands = Self.operands(a)
    operands.result = Self.target(a.output)
    widen(a.queries)
    guard isSingle(a) else {
      widen(a.keys, a.values)
      return attend(.output, &operands, a, longest: a.longestQueries)
    }
    let count = a.totalQueries * a.heads * a.headWidth
    let copy = roundedTarget(a.output, count: count)
    operands.rounded = Self.halves(copy)
    launchSingles(.attentionOne, .attentionOneWide, &operands, a)
    keep(copy, of: a.output, count: count)
  }

  /// The gradients of `attention`; the probabilities are computed again from the kept sums.
  public func attentionBackward(_ a: AttentionArguments, _ g: AttentionGradients) {
    widen(a.bias?.table)
    forgetRounded(g.dQueries, g.dKeys, g.dValues, g.dBias)
    if !isSingle(a), roundedAttentionBackward(a, g) { return }
    var operands = Self.operands(a, g)
    widen(a.queries, a.output, g.dOutput)
    guard isSingle(a) else {
      widen(a.keys, a.values)
      return tiledBackward(&operands, a, g)
    }
    let count = a.totalQueries * a.heads * a.headWidth
    let copy = roundedTarget(g.dQueries, count: count)
    operands.rounded = Self.halves(copy)
    withDistances(&operands, a, g, tiles: a.sequences, clearing: false) { operands in
      launchSingles(.attentionOneBackward, .attentionOneBackwardWide, &operands, a)
    }
    keep(copy, of: g.dQueries, count: count)
  }

  /// Keys and values for single queries: read as bfloat16 where they are there so alone.
  private func findKeys(
    _ a: AttentionArguments, _ operands: inout glen_attention, _ kept: inout RoundedFactors
  ) {
    let count = a.totalKeys * a.heads * a.headWidth
    func halves(_ region: Region) -> UnsafePointer<UInt16>? {
      let copy = aloneCopy(of: region, count: count, kept)
      if copy == nil { widen(region.storage, &kept) }
      return UnsafePointer(Self.halves(copy))
    }
    operands.half_keys = halves(a.keys)
    operands.half_values = halves(a.values)
  }

  /// The gradients by tiles: those of the queries, then those of keys and values.
  private func tiledBackward(
    _ operands: inout glen_attention, _ a: AttentionArguments, _ g: AttentionGradients
  ) {
    // Without a query, too, keys and values have gradients to set.
    withScratch(floats: max(a.heads * a.totalQueries, 1)) { delta in
      let rowsOfBlock = Kernel.threads / 32
      launch(
        .attentionDelta,
        blocks: ((a.heads * a.totalQueries + rowsOfBlock - 1) / rowsOfBlock, 1, 1),
        .input(a.output), .input(g.dOutput), .address(delta), .count(a.heads),
        .count(a.headWidth), .count(a.totalQueries))
      operands.delta = delta.assumingMemoryBound(to: Float.self)
      let rows = Shapes.queries.kernel(headWidth: a.headWidth, longest: a.longestQueries).rows
      let tiles = (a.longestQueries + rows - 1) / rows * a.sequences
      withDistances(&operands, a, g, tiles: tiles) { operands in
        attend(.queries, &operands, a, longest: a.longestQueries)
      }
      (operands.result, operands.accumulates) = (operands.keys_result, operands.accumulates_keys)
      attend(.keys, &operands, a, longest: a.longestKeys)
      operands.result = operands.values_result
      operands.accumulates = operands.accumulates_values
      attend(.values, &operands, a, longest: a.longestKeys)
    }
  }

  /// The bias's gradient is the sum of the scores' by distance: first within each tile, by the
  /// kernel that `body` starts, then over the tiles, then over the distances of a bucket.
  ///
  /// `clearing` is for kernels that write only the distances that occur.
  func withDistances(
    _ operands: inout glen_attention, _ a: AttentionArguments, _ g: AttentionGradients, tiles: Int,
    clearing: Bool = true, _ body: (inout glen_attention) -> Void
  ) {
    guard let dBias = g.dBias, let bias = a.bias else { return body(&operands) }
    let distances = 2 * bias.reach + 1
    let width = a.heads * distances
    withScratch(floats: (tiles + 1) * width) { memory in
      let sums = memory + 4 * tiles * width
      if clearing { fill(memory, with: 0, count: tiles * width) }
      operands.distances = memory.assumingMemoryBound(to: Float.self)
      body(&operands)
      operands.distances = nil
      launch(
        .attentionDistances, blocks: ((width + 31) / 32, 1, 1), .address(memory), .count(tiles),
        .address(sums), .count(width))
      launch(
        .attentionBias, blocks: (a.heads, 1, 1), .address(sums), .at(bias.bucketOfDistance),
        .count(distances), .count(a.heads), .at(dBias))
    }
  }

  /// Whether no sequence has more than one query, as in a rollout.
  private func isSingle(_ a: AttentionArguments) -> Bool {
    a.longestQueries <= 1 && a.headWidth <= Self.widestHead
  }

  /// What the lanes of a warp have registers for.
  static let widestHead = 768

  private func attend(
    _ shapes: Shapes, _ operands: inout glen_attention, _ a: AttentionArguments, longest: Int
  ) {
    let (kernel, rows, columns) = shapes.kernel(headWidth: a.headWidth, longest: longest)
    let tiles = (longest + rows - 1) / rows
    operands.tiles = tiles
    launch(
      kernel, &operands,
      blocks: (tiles * a.sequences, a.heads, (a.headWidth + columns - 1) / columns))
  }

  func launchSingles(
    _ narrow: Kernel, _ wide: Kernel, _ operands: inout glen_attention, _ a: AttentionArguments
  ) {
    let kernel = a.headWidth <= 64 ? narrow : wide
    roundedFactors.withLock { kept in
      findKeys(a, &operands, &kept)
      launch(kernel, &operands, blocks: (a.sequences, a.heads, 1), threads: 128)
    }
  }

  func launch(
    _ kernel: Kernel, _ operands: inout glen_attention, blocks: (x: Int, y: Int, z: Int),
    threads: Int = Kernel.threads
  ) {
    withUnsafeMutablePointer(to: &operands) { operands in
      var arguments: [UnsafeMutableRawPointer?] = [UnsafeMutableRawPointer(operands)]
      start(kernel, blocks: blocks, threads: threads, &arguments)
    }
  }

  /// The operands of the gradients' kernels.
  static func operands(_ a: AttentionArguments, _ g: AttentionGradients) -> glen_attention {
    var operands = operands(a)
    operands.doutput = floats(g.dOutput)
    operands.result = target(g.dQueries)
    operands.accumulates = g.accumulatingQueries ? 1 : 0
    operands.keys_result = target(g.dKeys)
    operands.accumulates_keys = g.accumulatingKeys ? 1 : 0
    operands.values_result = target(g.dValues)
    operands.accumulates_values = g.accumulatingValues ? 1 : 0
    return operands
  }

  /// What the kernels of both directions read.
  static func operands(_ a: AttentionArguments) -> glen_attention {
    var operands = glen_attention()
    operands.queries = floats(a.queries)
    operands.keys = floats(a.keys)
    operands.values = floats(a.values)
    operands.query_offsets = integers(a.queryOffsets)
    operands.key_offsets = integers(a.keyOffsets)
    operands.output = floats(a.output)
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
    UnsafePointer(target(region))
  }

  static func halves(_ memory: UnsafeMutableRawPointer?) -> UnsafeMutablePointer<UInt16>? {
    memory?.assumingMemoryBound(to: UInt16.self)
  }

  static func target(_ region: Region) -> UnsafeMutablePointer<Float> {
    region.address.assumingMemoryBound(to: Float.self)
  }

  static func integers(_ region: Region) -> UnsafePointer<Int32> {
    UnsafePointer(region.address.assumingMemoryBound(to: Int32.self))
  }
}

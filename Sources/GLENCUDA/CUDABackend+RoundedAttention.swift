import CGLENCUDA
import GLENTensor
import Synchronization

/// Attention with factors of bfloat16, on the matrix units; `Kernels/attention_bf16.cu`.
extension CUDABackend {
  /// Rows and columns of a tile.
  private static let tile = 64

  /// Whether its kernels take such heads, and regions that can be rounded.
  private func isRoundable(_ a: AttentionArguments) -> Bool {
    precision == .bfloat16 && a.headWidth <= Self.tile && a.headWidth % 8 == 0
      && a.totalQueries > 0 && a.totalKeys > 0
      && [a.queries, a.keys, a.values, a.output].allSatisfy { $0.offset % 4 == 0 }
  }

  /// The output; false, with nothing done, where these kernels do not take it or there is no memory
  /// for the factors.
  func roundedAttention(_ a: AttentionArguments) -> Bool {
    guard isRoundable(a) else { return false }
    let count = a.totalQueries * a.heads * a.headWidth
    let copy = roundedTarget(a.output, count: count)
    let isAlone = isAlone(copy, count: count)
    var operands = Self.operands(a)
    operands.result = isAlone ? nil : Self.target(a.output)
    operands.rounded = Self.halves(copy)
    let isDone = withFactors(&operands, a) { operands in
      launch(.outputRounded, &operands, a, longest: a.longestQueries)
    }
    if isDone {
      keep(copy, of: a.output, count: count, isAlone: isAlone)
    } else if let copy {
      giveBack(copy, byteCount: 2 * count)
    }
    return isDone
  }

  /// The gradients: of the queries, with the sums of output times its gradient, then of keys and values.
  func roundedAttentionBackward(_ a: AttentionArguments, _ g: AttentionGradients) -> Bool {
    guard isRoundable(a), g.dOutput.offset % 4 == 0 else { return false }
    var isDone = false
    let tiles = (a.longestQueries + Self.tile - 1) / Self.tile * a.sequences
    withScratch(floats: a.heads * a.totalQueries) { delta in
      var operands = Self.operands(a, g)
      operands.delta = delta.assumingMemoryBound(to: Float.self)
      withDistances(&operands, a, g, tiles: tiles) { operands in
        isDone = writeGradients(&operands, a, g)
      }
    }
    return isDone
  }

  private func writeGradients(
    _ operands: inout glen_attention, _ a: AttentionArguments, _ g: AttentionGradients
  ) -> Bool {
    let width = a.heads * a.headWidth
    let (queries, keys) = (a.totalQueries * width, a.totalKeys * width)
    let copies = (
      roundedTarget(g.dQueries, count: queries), roundedTarget(g.dKeys, count: keys),
      roundedTarget(g.dValues, count: keys)
    )
    let areAlone = (
      isAlone(copies.0, count: queries, accumulating: g.accumulatingQueries),
      isAlone(copies.1, count: keys, accumulating: g.accumulatingKeys),
      isAlone(copies.2, count: keys, accumulating: g.accumulatingValues)
    )
    operands.rounded = Self.halves(copies.0)
    operands.rounded_keys = Self.halves(copies.1)
    operands.rounded_values = Self.halves(copies.2)
    if areAlone.0 { operands.result = nil }
    if areAlone.1 { operands.keys_result = nil }
    if areAlone.2 { operands.values_result = nil }
    let isDone = withFactors(&operands, a, g.dOutput) { operands in
      launch(.queriesRounded, &operands, a, longest: a.longestQueries)
      launch(.keysRounded, &operands, a, longest: a.longestKeys)
    }
    guard isDone else {
      for (copy, count) in [(copies.0, queries), (copies.1, keys), (copies.2, keys)] {
        if let copy { giveBack(copy, byteCount: 2 * count) }
      }
      return false
    }
    keep(copies.0, of: g.dQueries, count: queries, isAlone: areAlone.0)
    keep(copies.1, of: g.dKeys, count: keys, isAlone: areAlone.1)
    keep(copies.2, of: g.dValues, count: keys, isAlone: areAlone.2)
    return true
  }

  private func launch(
    _ kernel: Kernel, _ operands: inout glen_attention, _ a: AttentionArguments, longest: Int
  ) {
    let tiles = (longest + Self.tile - 1) / Self.tile
    operands.tiles = tiles
    launch(kernel, &operands, blocks: (tiles * a.sequences, a.heads, 1), threads: 128)
  }

  /// Starts kernels with the factors as bfloat16, rounded where nobody has done it; false where there is no
  /// memory for that, although other copies made room.
  private func withFactors(
    _ operands: inout glen_attention, _ a: AttentionArguments, _ dOutput: Region? = nil,
    _ start: (inout glen_attention) -> Void
  ) -> Bool {
    for isLast in [false, true] {
      let isDone = roundedFactors.withLock { kept in
        guard findFactors(&operands, a, dOutput, &kept) else { return false }
        start(&operands)
        if !rounding.keepsCopies {
          for region in [a.queries, a.keys, a.values, a.output, dOutput].compactMap(\.self) {
            forget(region.storage.key, &kept)
          }
        }
        return true
      }
      if isDone || isLast { return isDone }
      forgetAllRounded()
    }
    return false
  }

  private func findFactors(
    _ operands: inout glen_attention, _ a: AttentionArguments, _ dOutput: Region?,
    _ kept: inout RoundedFactors
  ) -> Bool {
    let width = a.heads * a.headWidth
    let (queries, keys) = (a.totalQueries * width, a.totalKeys * width)
    func found(_ region: Region, _ count: Int) -> UnsafePointer<UInt16>? {
      UnsafePointer(Self.halves(rounded(region, count: count, &kept)))
    }
    guard let q = found(a.queries, queries), let k = found(a.keys, keys),
      let v = found(a.values, keys)
    else { return false }
    (operands.half_queries, operands.half_keys, operands.half_values) = (q, k, v)
    guard let dOutput else { return true }
    guard let d = found(dOutput, queries), let o = found(a.output, queries) else { return false }
    (operands.half_doutput, operands.half_output) = (d, o)
    return true
  }
}

import CGLENKernels

/// The bias of one head for every distance, and how to index it for a sequence.
private struct HeadBias {
  let values: UnsafeMutablePointer<Float>
  let reach: Int

  /// Points at distance zero of query 0; see `attention.c`.
  func origin(queries: Int, keys: Int) -> UnsafeMutablePointer<Float> {
    values + (reach - (keys - queries))
  }
}

/// The rows of one sequence.
private struct Sequence {
  let firstQuery: Int, queries: Int, firstKey: Int, keys: Int

  init(_ a: AttentionArguments, _ index: Int) {
    let (q, k) = (a.queryOffsets.integers + index, a.keyOffsets.integers + index)
    firstQuery = Int(q[0])
    queries = Int(q[1] - q[0])
    firstKey = Int(k[0])
    keys = Int(k[1] - k[0])
  }
}

extension CPUBackend {
  /// Multi-head attention; each thread takes whole heads, or whole sequences if heads are few.
  public func attention(_ a: AttentionArguments) {
    let inner = a.heads * a.headWidth
    parallelHeads(a, area: Self.largestArea(a), areas: 1) { head, sequences, bias, scratch in
      let column = head * a.headWidth
      let logSums = a.logSums.floats + head * a.totalQueries
      for index in sequences {
        let s = Sequence(a, index)
        let q = a.queries.floats + s.firstQuery * inner + column
        let k = a.keys.floats + s.firstKey * inner + column
        let v = a.values.floats + s.firstKey * inner + column
        let out = a.output.floats + s.firstQuery * inner + column
        let origin = bias?.origin(queries: s.queries, keys: s.keys)
        if s.queries == 1 && a.dropout == nil {
          glen_attention_single(
            s.keys, a.headWidth, q, k, inner, v, inner, origin, scratch, out,
            logSums + s.firstQuery)
          continue
        }
        Self.blas(
          s.queries, s.keys, a.headWidth, transposeA: false, transposeB: true, a: q,
          aStride: inner, b: k, bStride: inner, c: scratch, cStride: s.keys)
        glen_attention_probabilities(
          s.queries, s.keys, a.isCausal ? 1 : 0, origin, scratch, logSums + s.firstQuery)
        Self.dropOut(a, head: head, s, scratch, into: scratch)
        Self.blas(
          s.queries, a.headWidth, s.keys, transposeA: false, transposeB: false, a: scratch,
          aStride: s.keys, b: v, bStride: inner, c: out, cStride: inner)
      }
    }
  }

  /// The gradients of `attention`; the probabilities are computed again from the kept sums.
  ///
  /// With P the probabilities: dV = Pᵀ dO, dP = dO Vᵀ, dS = P (dP - rowsum(dO O)),
  /// dQ = dS K, dK = dSᵀ Q, and the bias of a distance gets the sum of its dS.
  public func attentionBackward(_ a: AttentionArguments, _ g: AttentionGradients) {
    let inner = a.heads * a.headWidth
    let (area, areas) = (Self.largestArea(a), a.dropout == nil ? 2 : 3)
    parallelHeads(a, area: area, areas: areas) { head, sequences, bias, scratch in
      let column = head * a.headWidth
      let logSums = a.logSums.floats + head * a.totalQueries
      let dBias = g.dBias.flatMap { _ in bias.map { HeadBias(zeroed: $0.reach) } }
      let p = scratch
      let dp = scratch + area
      let dropped = scratch + 2 * area
      let delta = scratch + areas * area
      for index in sequences {
        let s = Sequence(a, index)
        let queryStart = s.firstQuery * inner + column
        let keyStart = s.firstKey * inner + column
        let q = a.queries.floats + queryStart
        let k = a.keys.floats + keyStart
        let v = a.values.floats + keyStart
        let dOut = g.dOutput.floats + queryStart
        let origin = bias?.origin(queries: s.queries, keys: s.keys)
        let dOrigin = dBias?.origin(queries: s.queries, keys: s.keys)
        if s.queries == 1 && a.dropout == nil {
          glen_attention_single_backward(
            s.keys, a.headWidth, q, k, v, inner, origin, logSums[s.firstQuery],
            a.output.floats + queryStart, dOut, g.dQueries.floats + queryStart,
            g.dKeys.floats + keyStart, g.dValues.floats + keyStart, dOrigin,
            g.accumulatingQueries ? 1 : 0, g.accumulatingKeys ? 1 : 0,
            g.accumulatingValues ? 1 : 0)
          continue
        }
        Self.blas(
          s.queries, s.keys, a.headWidth, transposeA: false, transposeB: true, a: q,
          aStride: inner, b: k, bStride: inner, c: p, cStride: s.keys)
        glen_attention_probabilities_again(
          s.queries, s.keys, a.isCausal ? 1 : 0, origin, logSums + s.firstQuery, p)
        Self.blas(
          s.queries, s.keys, a.headWidth, transposeA: false, transposeB: true, a: dOut,
          aStride: inner, b: v, bStride: inner, c: dp, cStride: s.keys)
        var weights = p
        if a.dropout != nil {
          Self.dropOut(a, head: head, s, p, into: dropped)
          Self.dropOut(a, head: head, s, dp, into: dp)
          weights = dropped
        }
        Self.blas(
          s.keys, a.headWidth, s.queries, transposeA: true, transposeB: false, a: weights,
          aStride: s.keys, b: dOut, bStride: inner, beta: g.accumulatingValues ? 1 : 0,
          c: g.dValues.floats + keyStart, cStride: inner)
        glen_strided_row_dot(
          s.queries, a.headWidth, inner, dOut, a.output.floats + queryStart, delta)
        glen_attention_scores_backward(s.queries, s.keys, p, delta, dp, dOrigin)
        Self.blas(
          s.queries, a.headWidth, s.keys, transposeA: false, transposeB: false, a: dp,
          aStride: s.keys, b: k, bStride: inner, beta: g.accumulatingQueries ? 1 : 0,
          c: g.dQueries.floats + queryStart, cStride: inner)
        Self.blas(
          s.keys, a.headWidth, s.queries, transposeA: true, transposeB: false, a: dp,
          aStride: s.keys, b: q, bStride: inner, beta: g.accumulatingKeys ? 1 : 0,
          c: g.dKeys.floats + keyStart, cStride: inner)
      }
      if let dBias, let table = g.dBias, let map = a.bias {
        for distance in 0...2 * dBias.reach {
          let bucket = Int(map.bucketOfDistance.integers[distance])
          table.floats[bucket * a.heads + head] += dBias.values[distance]
        }
        dBias.values.deallocate()
      }
    }
  }

  /// The elements of the largest sequence's score matrix.
  private static func largestArea(_ a: AttentionArguments) -> Int {
    (0..<a.sequences).lazy.map { Sequence(a, $0) }.map { $0.queries * $0.keys }.max() ?? 0
  }

  /// Calls `body` for every head and all its sequences, or parts of them, with the head's bias and
  /// scratch memory for some score matrices and a column.
  private func parallelHeads(
    _ a: AttentionArguments, area: Int, areas: Int,
    _ body: (Int, Range<Int>, HeadBias?, UnsafeMutablePointer<Float>) -> Void
  ) {
    let work = a.totalQueries * a.longestKeys * a.headWidth
    let grain = 1 + (1 << 16) / max(work, 1)
    func run(_ heads: Range<Int>, _ sequences: Range<Int>) {
      let scratch = UnsafeMutablePointer<Float>.allocate(
        capacity: areas * area + a.longestQueries)
      defer { scratch.deallocate() }
      let bias = a.bias.map { HeadBias(zeroed: $0.reach) }
      defer { bias?.values.deallocate() }
      for head in heads {
        if let bias, let source = a.bias {
          for distance in 0...2 * bias.reach {
            let bucket = Int(source.bucketOfDistance.integers[distance])
            bias.values[distance] = source.table.floats[bucket * a.heads + head]
          }
        }
        body(head, sequences, bias, scratch)
      }
    }
    // A bias's gradient is summed over a head's sequences in their order, by one thread.
    if a.heads < threadCount && a.bias == nil {
      parallel(a.sequences, grain: grain * a.sequences / max(a.heads, 1) + 1) {
        run(0..<a.heads, $0)
      }
    } else {
      parallel(a.heads, grain: grain) { run($0, 0..<a.sequences) }
    }
  }

  /// Drops probabilities; the number of an element depends only on row, head and key, so the
  /// backward makes the same mask again.
  private static func dropOut(
    _ a: AttentionArguments, head: Int, _ s: Sequence, _ x: UnsafeMutablePointer<Float>,
    into y: UnsafeMutablePointer<Float>
  ) {
    guard let dropout = a.dropout else { return }
    for row in 0..<s.queries {
      let number = (dropout.firstRow + s.firstQuery + row) * a.heads + head
      glen_dropout(
        number * AttentionArguments.randomNumbersPerRow, s.keys, dropout.key.seed,
        dropout.key.stream, dropout.rate, x + row * s.keys,
        y + row * s.keys, 0)
    }
  }
}

extension HeadBias {
  /// A bias of zero for distances up to `reach`; the caller frees it.
  init(zeroed reach: Int) {
    self.reach = reach
    values = .allocate(capacity: 2 * reach + 1)
    values.initialize(repeating: 0, count: 2 * reach + 1)
  }
}

import GLENTensor

extension OperationCase {
  private static let key = RandomKey(seed: 77, stream: 5)

  /// Packed sequences of different lengths, with and without bias, causality and dropout.
  static let attentionSettings: [AttentionSetting] = [
    AttentionSetting(queryLengths: [1], keyLengths: [1], heads: 1, headWidth: 1),
    AttentionSetting(queryLengths: [3, 1, 7], keyLengths: [3, 1, 7]),
    AttentionSetting(
      queryLengths: [5, 2, 30], keyLengths: [5, 2, 30], heads: 3, headWidth: 5,
      bias: (8, true)),
    AttentionSetting(
      queryLengths: [5, 40, 1], keyLengths: [5, 40, 1], bias: (6, false), isCausal: true),
    AttentionSetting(queryLengths: [9, 17], keyLengths: [9, 17], headWidth: 17, isCausal: true),
    // Cross attention: more keys than queries, fewer, one query.
    AttentionSetting(queryLengths: [2, 6, 1], keyLengths: [7, 3, 20]),
    AttentionSetting(queryLengths: [1, 1, 1], keyLengths: [7, 33, 20], heads: 4, headWidth: 16),
    // Cached decoding: the queries are the last positions.
    AttentionSetting(
      queryLengths: [1, 1], keyLengths: [4, 4], bias: (6, false), isCausal: true),
    AttentionSetting(
      queryLengths: [2, 3], keyLengths: [5, 9], bias: (6, false), isCausal: true),
    AttentionSetting(queryLengths: [4, 2], keyLengths: [2, 8], bias: (8, true)),
    AttentionSetting(
      queryLengths: [4, 1, 11], keyLengths: [4, 1, 11], bias: (8, true),
      dropout: DropoutMask(rate: 0.3, key: key)),
    AttentionSetting(
      queryLengths: [3, 1], keyLengths: [8, 5], heads: 3, isCausal: true,
      dropout: DropoutMask(rate: 0.5, key: key, firstRow: 5)),
    AttentionSetting(
      queryLengths: [70, 66], keyLengths: [70, 66], heads: 5, headWidth: 64, bias: (32, true),
      maximumDistance: 128),
    // Several tiles of queries and of keys.
    AttentionSetting(
      queryLengths: [130, 3], keyLengths: [133, 66], headWidth: 24, bias: (8, true),
      isCausal: true, dropout: DropoutMask(rate: 0.2, key: key, firstRow: 1000)),
    AttentionSetting(
      queryLengths: [1, 0, 1], keyLengths: [90, 6, 3], headWidth: 64, bias: (32, false),
      dropout: DropoutMask(rate: 0.2, key: key, firstRow: 7)),
    AttentionSetting(queryLengths: [1, 1], keyLengths: [40, 3], heads: 1, headWidth: 130),
    // Wide heads: the states themselves are keys and values.
    AttentionSetting(
      queryLengths: [9, 1, 18], keyLengths: [30, 70, 5], headWidth: 96, bias: (8, true),
      dropout: DropoutMask(rate: 0.3, key: key)),
    AttentionSetting(queryLengths: [3, 17], keyLengths: [67, 17], headWidth: 100, isCausal: true),
    AttentionSetting(queryLengths: [2], keyLengths: [5], heads: 1, headWidth: 800),
    AttentionSetting(queryLengths: [], keyLengths: []),
  ]

  /// attention and attentionBackward.
  public static let attentions: [OperationCase] = list {
    for s in attentionSettings {
      for adds in [(false, false, false), (true, true, true), (true, false, true)] {
        OperationCase(
          "attention", "\(s.description) adding \(adds.0) \(adds.1) \(adds.2)",
          tolerance: 2e-5 + 2e-8 * Double(s.headWidth)
        ) { bench in try run(s, adds: adds, on: bench) }
      }
    }
  }

  private static func run(
    _ s: AttentionSetting, adds: (Bool, Bool, Bool), on bench: Workbench
  ) throws {
    let range: ClosedRange<Float> = -1...1
    let q = bench.values(s.totalQueries * s.inner, in: range)
    let k = bench.values(s.totalKeys * s.inner, in: range)
    let v = bench.values(s.totalKeys * s.inner, in: range)
    let table = bench.values((s.bias?.buckets ?? 0) * s.heads)
    let dOut = bench.values(q.count)
    let output = try bench.output(q.count)
    let logSums = try bench.output(s.heads * s.totalQueries)
    func offsets(_ lengths: [Int]) -> [Int32] {
      lengths.reduce(into: [0]) { $0.append(($0.last ?? 0) + Int32($1)) }
    }
    let buckets = s.bias.map { bias in
      (-s.reach...s.reach).map {
        Int32(
          Reference.bucket(
            distance: $0, buckets: bias.buckets, isBidirectional: bias.isBidirectional,
            maximumDistance: s.maximumDistance))
      }
    }
    let arguments = AttentionArguments(
      sequences: s.queryLengths.count, heads: s.heads, headWidth: s.headWidth,
      longestQueries: s.longestQueries, longestKeys: s.longestKeys, totalQueries: s.totalQueries,
      totalKeys: s.totalKeys, isCausal: s.isCausal, queries: try bench.region(q),
      keys: try bench.region(k), values: try bench.region(v),
      queryOffsets: try bench.region(offsets(s.queryLengths)),
      keyOffsets: try bench.region(offsets(s.keyLengths)),
      bias: try buckets.map {
        AttentionArguments.Bias(
          table: try bench.region(table), bucketOfDistance: try bench.region($0), reach: s.reach)
      },
      dropout: s.dropout, output: output, logSums: logSums)
    bench.backend.attention(arguments)
    let (dq, oldQ) = try bench.destination(q.count, accumulating: adds.0)
    let (dk, oldK) = try bench.destination(k.count, accumulating: adds.1)
    let (dv, oldV) = try bench.destination(v.count, accumulating: adds.2)
    let (dBias, oldBias) = try bench.destination(table.count, accumulating: true)
    bench.backend.attentionBackward(
      arguments,
      AttentionGradients(
        dOutput: try bench.region(dOut), dQueries: dq, dKeys: dk, dValues: dv,
        accumulatingQueries: adds.0, accumulatingKeys: adds.1, accumulatingValues: adds.2,
        dBias: s.bias == nil ? nil : dBias))

    func wide(_ x: [Float]) -> [Double] { x.map(Double.init) }
    let forward = Reference.attention(s, q: wide(q), k: wide(k), v: wide(v), table: wide(table))
    try bench.expect("output", output, forward.output)
    try bench.expect("logSums", logSums, forward.logSums)
    let backward = Reference.attentionGradients(
      s, q: wide(q), k: wide(k), v: wide(v), table: wide(table), dOut: wide(dOut))
    try bench.expect("dQueries", dq, zip(oldQ, backward.q).map(+))
    try bench.expect("dKeys", dk, zip(oldK, backward.k).map(+))
    try bench.expect("dValues", dv, zip(oldV, backward.v).map(+))
    try bench.expect("dBias", dBias, zip(oldBias, backward.table).map(+))
  }
}

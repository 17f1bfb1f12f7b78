import GLENTestSupport
import Testing

@testable import GLENTensor

@Suite("Attention")
struct AttentionTests {
  @Test(arguments: [
    (32, true, 128), (32, false, 128), (8, true, 20), (6, false, 20), (16, true, 64),
    (4, true, 100), (2, false, 7),
  ])
  func bucketsAreThoseOfT5(buckets: Int, isBidirectional: Bool, maximumDistance: Int) {
    for distance in -200...200 {
      let bucket = RelativePositionBias.bucket(
        distance: distance, buckets: buckets, isBidirectional: isBidirectional,
        maximumDistance: maximumDistance)
      let expected = Reference.bucket(
        distance: distance, buckets: buckets, isBidirectional: isBidirectional,
        maximumDistance: maximumDistance)
      #expect(bucket == expected, "distance \(distance)")
    }
  }

  /// Some values by hand: T5's 32 buckets, 128 positions.
  @Test func bucketsHaveTheKnownEdges() {
    func both(_ distance: Int) -> Int {
      RelativePositionBias.bucket(
        distance: distance, buckets: 32, isBidirectional: true, maximumDistance: 128)
    }
    #expect(
      [0, -1, -7, -8, -15, -16, -127, -128, -200].map(both) == [0, 1, 7, 8, 9, 10, 15, 15, 15])
    #expect([1, 7, 8, 12, 200].map(both) == [17, 23, 24, 25, 31])
  }

  private let width = 12
  private let heads = 3

  private func random(_ shape: [Int], _ seed: UInt64) throws -> Tensor {
    var generator = SeededGenerator(RandomKey(seed: seed))
    return try Tensor(
      (0..<shape.product).map { _ in Float.random(in: -1...1, using: &generator) }, shape: shape)
  }

  /// What a decoder computes with a cache, a query at a time, is what it computes at once.
  @Test func cachedDecodingIsTheWholeAtOnce() throws {
    let length = 6
    let (q, k, v) = try (random([6, 12], 1), random([6, 12], 2), random([6, 12], 3))
    let bias = try RelativePositionBias(
      table: random([8, 3], 4), length: length, isBidirectional: false, maximumDistance: 16)
    let all = try SequenceOffsets(lengths: [length])
    let whole = try attention(
      queries: q, keys: k, values: v, heads: heads, queryOffsets: all, keyOffsets: all, bias: bias,
      isCausal: true
    ).values()
    for step in 0..<length {
      let seen = try TokenIDs((0...Int32(step)).map { $0 })
      let one = try SequenceOffsets(lengths: [1])
      let output = try attention(
        queries: gather(q, rows: TokenIDs([Int32(step)])), keys: gather(k, rows: seen),
        values: gather(v, rows: seen), heads: heads, queryOffsets: one,
        keyOffsets: SequenceOffsets(lengths: [step + 1]), bias: bias, isCausal: true
      ).values()
      for (value, expected) in zip(output, whole[step * width..<(step + 1) * width]) {
        #expect(abs(value - expected) < 1e-6)
      }
    }
  }

  /// A dropout so rare that nothing is dropped takes the way of matrix products.
  @Test func theSingleQueryIsTheGeneralCase() throws {
    let lengths = [9, 1, 30]
    let model = try [
      random([3, 12], 1), random([40, 12], 2), random([40, 12], 3), random([8, 3], 4),
    ]
    let seed = try random([3, 12], 5)
    let results = try [nil, DropoutMask(rate: 1e-9, key: RandomKey(seed: 1))].map { dropout in
      let (values, pullback) = try valueWithPullback(of: model) { x in
        let bias = try RelativePositionBias(
          table: x[3], length: 30, isBidirectional: true, maximumDistance: 16)
        return [
          try attention(
            queries: x[0], keys: x[1], values: x[2], heads: heads,
            queryOffsets: SequenceOffsets(lengths: [1, 1, 1]),
            keyOffsets: SequenceOffsets(lengths: lengths), bias: bias, dropout: dropout)
        ]
      }
      let gradients = try pullback([seed])
      return try [values[0].values()]
        + ["0", "1", "2", "3"].map { try gradients[$0]?.values() ?? [] }
    }
    for (single, general) in zip(results[0], results[1]) {
      #expect(single.count == general.count && !single.isEmpty)
      #expect(zip(single, general).allSatisfy { abs($0 - $1) < 2e-6 })
    }
  }

  /// Sequences in one batch do not see each other.
  @Test func packingIsAttentionByItself() throws {
    let lengths = [4, 1, 7]
    let x = try random([12, 12], 8)
    let offsets = try SequenceOffsets(lengths: lengths)
    let packed = try attention(
      queries: x, keys: x, values: x, heads: heads, queryOffsets: offsets, keyOffsets: offsets
    ).values()
    var first = 0
    for length in lengths {
      let rows = try gather(x, rows: TokenIDs((first..<first + length).map { Int32($0) }))
      let own = try SequenceOffsets(lengths: [length])
      let output = try attention(
        queries: rows, keys: rows, values: rows, heads: heads, queryOffsets: own, keyOffsets: own
      ).values()
      for (value, expected) in zip(output, packed[first * width..<(first + length) * width]) {
        #expect(abs(value - expected) < 1e-6)
      }
      first += length
    }
  }

  @Test func threadsDoNotChangeDropout() throws {
    let outputs = try [1, 2, 3].map { threads in
      let backend = CPUBackend(threadCount: threads)
      let x = try random([70, 12], 8).moved(to: backend)
      let offsets = try SequenceOffsets(lengths: [30, 40], on: backend)
      return try attention(
        queries: x, keys: x, values: x, heads: heads, queryOffsets: offsets, keyOffsets: offsets,
        dropout: DropoutMask(rate: 0.5, key: RandomKey(seed: 3))
      ).values()
    }
    #expect(outputs[0] == outputs[1] && outputs[0] == outputs[2])
  }

  @Test func hugeScoresStayFinite() throws {
    let q = try Tensor([3e4, -3e4], shape: [2, 1])
    let v = try Tensor([1, 2], shape: [2, 1])
    let offsets = try SequenceOffsets(lengths: [2])
    let (values, pullback) = try valueWithPullback(of: [q, v]) {
      [
        try attention(
          queries: $0[0], keys: $0[0], values: $0[1], heads: 1, queryOffsets: offsets,
          keyOffsets: offsets)
      ]
    }
    #expect(try values[0].values() == [1, 2])
    let gradients = try pullback([Tensor([1, 1], shape: [2, 1])])
    #expect(try gradients["0"]?.values() == [0, 0])
    #expect(try gradients["1"]?.values() == [1, 1])
  }
}

import GLENTensor
import Testing

@testable import GLENModel

@Suite("Cross-attention") struct CrossAttentionTests {
  /// One step's mix of values, and its gradients, in one of the two ways.
  private static func mix(
    readsStates: Bool, dropout: Float = 0
  ) throws -> (value: [Float], gradients: Gradients) {
    let model = try SmallModel.make()
    let c = model.configuration
    let texts = SmallModel.texts(5)
    let batch = try SmallModel.batch(texts)
    var generator = SeededGenerator(RandomKey(seed: 3))
    let normed = try Tensor(
      (0..<5 * c.width).map { _ in Float.random(in: -1...1, using: &generator) },
      shape: [5, c.width])
    let one = try SequenceOffsets(lengths: [1, 1, 1, 1, 1], on: model.backend)
    let (values, pullback) = try valueWithPullback(of: model) { model in
      let attention = try T5CrossAttention(
        model.decoder.blocks.map(\.crossAttention), heads: c.heads, encoded: model.encode(batch),
        offsets: batch.offsets, steps: 3, readsStates: readsStates)
      let key = RandomKey(seed: 9)
      let mixes = try (0..<3).map {
        try attention(
          normed, block: $0, offsets: one, dropout: DropoutMask(rate: dropout, key: key))
      }
      return [try add(mixes[0], add(mixes[1], mixes[2]), scale: 0.5)]
    }
    let seed = try Tensor(
      (0..<values[0].count).map { _ in Float.random(in: -1...1, using: &generator) },
      shape: values[0].shape)
    return (try values[0].values(), try pullback([seed]))
  }

  /// With dropout too: the masks are the same.
  @Test(arguments: [0, 0.4] as [Float])
  func bothWaysAgreeWithTheirGradients(dropout: Float) throws {
    let (projected, states) = (
      try Self.mix(readsStates: false, dropout: dropout),
      try Self.mix(readsStates: true, dropout: dropout)
    )
    #expect(relativeDifference(projected.value, states.value) < 1e-5)
    #expect(projected.gradients.tensors.keys.sorted() == states.gradients.tensors.keys.sorted())
    #expect(projected.gradients["decoder.block.1.layer.1.EncDecAttention.k.weight"] != nil)
    for (name, gradient) in projected.gradients.tensors {
      let other = try #require(states.gradients[name])
      #expect(
        relativeDifference(try gradient.values(), try other.values()) < 2e-5, "\(name)")
    }
  }

  @Test func droppingChangesTheMixOfBoth() throws {
    for readsStates in [false, true] {
      let (kept, dropped) = (
        try Self.mix(readsStates: readsStates),
        try Self.mix(readsStates: readsStates, dropout: 0.5)
      )
      #expect(relativeDifference(kept.value, dropped.value) > 1e-2)
    }
  }

  @Test func longTextsAreReadAndShortOnesProjected() {
    func reads(_ tokens: Int, _ sequences: Int, steps: Int = 3) -> Bool {
      T5CrossAttention.readsStates(
        tokens: tokens, sequences: sequences, steps: steps, heads: 12, inner: 768, width: 768)
    }
    #expect(!reads(12, 1))
    #expect(reads(156, 1))
    #expect(reads(16 * 12, 16))
    // A question of a few words among many, and generation of a long text.
    #expect(!reads(4 * 64, 64, steps: 7))
    #expect(!reads(156, 1, steps: 100))
  }
}

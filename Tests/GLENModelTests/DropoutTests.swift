import GLENTensor
import Testing

@testable import GLENModel

struct DropoutTests {
  private static func states(_ dropout: Dropout, isGated: Bool = false) throws -> [Float] {
    try SmallModel.make(isGated: isGated)
      .rollout(SmallModel.batch(SmallModel.texts(4)), steps: 3, dropout: dropout).values()
  }

  @Test(arguments: [false, true])
  func theKeyDecides(isGated: Bool) throws {
    let dropout = Dropout(rate: 0.3, key: RandomKey(seed: 8))
    let first = try Self.states(dropout, isGated: isGated)
    #expect(try Self.states(dropout, isGated: isGated) == first)
    for key in [RandomKey(seed: 9), RandomKey(seed: 8, stream: 1), RandomKey(seed: 8).split(0)] {
      let other = try Self.states(Dropout(rate: 0.3, key: key), isGated: isGated)
      #expect(relativeDifference(other, first) > 1e-2)
    }
  }

  @Test func noRateIsNoDropout() throws {
    let plain = try Self.states(.none)
    #expect(try Self.states(Dropout(rate: 0, key: RandomKey(seed: 8))) == plain)
    #expect(try Self.states(Dropout(rate: 0.1, key: RandomKey(seed: 8))) != plain)
  }

  /// Steps, stacks and texts drop in places of their own: the zeros of the final states differ.
  @Test func everyPlaceDropsForItself() throws {
    let model = try SmallModel.make()
    let dropout = Dropout(rate: 0.4, key: RandomKey(seed: 2))
    let batch = try SmallModel.batch([[5], [5], [5], [5]])
    let encoded = try model.encode(batch, dropout: dropout.split(0)).values()
    let states = try model.rollout(batch, steps: 2, dropout: dropout).values()
    let width = SmallModel.configuration().width
    // [text][step] and the encoder: which elements of a row are zero.
    var patterns: [[Bool]] = (0..<8).map { row in
      states[row * width..<(row + 1) * width].map { $0 == 0 }
    }
    patterns += (0..<4).map { row in encoded[row * width..<(row + 1) * width].map { $0 == 0 } }
    #expect(Set(patterns).count == 12)
  }

  /// The final states are dropped last, so about the rate of them is zero.
  @Test func theShareOfZerosIsTheRate() throws {
    let model = try SmallModel.make()
    let batch = try SmallModel.batch((0..<64).map { _ in [Int32](repeating: 5, count: 20) + [1] })
    for rate: Float in [0.1, 0.5] {
      let values = try model.encode(batch, dropout: Dropout(rate: rate, key: RandomKey(seed: 3)))
        .values()
      let share = Float(values.count { $0 == 0 }) / Float(values.count)
      #expect(abs(share - rate) < 0.02)
    }
  }

  /// A part of a batch that knows its place drops what it drops in the whole.
  @Test func aPartDropsAsInTheWhole() throws {
    let model = try SmallModel.make()
    let texts = SmallModel.texts(6)
    var dropout = Dropout(rate: 0.3, key: RandomKey(seed: 8))
    let whole = try model.rollout(SmallModel.batch(texts), steps: 3, dropout: dropout).values()
    let row = whole.count / 6
    for range in [0..<2, 2..<3, 3..<6] {
      dropout.tokensBefore = texts[..<range.lowerBound].reduce(0) { $0 + $1.count }
      dropout.sequencesBefore = range.lowerBound
      let part = try model.rollout(
        SmallModel.batch(Array(texts[range])), steps: 3, dropout: dropout
      ).values()
      let expected = Array(whole[range.lowerBound * row..<range.upperBound * row])
      #expect(relativeDifference(part, expected) < 1e-5)
      dropout.sequencesBefore += 1
      let elsewhere = try model.rollout(
        SmallModel.batch(Array(texts[range])), steps: 3, dropout: dropout
      ).values()
      #expect(relativeDifference(elsewhere, expected) > 1e-2)
    }
  }
}

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

  /// Each step and each layer drops elsewhere: equal texts in one batch differ, and so do steps.
  @Test func equalTextsAreDroppedDifferently() throws {
    let model = try SmallModel.make()
    let text: [Int32] = [5, 6, 7, 1]
    let states = try model.rollout(
      SmallModel.batch([text, text]), steps: 2, dropout: Dropout(rate: 0.3, key: RandomKey(seed: 2))
    ).values()
    let half = states.count / 2
    #expect(relativeDifference(Array(states[..<half]), Array(states[half...])) > 1e-2)
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
}

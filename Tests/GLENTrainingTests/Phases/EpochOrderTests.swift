import GLENTensor
import Testing

@testable import GLENTraining

struct EpochOrderTests {
  @Test func everyEpochHasEveryExampleOnceInAnotherOrder() {
    var order = EpochOrder(count: 20, key: RandomKey(seed: 1))
    var epochs: Set<[Int]> = []
    for epoch in 0..<10 {
      let seen = (0..<20).map { order.example(at: epoch * 20 + $0) }
      #expect(seen.sorted() == Array(0..<20))
      epochs.insert(seen)
    }
    #expect(epochs.count == 10)
  }

  /// A resumed run asks for positions that it has not come to step by step.
  @Test func anyPositionIsTheSameAskedAtAnyTime() {
    var forward = EpochOrder(count: 7, key: RandomKey(seed: 2))
    let all = (0..<70).map { forward.example(at: $0) }
    var generator = GLENTensor.SeededGenerator(RandomKey(seed: 3))
    var other = EpochOrder(count: 7, key: RandomKey(seed: 2))
    for position in (0..<70).shuffled(using: &generator) {
      #expect(other.example(at: position) == all[position])
    }
    var another = EpochOrder(count: 7, key: RandomKey(seed: 4))
    #expect((0..<70).map { another.example(at: $0) } != all)
  }

  @Test func oneExampleIsAlwaysItself() {
    var order = EpochOrder(count: 1, key: RandomKey(seed: 1))
    #expect((0..<5).map { order.example(at: $0) } == [0, 0, 0, 0, 0])
  }

  @Test func droppingKeepsTheLastTokenAndHalfOfTheTexts() {
    var generator = GLENTensor.SeededGenerator(RandomKey(seed: 5))
    let tokens = (0..<50).map { Int32($0) }
    var whole = 0
    var kept = 0
    for _ in 0..<1000 {
      let result = droppingTokens(tokens, rate: 0.2, using: &generator)
      #expect(result.last == 49 && result == result.sorted() && Set(result).count == result.count)
      if result == tokens { whole += 1 } else { kept += result.count - 1 }
    }
    #expect(abs(whole - 500) < 95)
    #expect(abs(Double(kept) / Double(1000 - whole) - 0.8 * 49) < 1)
    #expect(droppingTokens(tokens, rate: 0, using: &generator) == tokens)
    #expect(droppingTokens([1], rate: 0.9, using: &generator) == [1])
    #expect(droppingTokens([], rate: 0.9, using: &generator) == [])
  }
}

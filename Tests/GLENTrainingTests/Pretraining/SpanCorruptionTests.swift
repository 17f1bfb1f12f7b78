import GLENTensor
import Testing

@testable import GLENTraining

@Suite("Span corruption") struct SpanCorruptionTests {
  private static let sentinels = (0..<100).map { Int32(1099 - $0) }

  /// The text that an example stands for: each sentinel of the input replaced by its span.
  private static func restored(_ example: (input: [Int32], target: [Int32])) -> [Int32] {
    var spans: [Int32: [Int32]] = [:]
    var current: Int32 = 0
    for token in example.target.dropLast() {
      if token >= 1000 { current = token } else { spans[current, default: []].append(token) }
    }
    return example.input.dropLast().flatMap { $0 >= 1000 ? spans[$0] ?? [] : [$0] }
  }

  @Test func inputAndTargetTogetherAreTheText() throws {
    var generator = GLENTensor.SeededGenerator(RandomKey(seed: 4))
    let corruption = SpanCorruption(rate: 0.15, meanLength: 3, sentinels: Self.sentinels)
    for length in [2, 3, 7, 20, 72, 500] {
      let tokens = (0..<length).map { Int32(10 + $0) }
      let example = try #require(corruption.example(of: tokens, using: &generator))
      #expect(Self.restored(example) == tokens)
      #expect(example.input.last == 1 && example.target.last == 1)
      let found = example.input.filter { $0 >= 1000 }
      #expect(found == Array(Self.sentinels.prefix(found.count)))
      #expect(example.target.filter { $0 >= 1000 } == found)
    }
  }

  @Test func theShareAndTheLengthAreThoseAskedFor() throws {
    var generator = GLENTensor.SeededGenerator(RandomKey(seed: 5))
    let corruption = SpanCorruption(rate: 0.15, meanLength: 3, sentinels: Self.sentinels)
    let tokens = (0..<400).map { Int32(10 + $0) }
    var firsts: Set<Int32> = []
    for _ in 0..<50 {
      let example = try #require(corruption.example(of: tokens, using: &generator))
      #expect(example.target.filter { $0 < 1000 }.count == 60 + 1)
      #expect(example.target.filter { $0 >= 1000 }.count == 20)
      firsts.insert(example.target[1])
    }
    // The places are drawn, not fixed.
    #expect(firsts.count > 5)
  }

  @Test func aTextOfOneTokenHasNothingToTakeOut() {
    var generator = GLENTensor.SeededGenerator(RandomKey(seed: 6))
    let corruption = SpanCorruption(rate: 0.15, meanLength: 3, sentinels: Self.sentinels)
    #expect(corruption.example(of: [9], using: &generator) == nil)
    #expect(corruption.example(of: [], using: &generator) == nil)
  }
}

import GLENTensor
import Testing

@testable import GLENTraining

struct PrefixNegativeSamplerTests {
  private typealias Generator = GLENTensor.SeededGenerator

  /// Scans all documents: what the sampler must agree with.
  private struct Naive {
    var identifiers: [[Int32]?]

    /// How many tokens of the positive's identifier a document's begins with; 0 where unknown.
    func shared(_ positive: Int, _ document: Int) -> Int {
      guard let own = identifiers[positive], let other = identifiers[document] else { return 0 }
      return zip(own, other).prefix { $0 == $1 }.count
    }
  }

  private static func update(
    _ sampler: inout PrefixNegativeSampler, _ naive: inout Naive, _ document: Int,
    _ identifier: [Int32]
  ) {
    sampler.update(document, identifier: identifier[...])
    naive.identifiers[document] = identifier
  }

  /// Thousands of updates and draws: after each, the draw must be one that a scan could have made.
  @Test(arguments: [1, 3, 5])
  func drawsWhatAScanWouldDraw(length: Int) {
    let documents = 60
    var random = Generator(RandomKey(seed: 11, stream: UInt64(length)))
    var sampler = PrefixNegativeSampler(documentCount: documents, identifierLength: length)
    var naive = Naive(identifiers: [[Int32]?](repeating: nil, count: documents))
    var fullBuckets = 0
    for round in 0..<4000 {
      // Few tokens, so that buckets are large, and at times a single one for all.
      let tokens: Int32 = round % 400 < 20 ? 1 : 3
      let document = Int.random(in: 0..<documents, using: &random)
      let identifier = (0..<length).map { _ in Int32.random(in: 0..<tokens, using: &random) }
      Self.update(&sampler, &naive, document, identifier)

      let positive = Int.random(in: 0..<documents, using: &random)
      let excluded = Set(
        (0..<Int.random(in: 0...3, using: &random)).map { _ in
          Int.random(in: 0..<documents, using: &random)
        })
      let count = Int.random(in: 0...12, using: &random)
      let key = RandomKey(seed: UInt64(round))
      var generator = Generator(key)
      let drawn = sampler.negatives(
        for: positive, count: count, excluding: excluded, using: &generator)
      var again = Generator(key)
      let repeated = sampler.negatives(
        for: positive, count: count, excluding: excluded, using: &again)
      guard drawn == repeated, drawn.count == count, Set(drawn).count == count,
        !drawn.contains(positive), excluded.isDisjoint(with: drawn)
      else {
        Issue.record("round \(round): \(drawn) for \(positive), not \(excluded)")
        return
      }
      // The longest prefixes first, and as many of each as there are.
      let free = (0..<documents).filter { $0 != positive && !excluded.contains($0) }
      let best = free.map { naive.shared(positive, $0) }.sorted(by: >).prefix(count)
      let got = drawn.map { naive.shared(positive, $0) }
      // What no prefix gives is drawn at random, so below one shared token anything goes.
      guard got.map({ max($0, 0) }) == Array(best) else {
        Issue.record("round \(round): shared \(got), a scan finds \(Array(best))")
        return
      }
      if let first = got.first, first == length { fullBuckets += 1 }
      #expect(sampler.identifier(of: positive) == naive.identifiers[positive])
    }
    #expect(fullBuckets > 400)
    #expect(
      sampler.table == naive.identifiers.flatMap { $0 ?? [Int32](repeating: -1, count: length) })
  }

  /// A document that has moved is in no bucket of its old identifier.
  @Test func nothingStaleIsDrawn() {
    var sampler = PrefixNegativeSampler(documentCount: 100, identifierLength: 2)
    for document in 0..<50 { sampler.update(document, identifier: [7, 7]) }
    for document in 1..<49 { sampler.update(document, identifier: [8, Int32(document)]) }
    var generator = Generator(RandomKey(seed: 1))
    for _ in 0..<200 {
      let drawn = sampler.negatives(for: 0, count: 1, excluding: [], using: &generator)
      #expect(drawn == [49])
    }
    for document in [49, 0] { sampler.update(document, identifier: [9, 9]) }
    #expect(sampler.negatives(for: 0, count: 1, excluding: [], using: &generator) == [49])
    let others = sampler.negatives(for: 5, count: 47, excluding: [], using: &generator)
    #expect(Set(others) == Set(1..<49).subtracting([5]))
  }

  /// All documents of a bucket are equally likely, whether it is searched by trial or shuffled.
  @Test(arguments: [6, 200])
  func allOfABucketAreDrawnAlike(size: Int) {
    var sampler = PrefixNegativeSampler(documentCount: 2 * size, identifierLength: 1)
    for document in 0...size { sampler.update(document, identifier: [4]) }
    var generator = Generator(RandomKey(seed: 2))
    var counts = [Int](repeating: 0, count: 2 * size)
    let draws = 300 * size
    for _ in 0..<draws {
      for document in sampler.negatives(for: 0, count: 1, excluding: [], using: &generator) {
        counts[document] += 1
      }
    }
    #expect(counts[0] == 0 && counts[(size + 1)...].allSatisfy { $0 == 0 })
    // Six standard deviations of 300 expected draws.
    #expect(counts[1...size].allSatisfy { abs($0 - 300) < 104 })
  }

  /// A sampler that is restored draws what the original draws, however its buckets came to be.
  @Test func aRestoredSamplerIsTheSame() {
    var random = Generator(RandomKey(seed: 21))
    var sampler = PrefixNegativeSampler(documentCount: 40, identifierLength: 2)
    for _ in 0..<300 {
      let identifier = (0..<2).map { _ in Int32.random(in: 0..<2, using: &random) }
      sampler.update(Int.random(in: 0..<35, using: &random), identifier: identifier[...])
    }
    var restored = PrefixNegativeSampler(documentCount: 40, identifierLength: 2)
    restored.restore(sampler.state)
    for round in 0..<300 {
      #expect(restored.state == sampler.state)
      var (a, b) = (Generator(RandomKey(seed: 1)), Generator(RandomKey(seed: 1)))
      #expect(
        sampler.negatives(for: round % 40, count: 5, excluding: [3], using: &a)
          == restored.negatives(for: round % 40, count: 5, excluding: [3], using: &b))
      let identifier = (0..<2).map { _ in Int32.random(in: 0..<2, using: &random) }
      sampler.update(round % 40, identifier: identifier[...])
      restored.update(round % 40, identifier: identifier[...])
    }
    // A state of another size changes nothing, and one that is damaged does not trap.
    restored.restore([1, 2, 3])
    #expect(restored.state == sampler.state)
    restored.restore((0..<160).map { _ in Int32.random(in: -9...9, using: &random) })
    for document in 0..<40 { restored.update(document, identifier: [5, Int32(document % 3)]) }
    var generator = Generator(RandomKey(seed: 2))
    let drawn = restored.negatives(for: 0, count: 13, excluding: [], using: &generator)
    #expect(Set(drawn) == Set((1..<40).filter { $0 % 3 == 0 }))
  }

  @Test func aSmallCorpusGivesAllThatItHas() {
    var sampler = PrefixNegativeSampler(documentCount: 5, identifierLength: 2)
    sampler.update(0, identifier: [1, 2])
    sampler.update(3, identifier: [1, 3])
    var generator = Generator(RandomKey(seed: 3))
    let drawn = sampler.negatives(for: 0, count: 9, excluding: [0, 4], using: &generator)
    #expect(drawn.first == 3 && Set(drawn) == [1, 2, 3])
    #expect(sampler.negatives(for: 0, count: 9, excluding: Set(0..<5), using: &generator) == [])
    #expect(sampler.negatives(for: 0, count: 0, excluding: [], using: &generator) == [])
  }

  @Test func withoutPrefixesAllAreDrawn() {
    var sampler = PrefixNegativeSampler(documentCount: 40, identifierLength: 1)
    for document in 0..<2 { sampler.update(document, identifier: [4]) }
    var generator = Generator(RandomKey(seed: 4))
    var seen: Set<Int> = []
    for _ in 0..<400 {
      seen.formUnion(
        sampler.negatives(
          for: 0, count: 1, excluding: [2], usesPrefixes: false, using: &generator))
    }
    #expect(seen == Set(0..<40).subtracting([0, 2]))
  }

  @Test func ignoresIdentifiersOfAnotherLength() {
    var sampler = PrefixNegativeSampler(documentCount: 2, identifierLength: 2)
    sampler.update(0, identifier: [1])
    sampler.update(0, identifier: [1, 2, 3])
    #expect(sampler.identifier(of: 0) == nil)
  }

  /// The cost must not grow with the bucket: a step of training draws a thousand times.
  @Test func drawingFromAnEnormousBucketIsCheap() {
    let documents = 100_000
    var sampler = PrefixNegativeSampler(documentCount: documents, identifierLength: 3)
    for document in 0..<documents {
      sampler.update(document, identifier: [1, Int32(document % 2), 5])
    }
    var generator = Generator(RandomKey(seed: 5))
    let duration = ContinuousClock().measure {
      for round in 0..<2000 {
        let drawn = sampler.negatives(
          for: round, count: 8, excluding: [round + 1], using: &generator)
        #expect(drawn.count == 8)
        sampler.update(round, identifier: [1, Int32.random(in: 0...1, using: &generator), 6])
      }
    }
    // About 10 ms; a scan of the bucket would take seconds.
    #expect(duration < .seconds(1))
  }
}

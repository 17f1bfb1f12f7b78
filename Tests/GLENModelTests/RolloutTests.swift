import GLENTensor
import Testing

@testable import GLENModel

@Suite("Rollout") struct RolloutTests {
  private static let texts = SmallModel.texts(6)
  private static let width = SmallModel.configuration().width

  /// The states of some steps of every text, from `[batch, steps, width]`.
  private static func steps(_ range: Range<Int>, of states: Tensor) throws -> [Float] {
    let values = try states.values()
    let length = states.shape[1] * width
    return (0..<states.shape[0]).flatMap { text in
      values[text * length + range.lowerBound * width..<text * length + range.upperBound * width]
    }
  }

  @Test(arguments: [false, true])
  func laterStepsDoNotChangeEarlierOnes(isGated: Bool) throws {
    let model = try SmallModel.make(isGated: isGated)
    let batch = try SmallModel.batch(Self.texts)
    let five = try model.rollout(batch, steps: 5)
    #expect(five.shape == [6, 5, Self.width])
    for steps in 1...4 {
      let fewer = try model.rollout(batch, steps: steps)
      #expect(fewer.shape == [6, steps, Self.width])
      #expect(relativeDifference(try fewer.values(), try Self.steps(0..<steps, of: five)) < 1e-5)
    }
    // The steps are five different ones.
    for step in 1..<5 {
      let (left, right) = (
        try Self.steps(step - 1..<step, of: five), try Self.steps(step..<step + 1, of: five)
      )
      #expect(relativeDifference(left, right) > 1e-3)
    }
  }

  @Test func eachTextIsAloneInABatch() throws {
    let model = try SmallModel.make()
    let all = try model.rollout(SmallModel.batch(Self.texts), steps: 3).values()
    for (index, text) in Self.texts.enumerated() {
      let alone = try model.rollout(SmallModel.batch([text]), steps: 3).values()
      let own = Array(all[index * 3 * Self.width..<(index + 1) * 3 * Self.width])
      #expect(relativeDifference(alone, own) < 1e-5)
    }
  }

  @Test func theOrderInABatchDoesNotMatter() throws {
    let model = try SmallModel.make()
    var generator = SeededGenerator(RandomKey(seed: 5))
    let order = Array(Self.texts.indices).shuffled(using: &generator)
    let first = try model.rollout(SmallModel.batch(Self.texts), steps: 2).values()
    let second = try model.rollout(SmallModel.batch(order.map { Self.texts[$0] }), steps: 2)
      .values()
    let size = 2 * Self.width
    for (place, text) in order.enumerated() {
      let difference = relativeDifference(
        Array(second[place * size..<(place + 1) * size]),
        Array(first[text * size..<(text + 1) * size]))
      #expect(difference < 1e-5)
    }
  }

  @Test func theStateItselfIsFedBack() throws {
    let model = try SmallModel.make()
    let batch = try SmallModel.batch(Self.texts)
    var state = try model.startDecoding(
      model.encode(batch), offsets: batch.offsets, longest: 4)
    let start = try TokenIDs([Int32](repeating: 0, count: 6))
    var h = try gather(model.table, rows: start)
    let states = try model.rollout(batch, steps: 4)
    for step in 0..<4 {
      h = try state.advance(h)
      #expect(try h.values() == Self.steps(step..<step + 1, of: states))
    }
  }

  @Test func aRolloutNeedsAStep() throws {
    let model = try SmallModel.make()
    for steps in [0, -1] {
      #expect(throws: ModelError.self) {
        try model.rollout(SmallModel.batch(Self.texts), steps: steps)
      }
    }
  }

  /// Greedy decoding from nothing but rollouts that are fed whole prefixes.
  private static func naiveTokens(
    _ model: T5Model, _ texts: [[Int32]], steps: Int, mask: Tensor?
  ) throws -> [[Int32]] {
    try texts.map { text in
      let batch = try SmallModel.batch([text])
      var chosen: [Int32] = []
      for step in 1...steps {
        let states = try model.rollout(
          batch, steps: step, feedback: .tokens(chosen.map { try TokenIDs([$0]) }))
        let last = try Tensor(Self.steps(step - 1..<step, of: states), shape: [1, width])
        var logits = try model.logits(last).values()
        if let mask { logits = zip(logits, try mask.values()).map { $0 + $1 } }
        chosen.append(Int32(try #require(logits.indices.max { logits[$0] < logits[$1] })))
      }
      return chosen
    }
  }

  @Test func bestTokensAreThoseOfANaiveLoop() throws {
    let model = try SmallModel.make()
    var values = [Float](repeating: 0, count: 40)
    for token in [0, 1, 2, 37, 38, 39] { values[token] = -.infinity }
    let batch = try SmallModel.batch(Self.texts)
    for mask in [nil, try Tensor(values, shape: [40])] {
      let expected = try Self.naiveTokens(model, Self.texts, steps: 4, mask: mask)
      let states = try model.rollout(batch, steps: 4, feedback: .bestTokens(mask: mask))
      let found = try model.identifiers(states, mask: mask).tokens.values()
      #expect(found == expected.flatMap { $0 })
      // Feeding those tokens by name gives the same states.
      let fed = (0..<3).map { step in expected.map { $0[step] } }
      let named = try model.rollout(
        batch, steps: 4, feedback: .tokens(fed.map { try TokenIDs($0) }))
      #expect(try named.values() == states.values())
      // And not those of the method.
      let method = try model.rollout(batch, steps: 4)
      #expect(relativeDifference(try method.values(), try states.values()) > 1e-3)
    }
  }

  @Test func fedTokensMustBeEnough() throws {
    let model = try SmallModel.make()
    let batch = try SmallModel.batch(Self.texts)
    let row = try TokenIDs([Int32](repeating: 3, count: 6))
    let short = try TokenIDs([3])
    for rows in [[], [row], [row, short]] {
      #expect(throws: ModelError.self) {
        try model.rollout(batch, steps: 3, feedback: .tokens(rows))
      }
    }
    _ = try model.rollout(batch, steps: 3, feedback: .tokens([row, row]))
  }

  @Test func generationIsGreedyAndStopsAtTheEndToken() throws {
    // Texts without the end token. Its row becomes that of a token that one text reaches after
    // others and before others, made a little longer, so that it is chosen in that token's place.
    let texts = Self.texts.map { [$0.count > 4 ? 7 : 30] + $0.dropLast() }
    let batch = try SmallModel.batch(texts)
    var mask = [Float](repeating: 0, count: 40)
    mask[1] = -.infinity
    var found: (model: T5Model, expected: [[Int32]])?
    for seed in 1...300 as ClosedRange<UInt64> where found == nil {
      var model = try SmallModel.make(seed: seed)
      let free = try Self.naiveTokens(model, texts, steps: 6, mask: Tensor(mask, shape: [40]))
      let late = free.joined().first { token in
        free.contains { tokens in
          guard let place = tokens.firstIndex(of: token), place > 0 else { return false }
          return tokens[place...].contains { $0 != token }
        }
          && free.contains { !$0.contains(token) }
      }
      guard let late else { continue }
      var table = try model.table.values()
      for column in 0..<Self.width {
        table[Self.width + column] = 1.01 * table[Int(late) * Self.width + column]
      }
      model.table = try Tensor(table, shape: model.table.shape)
      found = (model, free.map { Array($0.prefix { $0 != late }) })
    }
    let (model, expected) = try #require(found)
    #expect(try model.generate(batch, maximumLength: 6) == expected)
    let shorter = expected.map { Array($0.prefix(2)) }
    #expect(try model.generate(batch, maximumLength: 2) == shorter)
    #expect(try model.generate(batch, maximumLength: 0) == texts.map { _ in [] })
    #expect(throws: ModelError.self) { try model.generate(batch, maximumLength: -1) }
  }

  /// The logits are x Eᵀ with x = m^-1/2 h, and identifiers their masked arg max.
  @Test func identifiersAreTheGreatestLogits() throws {
    let model = try SmallModel.make()
    let states = try model.rollout(SmallModel.batch(Self.texts), steps: 2)
    let (h, table) = (try states.values(), try model.table.values())
    let scale = 1 / Float(Self.width).squareRoot()
    var naive: [Float] = []
    for row in 0..<12 {
      for token in 0..<40 {
        let products = (0..<Self.width).map {
          h[row * Self.width + $0] * table[token * Self.width + $0]
        }
        naive.append(scale * products.reduce(0, +))
      }
    }
    #expect(relativeDifference(try model.logits(states).values(), naive) < 1e-5)
    let best = (0..<12).map { row in
      (0..<40).max { naive[row * 40 + $0] < naive[row * 40 + $1] } ?? 0
    }
    let free = try model.identifiers(states, mask: nil)
    #expect(try free.tokens.values() == best.map { Int32($0) })
    #expect(
      relativeDifference(
        try free.weights.values(), best.enumerated().map { naive[$0.offset * 40 + $0.element] })
        < 1e-5)
    // Without the best ones, the second best.
    var mask = [Float](repeating: 0, count: 40)
    for token in best { mask[token] = -.infinity }
    let masked = try model.identifiers(states, mask: Tensor(mask, shape: [40])).tokens.values()
    let second = (0..<12).map { row in
      (0..<40).filter { mask[$0] == 0 }.max { naive[row * 40 + $0] < naive[row * 40 + $1] } ?? 0
    }
    #expect(masked == second.map { Int32($0) })
  }
}

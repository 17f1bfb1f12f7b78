import GLENTensor
import Testing

@testable import GLENModel

struct CopyingStartTests {
  /// The first guesses are words of the text, far more often than those of a random network.
  @Test func theFirstGuessesAreWordsOfTheText() throws {
    var configuration = SmallModel.configuration()
    (configuration.width, configuration.headWidth, configuration.heads) = (48, 12, 4)
    var random = SeededGenerator(RandomKey(seed: 1))
    let texts = (0..<40).map { _ in
      (0..<4).map { _ in Int32.random(in: 3..<40, using: &random) } + [1]
    }
    func share(_ model: T5Model) throws -> Double {
      let batch = try TokenBatch(texts, vocabularySize: 40)
      let mask = try IdentifierSettings(maskedTokens: [0, 1, 2])
        .mask(vocabularySize: 40, on: CPUBackend.shared)
      let states = try model.rollout(batch, steps: 1)
      let tokens = try model.identifiers(states, mask: mask).tokens.values()
      return Double(zip(tokens, texts).count { $1.contains($0) }) / Double(texts.count)
    }
    var model = try T5Model(random: configuration, key: RandomKey(seed: 1))
    let before = model
    #expect(try share(model) < 0.4)
    try model.beginCopying(tokenCounts: Array(repeating: 10, count: 40))
    #expect(try share(model) > 0.9)
    // The copy from before is as it was, and only some of the projections have changed.
    #expect(try share(before) < 0.4)
    for (own, old) in zip(model.parameters, before.parameters) {
      let isSame = try own.tensor.values() == old.tensor.values()
      let changes = [
        "SelfAttention.o.", ".wo.", "EncDecAttention.", "shared.", "decoder.final_layer_norm",
      ]
      #expect(isSame != changes.contains { own.name.contains($0) }, "\(own.name)")
      #expect(own.tensor.shape == old.tensor.shape)
    }
  }

  /// Of a text's words it guesses the one that the corpus has least often.
  @Test func theRarestWordComesFirst() throws {
    var configuration = SmallModel.configuration()
    (configuration.width, configuration.headWidth, configuration.heads) = (64, 16, 4)
    var model = try T5Model(random: configuration, key: RandomKey(seed: 3))
    let counts = (0..<40).map { $0 < 30 ? 1000 : 1 }
    try model.beginCopying(tokenCounts: counts)
    var random = SeededGenerator(RandomKey(seed: 4))
    let texts = (0..<20).map { _ in
      (0..<3).map { _ in Int32.random(in: 3..<30, using: &random) }
        + [Int32.random(in: 30..<40, using: &random), 1]
    }
    let mask = try IdentifierSettings(maskedTokens: [0, 1, 2])
      .mask(vocabularySize: 40, on: CPUBackend.shared)
    let states = try model.rollout(TokenBatch(texts, vocabularySize: 40), steps: 1)
    let tokens = try model.identifiers(states, mask: mask).tokens.values()
    #expect(zip(tokens, texts).count { $0 == $1[3] } >= 18)
  }

  @Test func moreHeadsThanWidthAndFewerWork() throws {
    for (width, heads) in [(12, 1), (12, 2), (12, 4)] {
      var configuration = SmallModel.configuration()
      (configuration.width, configuration.heads) = (width, heads)
      var model = try T5Model(random: configuration, key: RandomKey(seed: 2))
      try model.beginCopying(tokenCounts: [5, 5, 5, 5])
      #expect(try model.nameOfNonFiniteParameter() == nil)
    }
  }
}

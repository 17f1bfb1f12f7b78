import Foundation
import GLENModel
import GLENTensor
import Testing

@testable import GLENTraining

@Suite("Contrast of phase 1") struct KeywordContrastTests {
  /// `contrast.json`: a batch, each text's copy after the texts.
  private struct Batch: Decodable {
    var contrastWeight: Float
    var inputs: [[Int32]]
    var targets: [[Int32]]
  }

  private static func parts(
    _ model: T5Model, _ batch: Batch, weight: Float
  ) throws -> KeywordLoss.Parts {
    var loss = KeywordLoss()
    loss.contrastWeight = weight
    return try loss.parts(
      model,
      TokenBatch(batch.inputs, vocabularySize: model.configuration.vocabularySize),
      targets: batch.targets)
  }

  /// Losses and all gradients, of the whole and of the contrast alone.
  @Test func itIsPyTorchs() throws {
    let model = try TrainingFixture.model()
    let batch = try TrainingFixture.decoded(Batch.self, "contrast.json")
    let golden = try SafetensorsFile(contentsOf: TrainingFixture.url("contrast.safetensors"))
    var found: KeywordLoss.Parts?
    let (total, gradients) = try valueAndGradient(of: model) {
      let parts = try Self.parts($0, batch, weight: batch.contrastWeight)
      found = parts
      return parts.total
    }
    let parts = try #require(found)
    for (name, value) in [
      ("loss", total), ("keywords", parts.keywords), ("contrast", try #require(parts.contrast)),
    ] {
      let expected = try golden.tensor(name).scalar()
      #expect(abs(try value.scalar() - expected) <= 1e-5 * expected, "\(name)")
    }
    try Self.expectGradients(gradients, of: model, golden, prefix: "loss_grad.")

    // The difference of two losses is the contrast alone.
    let (_, alone) = try valueAndGradient(of: model) {
      let with = try Self.parts($0, batch, weight: 1).total
      return try add(with, Self.parts($0, batch, weight: 0).total, scale: -1)
    }
    try Self.expectGradients(alone, of: model, golden, prefix: "contrast_grad.")
  }

  private static func expectGradients(
    _ gradients: Gradients, of model: T5Model, _ golden: SafetensorsFile, prefix: String
  ) throws {
    for (name, _) in model.parameters {
      let expected = try golden.tensor(prefix + name).values()
      let got = try #require(gradients[name]).values()
      let difference = relativeDifference(got, expected)
      let greatest = zip(got, expected).map { abs($0 - $1) }.max() ?? 0
      #expect(difference < 1e-3 || greatest < 1e-7, "\(prefix)\(name): off by \(difference)")
    }
  }

  /// With two rows there is nobody else: the probability is 1, and the contrast log(1 + e) - 1.
  @Test func onePairIsAlwaysFound() throws {
    let states = try Tensor([1, 2, -1, 0.5, 3, 3, 0.25, 1], shape: [2, 2, 2])
    let value = try KeywordContrast.value(
      states, scale: 0.5, counts: [[true, true], [true, true]]
    ).scalar()
    #expect(abs(value - (log(1 + Float(M_E)) - 1)) < 1e-6)
  }

  @Test func copiesComeInPairs() throws {
    let model = try ToyCorpus.model()
    var loss = KeywordLoss()
    loss.contrastWeight = 0.15
    let batch = try TokenBatch([[5, 1], [6, 1], [7, 1]], vocabularySize: 128)
    #expect(throws: ModelError.self) {
      try loss.parts(model, batch, targets: [[5], [6], [7]])
    }
  }

  // MARK: Copies

  /// A character a word, so that spans can be counted in tokens.
  private static func copies(
    of count: Int, _ contrast: Recipe.Contrast, rounds: Int = 300
  ) throws -> [[Int32]] {
    let corpus = try ToyCorpus.corpus()
    let text = (0..<count).map { Int32($0 % WordTokenizer.words.count + 3) } + [1]
    var generator = GLENTensor.SeededGenerator(RandomKey(seed: 5))
    return (0..<rounds).map { _ in
      corpus.corrupted(text, by: contrast, using: &generator)
    }
  }

  /// A short text is taken whole; the span of a longer one has the characters that the recipe asks for.
  @Test func aCopyIsASpanOfTheText() throws {
    var contrast = Recipe.Contrast()
    contrast.paddingShare = 0
    let whole = (0..<4).map { Int32($0 + 3) } + [1]
    #expect(try Set(Self.copies(of: 4, contrast)) == [whole])
    let long = try Self.copies(of: 30, contrast)
    let tokenizer = WordTokenizer()
    let text = tokenizer.decode((0..<30).map { Int32($0 % WordTokenizer.words.count + 3) })
    #expect(Set(long).count > 50)
    for copy in long {
      #expect(copy.last == 1)
      // Words that were cut are unknown; between them lie those of the text.
      let inner = copy.dropLast().filter { $0 != 2 }
      #expect(text.contains(tokenizer.decode(Array(inner))))
      #expect(tokenizer.decode(Array(inner)).count >= 100 - 2 * 8)
    }
    #expect(long.contains { $0.count < 20 } && long.contains { $0.count > 28 })
    contrast.shortestSpan = 0
    #expect(try Self.copies(of: 30, contrast).contains { $0.count < 8 })
  }

  /// In half of the copies, a tenth of the tokens becomes padding, in place.
  @Test func tokensBecomePadding() throws {
    var contrast = Recipe.Contrast()
    contrast.shortestSpan = 10_000
    let copies = try Self.copies(of: 30, contrast, rounds: 1000)
    #expect(copies.allSatisfy { $0.count == 31 })
    let padded = copies.filter { $0.contains(0) }
    // 1 - 0.9^31 = 0.96 of the half.
    #expect((420..<540).contains(padded.count))
    let share = Double(copies.joined().count { $0 == 0 }) / Double(31 * 1000)
    #expect(abs(share - 0.05) < 0.006)
    contrast.paddingRate = 1
    contrast.paddingShare = 1
    #expect(try Set(Self.copies(of: 3, contrast)) == [[0, 0, 0, 0]])
  }

  @Test func theObjectiveAddsTheContrast() throws {
    func losses(_ weight: Float, batch: Int = 0) throws -> [LossPart] {
      var recipe = ToyCorpus.recipe
      recipe.keywords.optimization.dropout = 0
      recipe.keywords.contrast.weight = weight
      var objective = try ToyCorpus.keywords(recipe)
      return try objective.gradients(
        of: ToyCorpus.model(), batch: batch, key: RandomKey(seed: 1)
      ).losses
    }
    #expect(try losses(0).map(\.name) == ["loss"])
    let parts = try losses(0.15)
    #expect(parts.map(\.name) == ["loss", "keywords", "contrast"])
    #expect(abs(parts[0].value - parts[1].value - 0.15 * parts[2].value) < 1e-5)
    // Between log(2B - 1 + e) - 1 and log(2B - 1 + e), for B = 8.
    let most = log(15 + Float(M_E))
    #expect((most - 1...most).contains(parts[2].value))
    #expect(try losses(0.15) == parts)
    #expect(try losses(0.15, batch: 1) != parts)
  }
}

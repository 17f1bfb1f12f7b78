import GLENModel
import GLENTensor
import Testing

@testable import GLENTraining

/// A step in chunks is the step of the whole batch.
@Suite("Gradient cache") struct GradientCacheTests {
  struct Case: Sendable, CustomTestStringConvertible {
    var queries: Int, documents: Int
    var dropout: Float = 0
    var temperature: Float = 0.5
    var feedsTokens = false
    var testDescription: String {
      "\(queries) queries, \(documents) documents at once, dropout \(dropout), "
        + "temperature \(temperature)\(feedsTokens ? ", tokens fed back" : "")"
    }
  }

  static let cases = [
    Case(queries: 2, documents: 4), Case(queries: 1, documents: 1), Case(queries: 0, documents: 7),
    Case(queries: 3, documents: 0), Case(queries: 100, documents: 100),
    Case(queries: 2, documents: 5, dropout: 0.1), Case(queries: 1, documents: 1, dropout: 0.4),
    Case(queries: 2, documents: 5, dropout: 0.1, temperature: 1e-5),
    Case(queries: 2, documents: 5, dropout: 0.1, feedsTokens: true),
  ]

  private static func model() throws -> T5Model {
    var c = ToyCorpus.configuration()
    (c.encoderLayers, c.decoderLayers) = (2, 2)
    return try T5Model(random: c, key: RandomKey(seed: 4))
  }

  /// Texts of very different lengths: cross-attention takes either way, by what is in the chunk.
  private static func texts(_ count: Int, longest: Int, seed: UInt64) -> [[Int32]] {
    var generator = GLENTensor.SeededGenerator(RandomKey(seed: seed))
    return (0..<count).map { _ in
      (0..<Int.random(in: 0..<longest, using: &generator)).map { _ in
        Int32.random(in: 3..<128, using: &generator)
      } + [1]
    }
  }

  private static func step(
    _ c: Case, chunks: RefinementLoss.Chunks, recomputes: Bool = false
  ) throws -> (parts: RefinementLoss.Parts, gradients: Gradients) {
    var model = try model()
    model.recomputesBlocks = recomputes
    var settings = IdentifierSettings(identifierLength: 3, maskedTokens: [2, 126, 127])
    settings.feedsTokens = c.feedsTokens
    var loss = RefinementLoss()
    loss.temperature = c.temperature
    return try loss.gradients(
      of: model, queries: texts(6, longest: 5, seed: 1), documents: texts(18, longest: 40, seed: 2),
      settings: settings, mask: settings.mask(vocabularySize: 128, on: model.backend),
      dropout: Dropout(rate: c.dropout, key: RandomKey(seed: 3)), chunks: chunks)
  }

  /// With and without chunks, to the bit: the masks of dropout are the same the second time.
  @Test(arguments: cases) func computingBlocksAgainChangesNothing(_ c: Case) throws {
    for chunks in [.init(), RefinementLoss.Chunks(queries: c.queries, documents: c.documents)] {
      let kept = try Self.step(c, chunks: chunks)
      let again = try Self.step(c, chunks: chunks, recomputes: true)
      #expect(try again.parts.total.scalar() == kept.parts.total.scalar())
      #expect(again.gradients.tensors.keys == kept.gradients.tensors.keys)
      for (name, gradient) in kept.gradients.tensors {
        #expect(try again.gradients[name]?.values() == gradient.values(), "\(name)")
      }
    }
  }

  @Test(arguments: cases) func chunksChangeNothing(_ c: Case) throws {
    let whole = try Self.step(c, chunks: .init())
    let parts = try Self.step(c, chunks: .init(queries: c.queries, documents: c.documents))
    for (a, b) in [
      (whole.parts.total, parts.parts.total), (whole.parts.pairwise, parts.parts.pairwise),
      (whole.parts.retrieval, parts.parts.retrieval), (whole.parts.distance, parts.parts.distance),
    ] {
      let (a, b) = (try a.scalar(), try b.scalar())
      #expect(abs(a - b) <= 1e-5 * max(abs(a), 1e-2))
    }
    #expect(whole.parts.identifiers == parts.parts.identifiers)
    #expect(
      relativeDifference(
        try parts.parts.relevances.values(), try whole.parts.relevances.values()) < 1e-5)
    #expect(whole.gradients.tensors.keys.sorted() == parts.gradients.tensors.keys.sorted())
    #expect(parts.gradients.tensors.count == (try Self.model().parameters.count))
    for (name, gradient) in whole.gradients.tensors {
      let other = try #require(parts.gradients[name])
      let difference = relativeDifference(try other.values(), try gradient.values())
      #expect(difference < 1e-5, "\(name): off by \(difference)")
    }
  }

  /// The masks matter here: with another key, gradients are others by far.
  @Test func dropoutIsSeenByTheComparison() throws {
    let without = try Self.step(Case(queries: 2, documents: 5), chunks: .init(queries: 2))
    let with = try Self.step(
      Case(queries: 2, documents: 5, dropout: 0.1), chunks: .init(queries: 2))
    let (a, b) = (
      try #require(without.gradients[T5Model.tableName]),
      try #require(with.gradients[T5Model.tableName])
    )
    #expect(relativeDifference(try a.values(), try b.values()) > 1e-2)
  }

  @Test func documentsThatCannotBeSharedAreRefused() throws {
    let model = try Self.model()
    let settings = IdentifierSettings(identifierLength: 3)
    for chunks in [RefinementLoss.Chunks(), .init(queries: 1, documents: 2)] {
      #expect(throws: ModelError.self) {
        try RefinementLoss().gradients(
          of: model, queries: [[5, 1], [6, 1]], documents: [[7, 1], [8, 1], [9, 1]],
          settings: settings, mask: settings.mask(vocabularySize: 128, on: model.backend),
          chunks: chunks)
      }
    }
  }

  /// The recipe's keys reach the loss, and what the sampler learns is the same.
  @Test func theObjectiveTakesTheRecipesChunks() throws {
    func run(_ queries: Int, _ documents: Int) throws -> ([Float], [Int32]) {
      var recipe = ToyCorpus.recipe
      (recipe.refinement.queryChunkSize, recipe.refinement.documentChunkSize) = (queries, documents)
      var objective = try ToyCorpus.refinement(recipe)
      var losses: [Float] = []
      for batch in 0..<3 {
        losses += try objective.gradients(
          of: ToyCorpus.model(), batch: batch, key: RandomKey(seed: 7)
        ).losses.map(\.value)
      }
      return (losses, objective.memory)
    }
    let (whole, parts) = (try run(0, 0), try run(2, 5))
    #expect(relativeDifference(parts.0, whole.0) < 1e-5)
    #expect(whole.1 == parts.1)
  }
}

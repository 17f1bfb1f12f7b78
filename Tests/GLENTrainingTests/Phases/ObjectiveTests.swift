import GLENModel
import GLENTensor
import Testing

@testable import GLENTraining

/// What both phases make of a corpus: batches, losses, gradients.
@Suite("Objectives") struct ObjectiveTests {
  private static func values(
    _ objective: inout some TrainingObjective, _ model: T5Model, batch: Int, key: UInt64
  ) throws -> ([Float], [String: [Float]]) {
    let (losses, gradients) = try objective.gradients(
      of: model, batch: batch, key: RandomKey(seed: key))
    return (losses.map(\.value), try gradients.tensors.mapValues { try $0.values() })
  }

  /// The same number and key, the same loss and gradients, whatever was computed in between.
  @Test func aKeywordBatchFollowsFromItsNumberAndKey() throws {
    let model = try ToyCorpus.model()
    var first = try ToyCorpus.keywords()
    var second = try ToyCorpus.keywords()
    _ = try Self.values(&second, model, batch: 40, key: 1)
    for batch in [5, 0, 17] {
      let own = try Self.values(&first, model, batch: batch, key: 9)
      let other = try Self.values(&second, model, batch: batch, key: 9)
      #expect(own.0 == other.0 && own.1 == other.1)
      #expect(try Self.values(&first, model, batch: batch, key: 10).0 != own.0)
      #expect(try Self.values(&first, model, batch: batch + 1, key: 9).0 != own.0)
    }
    var third = try ToyCorpus.keywords(key: 2)
    #expect(
      try Self.values(&third, model, batch: 0, key: 9).0
        != Self.values(&first, model, batch: 0, key: 9).0)
  }

  /// Of the refinement's batch the sampler's table is a part, which `memory` carries over.
  @Test func aRefinementBatchFollowsFromItsNumberKeyAndMemory() throws {
    let model = try ToyCorpus.model()
    var first = try ToyCorpus.refinement()
    for batch in 0..<4 { _ = try Self.values(&first, model, batch: batch, key: 3) }
    #expect(first.memory.count == 180)
    #expect(Set(first.memory).count > 3)
    var second = try ToyCorpus.refinement()
    #expect(second.memory == [Int32](repeating: -1, count: 180))
    second.memory = first.memory
    #expect(second.memory == first.memory)
    var (a, b) = (first, first)
    let own = try Self.values(&a, model, batch: 4, key: 3)
    let again = try Self.values(&b, model, batch: 4, key: 3)
    #expect(own.0 == again.0 && own.1 == again.1)
    #expect(a.memory == b.memory)
  }

  @Test func everyPassingDocumentLeavesItsIdentifier() throws {
    var recipe = ToyCorpus.recipe
    recipe.refinement.negatives = 40  // All others: the whole corpus passes in one step.
    recipe.refinement.optimization.dropout = 0
    let model = try ToyCorpus.model()
    let corpus = try ToyCorpus.corpus(recipe)
    var objective = try ToyCorpus.refinement(recipe)
    _ = try Self.values(&objective, model, batch: 0, key: 3)
    let batch = try TokenBatch(
      corpus.documents.indices.map { corpus.beginning(of: $0) }, vocabularySize: 128)
    let mask = try ToyCorpus.settings().mask(vocabularySize: 128, on: CPUBackend.shared)
    let states = try model.rollout(batch, steps: 3)
    let remembered = Array(objective.memory[..<90])
    #expect(try model.identifiers(states, mask: mask).tokens.values() == remembered)
  }

  /// A query's positives are no negatives of its own, however near they are; other documents with
  /// the same identifier are the first to be drawn, unless negatives are random.
  @Test(arguments: [true, false])
  func negativesShareThePositivesPrefixAndAnswerNothing(usesPrefixes: Bool) throws {
    // Every question of documents 0 to 2 has all three as positives.
    let rows = (0..<3).flatMap { question in
      (0..<3).map { "a\(question)\td\($0)\t1\n" }
    }.joined()
    let folder = try TemporaryFolder(ToyCorpus.files.merging(["qrels/train.tsv": rows]) { $1 })
    var recipe = ToyCorpus.recipe
    recipe.refinement.usesPrefixNegatives = usesPrefixes
    let corpus = try TrainingCorpus(
      RetrievalDataset(contentsOf: folder.url), tokenizer: WordTokenizer(), recipe: recipe)
    let settings = ToyCorpus.settings()
    var objective = try RefinementObjective(
      corpus, recipe: recipe, settings: settings,
      mask: settings.mask(vocabularySize: 128, on: CPUBackend.shared), key: RandomKey(seed: 1))
    // Documents 0 to 6 share an identifier; all others have one of their own.
    var sampler = PrefixNegativeSampler(documentCount: 30, identifierLength: 3)
    for document in 0..<30 {
      let own = document < 7 ? [9, 9, 9] : [Int32(document), 0, 0]
      sampler.update(document, identifier: own[...])
    }
    objective.memory = sampler.state
    var drawn: Set<Int> = []
    for batch in 0..<20 {
      let (queries, documents) = objective.examples(
        ofBatch: batch, key: RandomKey(seed: UInt64(batch)))
      #expect(documents.count == 4 * queries.count)
      for query in queries.indices {
        let own = documents[4 * query..<4 * query + 4]
        #expect((0..<3).contains(own.first ?? -1) && Set(own).count == 4)
        drawn.formUnion(own.dropFirst())
      }
    }
    #expect(drawn == (usesPrefixes ? Set(3..<7) : Set(3..<30)))
    #expect(objective.samplingDuration > .zero)
  }

  @Test(arguments: [(0, 1 as Float), (10, 0.36787945), (5, 0.60653067), (150, 1e-5)])
  func theTemperatureFallsWithTheEpoch(batch: Int, expected: Float) throws {
    // 60 questions and batches of 6: ten batches an epoch.
    let objective = try ToyCorpus.refinement()
    #expect(abs(objective.temperature(batch: batch) - expected) <= 1e-6 * expected)
    var recipe = ToyCorpus.recipe
    recipe.refinement.lowestTemperature = 0.5
    let warmer = try ToyCorpus.refinement(recipe)
    #expect(abs(warmer.temperature(batch: batch) - max(expected, 0.5)) <= 1e-6)
    recipe.refinement.anneals = false
    let constant = try ToyCorpus.refinement(recipe)
    #expect(constant.temperature(batch: batch) == 0.5)
  }

  /// Chunks of documents may stand in for queries, also where there is no training query at all.
  @Test func chunksAreQueriesToo() throws {
    var recipe = ToyCorpus.recipe
    (recipe.refinement.queryWeight, recipe.refinement.chunkWeight) = (0, 2)
    (recipe.keywords.shortestChunkLength, recipe.keywords.chunkLength) = (3, 8)
    #expect(recipe.keywords.chunkLengths == 3...8)
    let folder = try TemporaryFolder(
      ToyCorpus.files.merging(["qrels/train.tsv": "a0\td0\t0\n"]) { $1 })
    let corpus = try TrainingCorpus(
      RetrievalDataset(contentsOf: folder.url), tokenizer: WordTokenizer(), recipe: recipe)
    #expect(corpus.questions.isEmpty)
    let settings = ToyCorpus.settings()
    var objective = try RefinementObjective(
      corpus, recipe: recipe, settings: settings,
      mask: settings.mask(vocabularySize: 128, on: CPUBackend.shared), key: RandomKey(seed: 1))
    #expect(try Self.values(&objective, ToyCorpus.model(), batch: 0, key: 1).0[0].isFinite)
    // 60 examples in batches of 6, as with the 60 questions.
    #expect(abs(objective.temperature(batch: 10) - 0.36787945) < 1e-6)

    var generator = GLENTensor.SeededGenerator(RandomKey(seed: 2))
    var lengths: Set<Int> = []
    for round in 0..<300 {
      let chunk = corpus.chunk(of: round % 30, lengths: 3...8, using: &generator)
      lengths.insert(chunk.count)
      #expect(chunk.last == 1)
      let (words, pieces) = (Array(chunk.dropLast()), corpus.documents[round % 30])
      #expect((0...pieces.count - words.count).contains { pieces[$0...].starts(with: words) })
    }
    #expect(lengths == Set(3...8))
    let whole = corpus.chunk(of: 0, lengths: 100...100, using: &generator)
    #expect(whole == corpus.documents[0] + [1])
  }

  @Test func theTemperatureIsReported() throws {
    var objective = try ToyCorpus.refinement()
    let (losses, _) = try objective.gradients(
      of: ToyCorpus.model(), batch: 10, key: RandomKey(seed: 1))
    #expect(losses.map(\.name) == ["loss", "pairwise", "retrieval", "distance", "temperature"])
    #expect(abs(losses[4].value - 0.36787945) < 1e-6)
    let total = losses[1].value + 0.5 * (losses[2].value + 0.5 * losses[3].value)
    #expect(abs(losses[0].value - total) < 1e-4)
  }

  @Test func targetsOfDifferentLengthsShareABatch() throws {
    let model = try ToyCorpus.model()
    for ends in [false, true] {
      var recipe = ToyCorpus.recipe
      recipe.keywords.targetsEnd = ends
      recipe.identifierLength = 1  // Shared words become equal keywords, told apart by a number.
      var objective = try ToyCorpus.keywords(recipe)
      let (losses, gradients) = try objective.gradients(
        of: model, batch: 0, key: RandomKey(seed: 1))
      #expect(losses[0].value.isFinite)
      #expect(try gradients.norm().isFinite)
    }
  }

  @Test func withoutExamplesThereIsNoObjective() throws {
    let files = ToyCorpus.files.merging(["qrels/train.tsv": "a0\td0\t0\n"]) { $1 }
    let folder = try TemporaryFolder(files)
    var recipe = ToyCorpus.recipe
    let corpus = try TrainingCorpus(
      RetrievalDataset(contentsOf: folder.url), tokenizer: WordTokenizer(), recipe: recipe)
    #expect(corpus.questions.isEmpty)
    let settings = ToyCorpus.settings()
    let mask = try settings.mask(vocabularySize: 128, on: CPUBackend.shared)
    #expect(throws: TrainingError.self) {
      try RefinementObjective(
        corpus, recipe: recipe, settings: settings, mask: mask, key: RandomKey(seed: 1))
    }
    (recipe.keywords.documentWeight, recipe.keywords.chunkWeight) = (0, 0)
    #expect(throws: TrainingError.self) {
      try KeywordObjective(corpus, recipe: recipe, key: RandomKey(seed: 1))
    }
  }

  /// Documents and questions without text are trained on like others.
  @Test func emptyTextsAreTrainedOn() throws {
    let folder = try TemporaryFolder([
      "corpus.jsonl": "{\"_id\": \"1\", \"text\": \"\"}\n{\"_id\": \"2\", \"text\": \"\"}\n",
      "queries.jsonl": "{\"_id\": \"q\", \"text\": \"\"}\n",
      "qrels/train.tsv": "q\t1\t1\n",
    ])
    let recipe = ToyCorpus.recipe
    let corpus = try TrainingCorpus(
      RetrievalDataset(contentsOf: folder.url), tokenizer: WordTokenizer(), recipe: recipe)
    let model = try ToyCorpus.model()
    var keywords = try KeywordObjective(corpus, recipe: recipe, key: RandomKey(seed: 1))
    #expect(try Self.values(&keywords, model, batch: 0, key: 1).0[0].isFinite)
    let settings = ToyCorpus.settings()
    var refinement = try RefinementObjective(
      corpus, recipe: recipe, settings: settings,
      mask: settings.mask(vocabularySize: 128, on: CPUBackend.shared), key: RandomKey(seed: 1))
    #expect(try Self.values(&refinement, model, batch: 0, key: 1).0[0].isFinite)
  }

  /// A query whose positives are nearly the whole corpus gets the negatives that are left.
  @Test func fewerDocumentsThanNegativesIsFine() throws {
    let rows = (0..<29).map { "a0\td\($0)\t1\n" }.joined()
    let folder = try TemporaryFolder(ToyCorpus.files.merging(["qrels/train.tsv": rows]) { $1 })
    let recipe = ToyCorpus.recipe
    let corpus = try TrainingCorpus(
      RetrievalDataset(contentsOf: folder.url), tokenizer: WordTokenizer(), recipe: recipe)
    let settings = ToyCorpus.settings()
    var refinement = try RefinementObjective(
      corpus, recipe: recipe, settings: settings,
      mask: settings.mask(vocabularySize: 128, on: CPUBackend.shared), key: RandomKey(seed: 1))
    let losses = try Self.values(&refinement, ToyCorpus.model(), batch: 0, key: 1).0
    #expect(losses[0].isFinite)
  }
}

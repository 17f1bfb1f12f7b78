import GLENModel
import GLENTensor

/// Phase 2: identifiers learn to rank.
///
/// Equations (5) to (8) of the paper.
public struct RefinementObjective: TrainingObjective {
  private enum Source {
    case question(Int)
    case chunk(Int)
  }

  private let corpus: TrainingCorpus
  private let recipe: Recipe
  private let settings: IdentifierSettings
  private let mask: Tensor
  private let sources: [Source]
  /// N_neg, or as many as every query can have in a small corpus.
  let negatives: Int
  private var order: EpochOrder
  private var sampler: PrefixNegativeSampler
  private let clock = ContinuousClock()

  /// The phase over a corpus.
  ///
  /// - Throws: `TrainingError.trainingData` without training queries.
  public init(
    _ corpus: TrainingCorpus, recipe: Recipe, settings: IdentifierSettings, mask: Tensor,
    key: RandomKey
  ) throws(TrainingError) {
    let r = recipe.refinement
    sources =
      corpus.questions.indices.flatMap { [Source](repeating: .question($0), count: r.queryWeight) }
      + corpus.documents.indices.flatMap { [Source](repeating: .chunk($0), count: r.chunkWeight) }
    guard !sources.isEmpty else {
      throw .trainingData(reason: "refinement needs training queries with a positive document")
    }
    self.corpus = corpus
    self.recipe = recipe
    self.settings = settings
    self.mask = mask
    let positives = corpus.questions.map(\.positives.count).max() ?? 1
    negatives = min(r.negatives, max(corpus.documents.count - positives, 0))
    order = EpochOrder(count: sources.count, key: key)
    sampler = PrefixNegativeSampler(
      documentCount: corpus.documents.count, identifierLength: settings.identifierLength)
  }

  /// The phase's name in messages.
  public var name: String { "refine" }
  /// The optimisation's numbers.
  public var optimization: Recipe.Optimization { recipe.refinement.optimization }
  /// The tokens that went through the encoder since the objective was made.
  public private(set) var tokenCount = 0
  /// The time that the sampler took since the objective was made.
  public private(set) var samplingDuration = Duration.zero

  /// The sampler's state.
  public var memory: [Int32] {
    get { sampler.state }
    set { sampler.restore(newValue) }
  }

  /// The temperature of a batch.
  func temperature(batch: Int) -> Float {
    let r = recipe.refinement
    return TemperatureSchedule(lowest: r.lowestTemperature, anneals: r.anneals).temperature(
      epoch: Double(batch * optimization.batchSize) / Double(sources.count))
  }

  /// The losses and the gradients of one batch.
  public mutating func gradients(
    of model: T5Model, batch: Int, key: RandomKey
  ) throws -> (losses: [LossPart], gradients: Gradients) {
    let r = recipe.refinement
    let (queries, documents) = examples(ofBatch: batch, key: key.split(0))
    var loss = RefinementLoss()
    loss.pointwiseWeight = r.pointwiseWeight
    loss.distanceWeight = r.distanceWeight
    loss.hasPairwise = r.hasPairwise
    loss.temperature = temperature(batch: batch)
    let dropout = Dropout(
      rate: optimization.dropout ?? model.configuration.dropoutRate, key: key.split(1))
    let limit = r.documentLength > 0 ? min(r.documentLength, recipe.maximumDocumentLength) : nil
    let tokens = documents.map { corpus.beginning(of: $0, limit: limit) }
    tokenCount += (queries + tokens).reduce(0) { $0 + $1.count }

    let (parts, gradients) = try loss.gradients(
      of: model, queries: queries, documents: tokens, settings: settings, mask: mask,
      dropout: dropout,
      chunks: .init(queries: r.queryChunkSize, documents: r.documentChunkSize))
    let n = settings.identifierLength
    let begin = clock.now
    for (index, document) in documents.enumerated() {
      sampler.update(document, identifier: parts.identifiers[index * n..<(index + 1) * n])
    }
    samplingDuration += clock.now - begin
    let losses = try LossPart.reading([
      ("loss", parts.total), ("pairwise", parts.pairwise), ("retrieval", parts.retrieval),
      ("distance", parts.distance),
    ])
    return (losses + [LossPart(name: "temperature", value: loss.temperature)], gradients)
  }

  /// The queries of a batch in tokens, and for each in turn its positive document and negatives.
  mutating func examples(
    ofBatch batch: Int, key: RandomKey
  ) -> (queries: [[Int32]], documents: [Int]) {
    let r = recipe.refinement
    var generator = SeededGenerator(key)
    var queries: [[Int32]] = []
    var documents: [Int] = []
    for index in 0..<optimization.batchSize {
      let position = batch * optimization.batchSize + index
      let (tokens, positives) = query(sources[order.example(at: position)], using: &generator)
      let positive = positives[Int.random(in: 0..<positives.count, using: &generator)]
      queries.append(droppingTokens(tokens, rate: r.tokenDropRate, using: &generator))
      documents.append(positive)
      let begin = clock.now
      documents += sampler.negatives(
        for: positive, count: negatives, excluding: Set(positives),
        usesPrefixes: r.usesPrefixNegatives, using: &generator)
      samplingDuration += clock.now - begin
    }
    return (queries, documents)
  }

  /// The queries of a batch in words; their negatives follow from what came before.
  public func exampleNames(inBatch batch: Int) -> [String] {
    var order = order
    return (0..<optimization.batchSize).map { index in
      switch sources[order.example(at: batch * optimization.batchSize + index)] {
      case .question(let question): corpus.name(ofQuestion: question)
      case .chunk(let document): "a chunk of " + corpus.name(ofDocument: document)
      }
    }
  }

  private func query(
    _ source: Source, using generator: inout SeededGenerator
  ) -> (tokens: [Int32], positives: [Int]) {
    switch source {
    case .question(let index):
      return (corpus.questions[index].tokens, corpus.questions[index].positives)
    case .chunk(let document):
      let lengths = recipe.keywords.chunkLengths
      return (corpus.chunk(of: document, lengths: lengths, using: &generator), [document])
    }
  }
}

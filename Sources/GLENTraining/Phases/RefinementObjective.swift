import GLENModel
import GLENTensor

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// Phase 2: identifiers learn to rank. Equations (5) to (8) of the paper.
public struct RefinementObjective: TrainingObjective {
  private let corpus: TrainingCorpus
  private let recipe: Recipe
  private let settings: IdentifierSettings
  private let mask: Tensor
  private var order: EpochOrder
  private var sampler: PrefixNegativeSampler

  /// The phase over a corpus.
  ///
  /// - Throws: `TrainingError.trainingData` without training queries.
  public init(
    _ corpus: TrainingCorpus, recipe: Recipe, settings: IdentifierSettings, mask: Tensor,
    key: RandomKey
  ) throws(TrainingError) {
    guard !corpus.questions.isEmpty else {
      throw .trainingData(reason: "refinement needs training queries with a positive document")
    }
    self.corpus = corpus
    self.recipe = recipe
    self.settings = settings
    self.mask = mask
    order = EpochOrder(count: corpus.questions.count, key: key)
    sampler = PrefixNegativeSampler(
      documentCount: corpus.documents.count, identifierLength: settings.identifierLength)
  }

  /// The phase's name in messages.
  public var name: String { "refine" }
  /// The optimisation's numbers.
  public var optimization: Recipe.Optimization { recipe.refinement.optimization }

  /// The sampler's state.
  public var memory: [Int32] {
    get { sampler.state }
    set { sampler.restore(newValue) }
  }

  /// τ = max(lowest, exp(-epoch)), with an epoch that grows within itself.
  func temperature(batch: Int) -> Float {
    guard recipe.refinement.anneals else { return recipe.refinement.lowestTemperature }
    let epoch = Float(batch * optimization.batchSize) / Float(corpus.questions.count)
    return max(recipe.refinement.lowestTemperature, exp(-epoch))
  }

  /// The losses and the gradients of one batch.
  public mutating func gradients(
    of model: T5Model, batch: Int, key: RandomKey
  ) throws -> (losses: [LossPart], gradients: Gradients) {
    let r = recipe.refinement
    var generator = SeededGenerator(key.split(0))
    var queries: [[Int32]] = []
    var documents: [Int] = []
    let limit = r.documentLength > 0 ? r.documentLength : nil
    // A small corpus may not have N_neg other documents; all queries then get as many as there are.
    let most = max(corpus.documents.count - (corpus.questions.map(\.positives.count).max() ?? 1), 0)
    for index in 0..<optimization.batchSize {
      let position = batch * optimization.batchSize + index
      let question = corpus.questions[order.example(at: position)]
      let choice = Int.random(in: 0..<question.positives.count, using: &generator)
      let positive = question.positives[choice]
      queries.append(
        droppingTokens(question.tokens, rate: r.tokenDropRate, using: &generator))
      documents.append(positive)
      documents += sampler.negatives(
        for: positive, count: min(r.negatives, most), excluding: Set(question.positives),
        usesPrefixes: r.usesPrefixNegatives, using: &generator)
    }
    var loss = RefinementLoss()
    loss.pointwiseWeight = r.pointwiseWeight
    loss.distanceWeight = r.distanceWeight
    loss.hasPairwise = r.hasPairwise
    loss.temperature = temperature(batch: batch)
    let dropout = Dropout(
      rate: optimization.dropout ?? model.configuration.dropoutRate, key: key.split(1))
    let tokens = documents.map { corpus.beginning(of: $0, limit: limit) }

    var parts: RefinementLoss.Parts?
    let (total, gradients) = try valueAndGradient(of: model) {
      let computed = try loss.parts(
        $0, queries: queries, documents: tokens, settings: settings, mask: mask, dropout: dropout)
      parts = computed
      return computed.total
    }
    var losses = [LossPart(name: "loss", value: try total.scalar())]
    if let parts {
      let n = settings.identifierLength
      for (index, document) in documents.enumerated() {
        sampler.update(document, identifier: parts.identifiers[index * n..<(index + 1) * n])
      }
      losses += [
        LossPart(name: "pairwise", value: try parts.pairwise.scalar()),
        LossPart(name: "retrieval", value: try parts.retrieval.scalar()),
        LossPart(name: "distance", value: try parts.distance.scalar()),
        LossPart(name: "temperature", value: loss.temperature),
      ]
    }
    return (losses, gradients)
  }
}

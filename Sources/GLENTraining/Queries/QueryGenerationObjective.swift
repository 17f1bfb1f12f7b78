import GLENModel
import GLENTensor

/// Teaches a network to ask what a document answers: document in, query out, token by token.
///
/// Nogueira and Lin 2019, "From doc2query to docTTTTTquery".
public struct QueryGenerationObjective: TrainingObjective {
  private let corpus: TrainingCorpus
  private let recipe: Recipe
  private let pairs: [(question: Int, document: Int)]
  private var order: EpochOrder

  /// The objective over a corpus's training queries and their documents.
  ///
  /// - Throws: `TrainingError.trainingData` without training queries.
  public init(_ corpus: TrainingCorpus, recipe: Recipe, key: RandomKey) throws(TrainingError) {
    self.corpus = corpus
    self.recipe = recipe
    pairs = corpus.questions.indices.flatMap { question in
      corpus.questions[question].positives.map { (question, $0) }
    }
    guard !pairs.isEmpty else {
      throw .trainingData(
        reason: "query generation is learnt from training queries; there are none")
    }
    order = EpochOrder(count: pairs.count, key: key)
  }

  /// The phase's name in messages.
  public var name: String { TrainingSession.Phase.queries.rawValue }
  /// The optimisation's numbers.
  public var optimization: Recipe.Optimization { recipe.queries }
  /// The phase remembers nothing.
  public var memory: [Int32] = []
  /// The tokens that went through the encoder since the objective was made.
  public private(set) var tokenCount = 0

  /// The loss and the gradients of one batch.
  public mutating func gradients(
    of model: T5Model, batch: Int, key: RandomKey
  ) throws -> (losses: [LossPart], gradients: Gradients) {
    let examples = (0..<optimization.batchSize).map { index in
      pairs[order.example(at: batch * optimization.batchSize + index)]
    }
    let packed = try TokenBatch(
      examples.map { corpus.beginning(of: $0.document) },
      vocabularySize: model.configuration.vocabularySize, on: model.backend)
    tokenCount += packed.tokens.count
    let queries = examples.map { corpus.questions[$0.question].tokens }
    let longest = queries.map(\.count).max() ?? 1
    let targets = queries.map { $0 + [Int32](repeating: -1, count: longest - $0.count) }
    let dropout = Dropout(
      rate: optimization.dropout ?? model.configuration.dropoutRate, key: key.split(1))
    let (loss, gradients) = try valueAndGradient(of: model) {
      try KeywordLoss.value($0, packed, targets: targets, feedsTokens: true, dropout: dropout)
    }
    return ([LossPart(name: "loss", value: try loss.scalar())], gradients)
  }

  /// The examples of a batch in words.
  public func exampleNames(inBatch batch: Int) -> [String] {
    var order = order
    return (0..<optimization.batchSize).map { index in
      let pair = pairs[order.example(at: batch * optimization.batchSize + index)]
      return corpus.name(ofQuestion: pair.question) + " of "
        + corpus.name(ofDocument: pair.document)
    }
  }
}

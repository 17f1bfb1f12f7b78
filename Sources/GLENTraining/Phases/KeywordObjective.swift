import GLENModel
import GLENTensor

/// Phase 1: texts learn their document's keywords.
///
/// Equation (4) of the paper.
public struct KeywordObjective: TrainingObjective {
  private enum Source {
    case question(Int)
    case generated(Int)
    case beginning(Int)
    case chunk(Int)
  }

  private let corpus: TrainingCorpus
  private let recipe: Recipe
  private let sources: [Source]
  private var order: EpochOrder
  private let dropout: Float?

  /// The phase over a corpus.
  ///
  /// - Throws: `TrainingError.trainingData` if the recipe's weights leave no example.
  public init(_ corpus: TrainingCorpus, recipe: Recipe, key: RandomKey) throws(TrainingError) {
    self.corpus = corpus
    self.recipe = recipe
    dropout = recipe.keywords.optimization.dropout
    let k = recipe.keywords
    var sources: [Source] = []
    for index in corpus.questions.indices {
      sources += [Source](repeating: .question(index), count: k.queryWeight)
    }
    for index in corpus.generated.indices {
      sources += [Source](repeating: .generated(index), count: k.generatedWeight)
    }
    for index in corpus.documents.indices {
      sources += [Source](repeating: .beginning(index), count: k.documentWeight)
      sources += [Source](repeating: .chunk(index), count: k.chunkWeight)
    }
    guard !sources.isEmpty else {
      throw .trainingData(
        reason: "there are no training queries, and the recipe takes no documents either")
    }
    self.sources = sources
    order = EpochOrder(count: sources.count, key: key)
  }

  /// The phase's name in messages.
  public var name: String { "keywords" }
  /// The optimisation's numbers.
  public var optimization: Recipe.Optimization { recipe.keywords.optimization }
  /// The phase remembers nothing.
  public var memory: [Int32] = []
  /// The tokens that went through the encoder since the objective was made.
  public private(set) var tokenCount = 0

  /// The loss and the gradients of one batch.
  public mutating func gradients(
    of model: T5Model, batch: Int, key: RandomKey
  ) throws -> (losses: [LossPart], gradients: Gradients) {
    var generator = SeededGenerator(key.split(0))
    var inputs: [[Int32]] = []
    var targets: [[Int32]] = []
    for index in 0..<optimization.batchSize {
      let source = sources[order.example(at: batch * optimization.batchSize + index)]
      let (tokens, document) = example(source, using: &generator)
      inputs.append(
        droppingTokens(tokens, rate: recipe.keywords.tokenDropRate, using: &generator))
      targets.append(corpus.keywords[document] + (recipe.keywords.targetsEnd ? [1] : []))
    }
    let contrast = recipe.keywords.contrast
    if contrast.weight > 0 {
      inputs += inputs.map { corpus.corrupted($0, by: contrast, using: &generator) }
      targets += targets
    }
    // Where one document's keywords needed a distinguishing piece, the others wait a step for it.
    let longest = targets.map(\.count).max() ?? 0
    targets = targets.map { $0 + [Int32](repeating: -1, count: longest - $0.count) }
    let packed = try TokenBatch(
      inputs, vocabularySize: model.configuration.vocabularySize, on: model.backend)
    tokenCount += packed.tokens.count
    var loss = KeywordLoss()
    (loss.feedsTokens, loss.contrastWeight) = (recipe.feedsTokens, contrast.weight)
    let dropout = Dropout(rate: dropout ?? model.configuration.dropoutRate, key: key.split(1))
    var others: [(name: String, tensor: Tensor)] = []
    let (total, gradients) = try valueAndGradient(of: model) {
      let parts = try loss.parts($0, packed, targets: targets, dropout: dropout)
      if let contrast = parts.contrast {
        others = [("keywords", parts.keywords.detached), ("contrast", contrast.detached)]
      }
      return parts.total
    }
    return (try LossPart.reading([("loss", total)] + others), gradients)
  }

  /// The examples of a batch in words.
  public func exampleNames(inBatch batch: Int) -> [String] {
    var order = order
    return (0..<optimization.batchSize).map { index in
      switch sources[order.example(at: batch * optimization.batchSize + index)] {
      case .question(let question): corpus.name(ofQuestion: question)
      case .generated(let index):
        "a generated query of " + corpus.name(ofDocument: corpus.generated[index].document)
      case .beginning(let document): corpus.name(ofDocument: document)
      case .chunk(let document): "a chunk of " + corpus.name(ofDocument: document)
      }
    }
  }

  private func example(
    _ source: Source, using generator: inout SeededGenerator
  ) -> (tokens: [Int32], document: Int) {
    switch source {
    case .question(let index):
      let question = corpus.questions[index]
      let choice = Int.random(in: 0..<question.positives.count, using: &generator)
      return (question.tokens, question.positives[choice])
    case .generated(let index):
      return (corpus.generated[index].tokens, corpus.generated[index].document)
    case .beginning(let document):
      return (corpus.beginning(of: document), document)
    case .chunk(let document):
      let lengths = recipe.keywords.chunkLengths
      return (corpus.chunk(of: document, lengths: lengths, using: &generator), document)
    }
  }
}

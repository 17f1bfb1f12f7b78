import GLENModel
import GLENTensor
import GLENText

/// Self-supervised tasks in the method's own shape, and T5's span corruption, mixed batch by batch.
struct PretrainingObjective: TrainingObjective {
  /// What all sequences of a batch have in common.
  private enum Kind: Int, CaseIterable {
    /// Windows, sentences and questions to keywords.
    case keywords
    case halves
    case spans
  }

  private let corpus: PretrainingCorpus
  private let recipe: PretrainingRecipe
  private let settings: IdentifierSettings
  private let mask: Tensor
  private let key: RandomKey
  private var orders: [EpochOrder]
  private let corruption: SpanCorruption

  init(
    _ corpus: PretrainingCorpus, recipe: PretrainingRecipe, settings: IdentifierSettings,
    mask: Tensor, key: RandomKey
  ) {
    self.corpus = corpus
    self.recipe = recipe
    self.settings = settings
    self.mask = mask
    self.key = key
    orders = Kind.allCases.map {
      EpochOrder(count: corpus.passages.count, key: key.split($0.rawValue))
    }
    corruption = SpanCorruption(
      rate: recipe.corruptionRate, meanLength: recipe.meanSpanLength, sentinels: corpus.sentinels)
  }

  var name: String { "pretrain" }
  var optimization: Recipe.Optimization { recipe.optimization }
  var memory: [Int32] = []
  private(set) var tokenCount = 0

  mutating func gradients(
    of model: T5Model, batch: Int, key: RandomKey
  ) throws -> (losses: [LossPart], gradients: Gradients) {
    let kind = kind(ofUpdate: batch / max(optimization.accumulation, 1))
    var generator = SeededGenerator(key.split(0))
    let dropout = Dropout(
      rate: optimization.dropout ?? model.configuration.dropoutRate, key: key.split(1))
    let (value, gradients) =
      switch kind {
      case .keywords: try keywords(model, batch, dropout, &generator)
      case .halves: try halves(model, batch, dropout, &generator)
      case .spans: try spans(model, batch, dropout, &generator)
      }
    let loss = try value.scalar()
    return (
      [LossPart(name: "loss", value: loss), LossPart(name: "\(kind)", value: loss)], gradients
    )
  }

  /// The weight of questions, of which there may be none.
  private var questionWeight: Double { corpus.questions.isEmpty ? 0 : recipe.weights.questions }

  private func kind(ofUpdate update: Int) -> Kind {
    var generator = SeededGenerator(key.split(1000 + update))
    let w = recipe.weights
    let weights = [w.keywords + w.cloze + questionWeight, w.halves, w.spans]
    var place = Double.random(in: 0..<weights.reduce(0, +), using: &generator)
    for (kind, weight) in zip(Kind.allCases, weights) {
      if place < weight { return kind }
      place -= weight
    }
    // Rounding alone leads here.
    return zip(Kind.allCases, weights).reversed().first { $0.1 > 0 }?.0 ?? .keywords
  }

  private mutating func passages(
    _ kind: Kind, batch: Int, count: Int
  ) -> [PretrainingCorpus.Passage] {
    (0..<count).map { corpus.passages[orders[kind.rawValue].example(at: batch * count + $0)] }
  }
}

// MARK: The tasks

extension PretrainingObjective {
  /// The loss of phase 1 on windows, sentences and questions.
  private mutating func keywords(
    _ model: T5Model, _ batch: Int, _ dropout: Dropout, _ generator: inout SeededGenerator
  ) throws -> (Tensor, Gradients) {
    var (inputs, targets): ([[Int32]], [[Int32]]) = ([], [])
    let w = recipe.weights
    let questions = questionWeight
    for passage in passages(.keywords, batch: batch, count: optimization.batchSize) {
      let draw = Double.random(in: 0..<w.keywords + w.cloze + questions, using: &generator)
      let (tokens, target) =
        if draw < questions {
          question(using: &generator)
        } else if draw < questions + w.cloze, let example = cloze(passage, using: &generator) {
          example
        } else {
          window(passage, using: &generator)
        }
      inputs.append(droppingTokens(tokens, rate: recipe.tokenDropRate, using: &generator))
      targets.append(target)
    }
    let packed = try TokenBatch(
      inputs, vocabularySize: model.configuration.vocabularySize, on: model.backend)
    tokenCount += packed.tokens.count
    return try valueAndGradient(of: model) {
      try KeywordLoss.value($0, packed, targets: targets, dropout: dropout)
    }
  }

  private func question(
    using generator: inout SeededGenerator
  ) -> (tokens: [Int32], keywords: [Int32]) {
    corpus.questions[Int.random(in: corpus.questions.indices, using: &generator)]
  }

  private func window(
    _ passage: PretrainingCorpus.Passage, using generator: inout SeededGenerator
  ) -> (tokens: [Int32], keywords: [Int32]) {
    let tokens = passage.tokens
    let length = Int.random(in: recipe.shortestWindow...recipe.longestWindow, using: &generator) - 1
    let first = Int.random(in: 0...max(tokens.count - length, 0), using: &generator)
    let window = Array(tokens[first...].prefix(length))
    return (window + [1], corpus.keywords(ofWindow: window, count: recipe.identifierLength))
  }

  /// A sentence, and the passage's best keywords that also stand outside it; nil where a passage has
  /// one sentence, or too few such keywords.
  private func cloze(
    _ passage: PretrainingCorpus.Passage, using generator: inout SeededGenerator
  ) -> (tokens: [Int32], keywords: [Int32])? {
    guard passage.sentences.count > 1 else { return nil }
    let chosen = Int.random(in: passage.sentences.indices, using: &generator)
    var elsewhere: Set<Int32> = []
    for (index, sentence) in passage.sentences.enumerated() where index != chosen {
      elsewhere.formUnion(sentence)
    }
    var keywords: [Int32] = []
    for keyword in passage.keywords
    where keywords.count < recipe.identifierLength && elsewhere.contains(keyword)
      && !keywords.contains(keyword)
    {
      keywords.append(keyword)
    }
    guard keywords.count == recipe.identifierLength else { return nil }
    return (passage.sentences[chosen].prefix(recipe.longestWindow - 1) + [1], keywords)
  }

  /// The losses of phase 2 on the two halves of passages, the batch's other passages as negatives.
  private mutating func halves(
    _ model: T5Model, _ batch: Int, _ dropout: Dropout, _ generator: inout SeededGenerator
  ) throws -> (Tensor, Gradients) {
    var (queries, documents): ([[Int32]], [[Int32]]) = ([], [])
    for passage in passages(.halves, batch: batch, count: recipe.halvesBatchSize) {
      let tokens = passage.tokens
      let middle = tokens.count / 2
      func part(_ half: ArraySlice<Int32>) -> [Int32] {
        let length = recipe.halfLength - 1
        let spare = max(half.count - length, 0)
        return half.dropFirst(Int.random(in: 0...spare, using: &generator)).prefix(length) + [1]
      }
      let (first, second) = (part(tokens[..<middle]), part(tokens[middle...]))
      let swaps = Bool.random(using: &generator)
      queries.append(swaps ? second : first)
      documents.append(swaps ? first : second)
    }
    tokenCount += (queries + documents).reduce(0) { $0 + $1.count }
    var loss = RefinementLoss()
    loss.temperature = recipe.temperature
    return try valueAndGradient(of: model) {
      try loss.parts(
        $0, queries: queries, documents: documents, settings: settings, mask: mask,
        dropout: dropout
      ).total
    }
  }

  /// The mean cross-entropy of spans that were taken out of windows.
  private mutating func spans(
    _ model: T5Model, _ batch: Int, _ dropout: Dropout, _ generator: inout SeededGenerator
  ) throws -> (Tensor, Gradients) {
    var (inputs, targets): ([[Int32]], [[Int32]]) = ([], [])
    for passage in passages(.spans, batch: batch, count: recipe.spansBatchSize) {
      let tokens = passage.tokens
      let spare = max(tokens.count - recipe.spansWindow, 0)
      let window = tokens.dropFirst(Int.random(in: 0...spare, using: &generator))
        .prefix(recipe.spansWindow)
      guard let example = corruption.example(of: Array(window), using: &generator) else { continue }
      inputs.append(example.input)
      targets.append(example.target)
    }
    let size = model.configuration.vocabularySize
    let packed = try TokenBatch(inputs, vocabularySize: size, on: model.backend)
    tokenCount += packed.tokens.count
    let flat = try TokenIDs(Array(targets.joined()), on: model.backend)
    return try valueAndGradient(of: model) {
      try crossEntropy(
        states: $0.targetStates(packed, targets: targets, dropout: dropout), table: $0.table,
        scale: $0.configuration.headScale, targets: flat)
    }
  }
}

import GLENPlatform

/// Every number that decides a pre-training run.
public struct PretrainingRecipe: Sendable, Codable, Equatable {
  /// How often each task is drawn, in proportion; 0 leaves it out.
  public struct Weights: Sendable, Codable, Equatable {
    /// A window of a passage to its keywords, as in Equation (4) of the paper.
    public var keywords: Double = 3
    /// A sentence to keywords of its passage that stand elsewhere in it (inverse cloze).
    public var cloze: Double = 2
    /// A question to the keywords of what answers it.
    public var questions: Double = 2
    /// Two halves of a passage as query and document of the refinement loss.
    public var halves: Double = 2
    /// T5's span corruption.
    public var spans: Double = 2
  }

  /// Sources of text, as its lines name them, that are passed over.
  public var excludedSources: [String] = []
  /// The tasks' weights.
  public var weights = Weights()
  /// The optimisation; a batch has `batchSize` sequences of the first three tasks.
  public var optimization = Recipe.Optimization(
    steps: 40_000, batchSize: 96, learningRate: 1.5e-3, decoderLearningRate: 1.5e-3,
    warmupSteps: 500, schedule: .squareRoot, dropout: 0, checkpointInterval: 500)
  /// The pieces of the vocabulary that is trained on the text.
  public var vocabularySize = 16_000
  /// How many characters of text the vocabulary is trained on, drawn evenly from all of it.
  public var vocabularyCharacters = 12_000_000
  /// The identifier's length n.
  public var identifierLength = 3
  /// The most tokens of a query, and of a document.
  public var maximumQueryLength = 32, maximumDocumentLength = 156
  /// The fewest and the most tokens of a window, the end token counted.
  public var shortestWindow = 8, longestWindow = 64
  /// The probability that an input token is left out, for half of the examples of the first three
  /// tasks.
  public var tokenDropRate = 0.3
  /// Pairs in a batch of halves, and the most tokens of a half.
  public var halvesBatchSize = 48, halfLength = 40
  /// The temperature of the identifier representations.
  public var temperature: Float = 1
  /// Windows in a batch of span corruption, and the tokens of each.
  public var spansBatchSize = 32, spansWindow = 72
  /// The share of tokens that span corruption takes out, and the mean length of a span.
  public var corruptionRate = 0.15, meanSpanLength = 3.0

  /// The values that the starter model was made with.
  public init() {}

  /// Reads a recipe: the keys of a JSON file over these values.
  ///
  /// - Throws: `TrainingError.recipe` for an unknown key, a wrong type or a value out of range.
  public init(contentsOf url: URL) throws(TrainingError) {
    do {
      self = try Recipe.merged(Recipe.json(contentsOf: url), over: PretrainingRecipe())
    } catch TrainingError.recipe(_, let reason) {
      throw .recipe(path: url.path, reason: reason)
    } catch let error as TrainingError {
      throw error
    } catch {
      throw .recipe(path: url.path, reason: "is not a recipe: \(error.reason)")
    }
    try validate(path: url.path)
  }

  /// Checks the ranges of all values.
  ///
  /// - Throws: `TrainingError.recipe` that names the first value out of range.
  public func validate(path: String = "recipe") throws(TrainingError) {
    func require(_ isFine: Bool, _ what: String) throws(TrainingError) {
      if !isFine { throw .recipe(path: path, reason: what) }
    }
    let tasks = [
      weights.keywords, weights.cloze, weights.questions, weights.halves, weights.spans,
    ]
    try require(
      tasks.allSatisfy { $0 >= 0 && $0.isFinite } && tasks.reduce(0, +) > 0,
      "weights must be 0 or more, and one of them above")
    try require((1...64).contains(identifierLength), "identifierLength must be 1 to 64")
    try require(
      (2...4096).contains(maximumQueryLength) && (2...4096).contains(maximumDocumentLength),
      "maximumQueryLength and maximumDocumentLength must be 2 to 4096")
    try require(
      shortestWindow >= 2 && shortestWindow <= longestWindow && longestWindow <= 4096,
      "windows must have 2 to 4096 tokens, the shortest no more than the longest")
    try require((0..<1).contains(tokenDropRate), "tokenDropRate must be 0 or more and below 1")
    if let problem = optimization.problem {
      throw .recipe(path: path, reason: "optimization: \(problem)")
    }
    try require(
      (2...(1 << 20)).contains(halvesBatchSize) && (1...(1 << 20)).contains(spansBatchSize),
      "spansBatchSize must be 1 to 1048576 and halvesBatchSize 2 to 1048576")
    try require(
      (4...4096).contains(halfLength) && (8...4096).contains(spansWindow),
      "halfLength must be 4 to 4096 and spansWindow 8 to 4096")
    try require(temperature > 0 && temperature.isFinite, "temperature must be above 0")
    try require(
      corruptionRate > 0 && corruptionRate <= 0.5 && meanSpanLength >= 1 && meanSpanLength <= 64,
      "corruptionRate must be above 0 and at most 0.5, meanSpanLength 1 to 64")
    try require(
      (1...(1 << 40)).contains(vocabularyCharacters), "vocabularyCharacters must be 1 to \(1 << 40)"
    )
    try require(
      (16...1_000_000).contains(vocabularySize), "vocabularySize must be 16 to 1000000")
  }
}

extension PretrainingRecipe {
  /// This recipe without the values that may change while a run goes on, as `Recipe.unchangeable`.
  var unchangeable: Self {
    var recipe = self
    recipe.optimization = optimization.unchangeable
    return recipe
  }
}

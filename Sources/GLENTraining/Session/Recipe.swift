/// Every number that decides a training run.
///
/// The resolved recipe is saved with the model.
public struct Recipe: Sendable, Codable, Equatable {
  /// What both phases have.
  public struct Optimization: Sendable, Codable, Equatable {
    /// The number of updates.
    public var steps: Int
    /// Sequences (phase 1) or queries (phase 2) of one forward computation.
    public var batchSize: Int
    /// Forward computations of one update.
    public var accumulation = 1
    /// The peak learning rate of encoder and table.
    public var learningRate: Float
    /// The peak learning rate of the decoder.
    public var decoderLearningRate: Float
    /// Steps until the peak.
    public var warmupSteps = 0
    /// The way down from the peak.
    public var schedule = LearningRateSchedule.Shape.linear
    /// AdamW's weight decay.
    public var weightDecay: Float = 1e-4
    /// The norm that gradients are clipped to; 0 does not clip.
    public var clippingNorm: Float = 1
    /// The loss beyond which the run has diverged and ends; 0 for none.
    public var largestLoss: Float = 1e3
    /// The gradients' norm, before clipping, beyond which the run has diverged; 0 for none.
    public var largestGradientNorm: Float = 1e8
    /// Dropout while training; the model's own rate if nil.
    public var dropout: Float?
    /// Updates between checkpoints; 0 for none.
    public var checkpointInterval = 500
    /// Updates between validations, the best of which is kept; 0 keeps the last.
    public var validationInterval = 0
    /// What makes one validation better than another.
    public var bestBy = ValidationMeasure.meanReciprocalRank
    /// The validations in turn without a better one after which the phase ends; 0 never ends it.
    public var patience = 0
  }

  /// What a validation's worth is measured by.
  public enum ValidationMeasure: String, Sendable, Codable, CaseIterable {
    /// The mean reciprocal rank within ten, which moves with Recall@1 in smaller steps.
    case meanReciprocalRank = "MRR@10"
    /// The share of queries whose first document is a positive one: the paper's choice.
    case recall = "R@1"

    /// What reports call its values.
    var metricName: String { "validation/" + rawValue }
  }

  /// Phase 1: keyword-based identifier assignment.
  public struct Keywords: Sendable, Codable, Equatable {
    /// The optimisation.
    public var optimization: Optimization
    /// How often an epoch has each training query.
    public var queryWeight = 1
    /// How often an epoch has each generated query, if a file of them is given.
    public var generatedWeight = 1
    /// How often an epoch has each document's beginning.
    public var documentWeight = 1
    /// How often an epoch has a random chunk of each document.
    public var chunkWeight = 1
    /// The most tokens of a chunk.
    public var chunkLength = 64
    /// The fewest tokens of a chunk; 0 makes all chunks as long as the longest.
    ///
    /// Short chunks stand in for questions, about documents too that no training question asks for.
    public var shortestChunkLength = 0
    /// The lengths that a chunk may have.
    var chunkLengths: ClosedRange<Int> {
      min(shortestChunkLength > 0 ? shortestChunkLength : chunkLength, chunkLength)...chunkLength
    }
    /// The probability that an input token is left out, for half of the examples.
    public var tokenDropRate: Double = 0
    /// Whether targets end with the end token.
    public var targetsEnd = true
    /// Whether the phase ends with a mean of the model that it began with and of its last one where that
    /// does better in validation than any model on the way.
    public var mixesBeginning = false
    /// The contrast between texts and corrupted copies of them.
    public var contrast = Contrast()
  }

  /// What tells a text of phase 1 and a corrupted copy of it from the rest of the batch.
  public struct Contrast: Sendable, Codable, Equatable {
    /// Its weight in the loss; with 0 there are no copies.
    public var weight: Float = 0
    /// The fewest characters of a copy, a random span of the text; a shorter text is taken whole.
    public var shortestSpan = 100
    /// The share of copies whose tokens become padding at `paddingRate`.
    public var paddingShare = 0.5
    /// The probability that a token of such a copy becomes padding.
    public var paddingRate = 0.1
  }

  /// Phase 2: ranking-based identifier refinement.
  public struct Refinement: Sendable, Codable, Equatable {
    /// The optimisation.
    public var optimization: Optimization
    /// The negative documents of each query, N_neg.
    public var negatives = 8
    /// Whether negatives share a prefix with the positive; otherwise they are random.
    public var usesPrefixNegatives = true
    /// λ_point.
    public var pointwiseWeight: Float = 0.5
    /// λ_dist.
    public var distanceWeight: Float = 0.5
    /// Whether the pairwise loss counts.
    public var hasPairwise = true
    /// Whether the temperature falls as exp(-epoch); otherwise it is at its lowest throughout.
    public var anneals = true
    /// The lowest temperature.
    public var lowestTemperature: Float = 1e-5
    /// How often an epoch has each training query.
    public var queryWeight = 1
    /// How often an epoch has a random chunk of each document in a query's place, of the lengths
    /// that phase 1 takes: queries for documents that have none.
    public var chunkWeight = 0
    /// The probability that a query token is left out, for half of the queries.
    public var tokenDropRate: Double = 0
    /// The most tokens of a document while training, where that is less than the model's own limit; 0 for that.
    public var documentLength = 0
    /// How many queries go through the network at once, by a gradient cache; 0 for all.
    public var queryChunkSize = 0
    /// The same of documents.
    public var documentChunkSize = 0
  }

  /// The identifier's length n.
  public var identifierLength = 3
  /// The most tokens of a query.
  public var maximumQueryLength = 32
  /// The most tokens of a document.
  public var maximumDocumentLength = 156
  /// Pieces of a vocabulary that is trained on the corpus.
  public var vocabularySize = 8000
  /// Whether decoder steps are fed with tokens instead of states (an ablation).
  public var feedsTokens = false
  /// Whether what a block of the encoder computes is computed again on the way back, not kept
  /// (`T5Model.recomputesBlocks`): less memory, more time, the same numbers.
  public var recomputesBlocks = false
  /// How many documents validation ranks: those that answer its queries and, up to this number, others
  /// that the seed draws; 0 for the whole corpus.
  ///
  /// Where indexing all of them takes hours. Fewer documents are easier: its values are higher then than
  /// those of an evaluation, and to be compared only with each other.
  public var validationDocuments = 0
  /// Whether a model from random weights begins by copying words (`T5Model.beginCopying`) in a table
  /// where those of the same documents lie close.
  ///
  /// A starter's table is counted whatever this says, and a folder's never.
  public var beginsCopying = false
  /// Phase 1.
  public var keywords: Keywords
  /// Phase 2.
  public var refinement: Refinement
  /// Learning to generate queries, no part of the method itself.
  public var queries: Optimization

  /// The paper's values for NQ320k.
  public static let paper = Recipe(
    keywords: Keywords(
      optimization: Optimization(
        steps: 3_000_000, batchSize: 32, accumulation: 8, learningRate: 2e-4,
        decoderLearningRate: 1e-4, clippingNorm: 0, validationInterval: 5000, bestBy: .recall),
      contrast: Contrast(weight: 0.15)),
    refinement: Refinement(
      optimization: Optimization(
        steps: 30_000, batchSize: 128, learningRate: 5e-5, decoderLearningRate: 5e-5,
        clippingNorm: 0, checkpointInterval: 100, validationInterval: 100, bestBy: .recall),
      queryChunkSize: 128, documentChunkSize: 64),
    queries: Optimization(
      steps: 4000, batchSize: 32, accumulation: 8, learningRate: 1e-4, decoderLearningRate: 1e-4))

  /// A small corpus and a small model from random weights, in minutes on a processor.
  public static let small = Recipe(
    beginsCopying: true,
    keywords: Keywords(
      optimization: Optimization(
        steps: 2500, batchSize: 64, learningRate: 2e-3, decoderLearningRate: 2e-3,
        warmupSteps: 50, schedule: .squareRoot, dropout: 0, validationInterval: 500),
      queryWeight: 2, chunkWeight: 8, chunkLength: 48, shortestChunkLength: 6, tokenDropRate: 0.5,
      targetsEnd: false, mixesBeginning: true),
    refinement: Refinement(
      optimization: Optimization(
        steps: 80, batchSize: 32, learningRate: 1e-4, decoderLearningRate: 1e-4, dropout: 0,
        validationInterval: 20),
      negatives: 4, queryWeight: 2, chunkWeight: 4, tokenDropRate: 0.5, documentLength: 64),
    queries: Optimization(
      steps: 1000, batchSize: 32, learningRate: 1e-3, decoderLearningRate: 1e-3, warmupSteps: 50,
      schedule: .squareRoot, dropout: 0))

  /// A recipe by name.
  public static func preset(_ name: String) -> Recipe? {
    switch name {
    case "paper": .paper
    case "small": .small
    default: nil
    }
  }
}

extension Recipe {
  /// This recipe without the values that may change while a run goes on: what a checkpoint must agree on.
  ///
  /// They are how long and how fast a phase goes, what ends it, how often it is saved and measured, and
  /// how much memory it takes. The data's order and what a measure means follow from the others.
  var unchangeable: Recipe {
    var recipe = self
    for path in [\Recipe.keywords.optimization, \.refinement.optimization, \.queries] {
      recipe[keyPath: path] = recipe[keyPath: path].unchangeable
    }
    recipe.recomputesBlocks = false
    (recipe.refinement.queryChunkSize, recipe.refinement.documentChunkSize) = (0, 0)
    return recipe
  }
}

extension Recipe.Optimization {
  /// Encodes all keys, `dropout` as null where it is nil: laid over another recipe, what is written is this one.
  public func encode(to encoder: any Encoder) throws {
    var values = encoder.container(keyedBy: CodingKeys.self)
    try values.encode(steps, forKey: .steps)
    try values.encode(batchSize, forKey: .batchSize)
    try values.encode(accumulation, forKey: .accumulation)
    try values.encode(learningRate, forKey: .learningRate)
    try values.encode(decoderLearningRate, forKey: .decoderLearningRate)
    try values.encode(warmupSteps, forKey: .warmupSteps)
    try values.encode(schedule, forKey: .schedule)
    try values.encode(weightDecay, forKey: .weightDecay)
    try values.encode(clippingNorm, forKey: .clippingNorm)
    try values.encode(largestLoss, forKey: .largestLoss)
    try values.encode(largestGradientNorm, forKey: .largestGradientNorm)
    try values.encode(dropout, forKey: .dropout)
    try values.encode(checkpointInterval, forKey: .checkpointInterval)
    try values.encode(validationInterval, forKey: .validationInterval)
    try values.encode(bestBy, forKey: .bestBy)
    try values.encode(patience, forKey: .patience)
  }

  /// These numbers without those that may change while a run goes on.
  var unchangeable: Self {
    var rest = Self(
      steps: 0, batchSize: batchSize, accumulation: accumulation, learningRate: 0,
      decoderLearningRate: 0)
    (rest.dropout, rest.bestBy) = (dropout, bestBy)
    return rest
  }
}

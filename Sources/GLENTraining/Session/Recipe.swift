#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

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
  public enum ValidationMeasure: String, Sendable, Codable {
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
    /// The most tokens of a document while training; 0 for the model's own limit.
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
        clippingNorm: 0, validationInterval: 100, bestBy: .recall),
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
  /// Reads a recipe: the keys of a JSON file over those of `base`.
  ///
  /// Two keys are no values: `preset` names another base, `about` says what the file is for.
  ///
  /// - Throws: `TrainingError.recipe` for a file that cannot be read, an unknown key, or a value of
  ///   the wrong type or out of range.
  public init(contentsOf url: URL, over base: Recipe) throws(TrainingError) {
    guard let data = try? Data(contentsOf: url) else {
      throw .fileNotFound(path: url.path, expected: "a recipe in JSON")
    }
    do {
      self = try Self.merged(JSONDecoder().decode(JSONValue.self, from: data), over: base)
    } catch TrainingError.recipe(_, let reason) {
      throw .recipe(path: url.path, reason: reason)
    } catch {
      throw .recipe(path: url.path, reason: "is not a recipe: \(error)")
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
    try require((1...64).contains(identifierLength), "identifierLength must be 1 to 64")
    try require(
      (2...4096).contains(maximumQueryLength) && (2...4096).contains(maximumDocumentLength),
      "the maximum lengths must be 2 to 4096")
    try require((16...(1 << 22)).contains(vocabularySize), "vocabularySize must be 16 or more")
    for (name, o) in [
      ("keywords", keywords.optimization), ("refinement", refinement.optimization),
      ("queries", queries),
    ] {
      try require(o.steps >= 0, "\(name): steps must not be negative")
      try require(
        (1...(1 << 20)).contains(o.batchSize) && (1...(1 << 20)).contains(o.accumulation),
        "\(name): batchSize and accumulation must be at least 1")
      try require(
        o.learningRate > 0 && o.learningRate < 1 && o.decoderLearningRate > 0
          && o.decoderLearningRate < 1, "\(name): learning rates must be between 0 and 1")
      try require(
        o.warmupSteps >= 0 && o.weightDecay >= 0 && o.clippingNorm >= 0
          && o.largestLoss >= 0 && o.largestGradientNorm >= 0
          && (0..<1).contains(o.dropout ?? 0) && o.checkpointInterval >= 0
          && o.validationInterval >= 0 && o.patience >= 0,
        "\(name): a value is below 0, or the dropout not below 1")
      try require(
        o.patience == 0 || o.validationInterval > 0,
        "\(name): patience counts validations; set validationInterval above 0")
    }
    let k = keywords
    let weights = [
      ("keywords", [k.queryWeight, k.generatedWeight, k.documentWeight, k.chunkWeight]),
      ("refinement", [refinement.queryWeight, refinement.chunkWeight]),
    ]
    for (name, weights) in weights {
      try require(
        weights.allSatisfy { (0...1000).contains($0) } && weights.contains { $0 > 0 },
        "\(name): weights must be 0 to 1000 and not all 0")
    }
    try require(k.chunkLength >= 2, "keywords: chunkLength must be at least 2")
    try require(
      k.queryWeight >= 0 && k.documentWeight >= 0 && k.chunkWeight >= 0
        && k.queryWeight + k.documentWeight + k.chunkWeight > 0 && k.chunkLength >= 2
        && (k.shortestChunkLength == 0 || (2...k.chunkLength).contains(k.shortestChunkLength))
        && (0..<1).contains(k.tokenDropRate),
      "keywords: weights must not be negative nor all zero, shortestChunkLength 2 to chunkLength, "
        + "tokenDropRate below 1")
    let c = k.contrast
    try require(
      (0...1000).contains(c.weight) && c.shortestSpan >= 0 && (0...1).contains(c.paddingShare)
        && (0...1).contains(c.paddingRate),
      "keywords.contrast: weight must be 0 to 1000, shortestSpan not negative, paddingShare and "
        + "paddingRate 0 to 1")
    try require(
      refinement.queryChunkSize >= 0 && refinement.documentChunkSize >= 0,
      "refinement: queryChunkSize and documentChunkSize must not be negative")
    try require(
      (0...4096).contains(refinement.negatives) && refinement.queryWeight >= 0
        && refinement.chunkWeight >= 0 && refinement.lowestTemperature > 0
        && (0..<1).contains(refinement.tokenDropRate) && refinement.documentLength >= 0,
      "refinement: negatives must be 0 to 4096, weights not negative, lowestTemperature above 0")
  }

  /// Changes one value by an assignment such as `keywords.optimization.steps=4000`.
  ///
  /// - Throws: `TrainingError.recipe` for what is no assignment, an unknown key, or a value of the
  ///   wrong type or out of range.
  public mutating func set(_ assignment: String) throws(TrainingError) {
    let parts = assignment.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
    guard parts.count == 2, !parts[0].isEmpty else {
      throw .recipe(
        path: assignment, reason: "is no assignment; expected key=value, as in identifierLength=7")
    }
    guard parts[0] != "preset", parts[0] != "about" else {
      throw .recipe(
        path: assignment,
        reason: "a preset would undo what was set before it; name it in the recipe's file, or use "
          + "--preset")
    }
    let literal = try? JSONDecoder().decode(JSONValue.self, from: Data(parts[1].utf8))
    var change = literal ?? .string(String(parts[1]))
    for key in parts[0].split(separator: ".", omittingEmptySubsequences: false).reversed() {
      change = .object([String(key): change])
    }
    let changed: Recipe
    do {
      changed = try Self.merged(change, over: self)
    } catch TrainingError.recipe(_, let reason) {
      throw .recipe(path: assignment, reason: reason)
    } catch {
      throw .recipe(path: assignment, reason: "is not a recipe: \(error)")
    }
    try changed.validate(path: assignment)
    self = changed
  }

  private static func merged(_ changes: JSONValue, over base: Recipe) throws -> Recipe {
    guard case .object(var keys) = changes else {
      throw TrainingError.recipe(path: "recipe", reason: "expected an object with a recipe's keys")
    }
    var base = base
    if case .string(let name) = keys.removeValue(forKey: "preset") {
      guard let preset = Self.preset(name) else {
        throw TrainingError.recipe(
          path: "recipe", reason: "no preset is called \(name); known: paper, small")
      }
      base = preset
    }
    keys["about"] = nil
    return try overlaid(.object(keys), over: base)
  }

  /// The keys of a JSON object over those of a recipe of any kind.
  static func merged<Value: Codable>(_ data: Data, over base: Value) throws -> Value {
    let changes = try JSONDecoder().decode(JSONValue.self, from: data)
    guard case .object(var keys) = changes else {
      throw TrainingError.recipe(path: "recipe", reason: "expected an object with a recipe's keys")
    }
    keys["about"] = nil
    return try overlaid(.object(keys), over: base)
  }

  private static func overlaid<Value: Codable>(
    _ changes: JSONValue, over base: Value
  ) throws -> Value {
    let encoded = try JSONEncoder().encode(base)
    let values = try JSONDecoder().decode(JSONValue.self, from: encoded)
    func recipe(_ changes: JSONValue) throws -> Value {
      let merged = try values.overlaid(with: changes, path: "")
      return try JSONDecoder().decode(Value.self, from: JSONEncoder().encode(merged))
    }
    do {
      return try recipe(changes)
    } catch is DecodingError {
      // The decoder does not always say where; the values are tried one by one.
      for (path, change) in changes.leaves where (try? recipe(change)) == nil {
        throw TrainingError.recipe(
          path: "recipe", reason: "\(path): a recipe's value of that name is of another kind")
      }
      throw TrainingError.recipe(path: "recipe", reason: "is not a recipe")
    }
  }
}

/// Any JSON, for laying one object over another.
private indirect enum JSONValue: Codable {
  case object([String: JSONValue])
  case number(Double)
  case string(String)
  case bool(Bool)
  case array([JSONValue])
  case null

  init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    if let object = try? container.decode([String: JSONValue].self) {
      self = .object(object)
    } else if let bool = try? container.decode(Bool.self) {
      self = .bool(bool)
    } else if let number = try? container.decode(Double.self) {
      self = .number(number)
    } else if let string = try? container.decode(String.self) {
      self = .string(string)
    } else if let array = try? container.decode([JSONValue].self) {
      self = .array(array)
    } else {
      self = .null
    }
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    switch self {
    case .object(let object): try container.encode(object)
    case .number(let number): try container.encode(number)
    case .string(let string): try container.encode(string)
    case .bool(let bool): try container.encode(bool)
    case .array(let array): try container.encode(array)
    case .null: try container.encodeNil()
    }
  }

  /// Every value that is no object, with its path, alone in objects of its own.
  var leaves: [(path: String, alone: JSONValue)] {
    guard case .object(let object) = self, !object.isEmpty else { return [("", self)] }
    return object.sorted { $0.key < $1.key }.flatMap { key, value in
      value.leaves.map { leaf in
        (leaf.path.isEmpty ? key : key + "." + leaf.path, .object([key: leaf.alone]))
      }
    }
  }

  /// This value with the keys of another over its own; an unknown key is an error.
  func overlaid(with changes: JSONValue, path: String) throws -> JSONValue {
    guard case .object(var own) = self, case .object(let others) = changes else { return changes }
    for (key, value) in others {
      // `dropout` is absent from the encoded base where it is nil.
      let isDropout = key == "dropout" && (path.hasSuffix("optimization.") || path == "queries.")
      guard let old = own[key] ?? (isDropout ? .null : nil) else {
        throw TrainingError.recipe(
          path: "recipe",
          reason: "unknown key \(path)\(key); known: \(own.keys.sorted().joined(separator: ", "))")
      }
      own[key] = try old.overlaid(with: value, path: path + key + ".")
    }
    return .object(own)
  }
}

import GLENIndex
import GLENModel
import GLENPlatform
import GLENTensor
import GLENText
import Logging

/// A pre-training run: from text to a model folder that training can begin from.
public struct PretrainingSession {
  /// The numbers.
  public var recipe: PretrainingRecipe
  /// The shape of the network; the vocabulary's size follows from the tokenizer.
  public var configuration: T5Configuration
  /// A model folder to go on from, with its vocabulary, instead of random weights.
  public var initialURL: URL?
  /// The seed of all random numbers.
  public var seed: UInt64 = 1
  /// Whether to go on from the output's checkpoint.
  public var resumes = false
  /// Where the arithmetic happens.
  public var backend: any Backend = CPUBackend.shared
  /// Where messages go.
  public var logger = Logger(label: "glen.pretrain") { _ in SwiftLogNoOpLogHandler() }
  /// Receives every update's progress.
  public var report: (TrainingProgress) -> Void = { _ in }
  /// Asked before every update; true saves a checkpoint and ends with `CancellationError`.
  public var shouldStop: () -> Bool = { Task.isCancelled }

  /// A run from random weights of a shape.
  public init(recipe: PretrainingRecipe, configuration: T5Configuration) {
    self.recipe = recipe
    self.configuration = configuration
  }

  /// Trains and saves the model.
  ///
  /// - Returns: the saved model; until the end the folder has `checkpoint.safetensors` too.
  /// - Throws: `TrainingError`, `ModelError`, `TensorError`, `TokenizerError`, `CancellationError`.
  public func run(_ text: PretrainingText, to output: URL) throws -> ModelFolder {
    try recipe.validate()
    try TrainingSession.makeFolder(output)
    let lock = try RunLock(output)
    defer { lock.release() }
    let checkpointURL = try TrainingSession.checkpointURL(in: output, resumes: resumes)
    AtomicFile.removeLeftovers(in: output)
    let keepsModel = TrainingSession.hasFinishedModel(in: output)
    let tokenizer = try tokenizer(for: text, in: output)
    var model = try model(for: tokenizer)
    let size = model.configuration.vocabularySize
    let settings = IdentifierSettings(
      identifierLength: recipe.identifierLength, maximumQueryLength: recipe.maximumQueryLength,
      maximumDocumentLength: recipe.maximumDocumentLength,
      maskedTokens: IdentifierSettings.maskedTokens(
        pieceCount: tokenizer.pieceCount, vocabularySize: size, isSpecial: tokenizer.isSpecial))
    // As in T5 the first sentinel is the last of the hundred rows above the pieces.
    let sentinels = (0..<100).map { Int32(tokenizer.pieceCount + 99 - $0) }
      .filter { Int($0) < size }
    if recipe.weights.spans > 0, sentinels.isEmpty {
      throw TrainingError.trainingData(
        reason: "span corruption needs sentinels, and the table of the model has no rows above its "
          + "\(tokenizer.pieceCount) pieces; set weights.spans to 0")
    }
    if recipe.optimization.validationInterval > 0 {
      logger.warning("pre-training is not validated; validationInterval has no effect")
    }
    let corpus = try PretrainingCorpus(
      text, tokenizer: tokenizer, recipe: recipe, sentinels: sentinels)
    logger.info(
      """
      \(counted(corpus.passages.count, "passage")), \(counted(corpus.questions.count, "question")), \
      \(tokenizer.pieceCount) pieces, \(model.parameterCount) parameters
      """)
    if initialURL == nil {
      let tokens = TokenSequences(corpus.passages.map(\.tokens))
      try model.begin(with: tokens, key: RandomKey(seed: seed).split(3))
    }
    let w = recipe.weights
    if corpus.questions.isEmpty, w.keywords + w.cloze + w.halves + w.spans == 0 {
      throw TrainingError.trainingData(
        reason: "the recipe's weights leave nothing but questions, and the text has none")
    }
    let key = RandomKey(seed: seed)
    var objective = PretrainingObjective(
      corpus, recipe: recipe, settings: settings,
      mask: try settings.mask(vocabularySize: size, on: backend), key: key.split(1))
    var trainer = PhaseTrainer(key: key.split(2))
    trainer.checkpointURL = checkpointURL
    (trainer.fingerprint, trainer.recipe) = (
      try fingerprint(text), try TrainingSession.json(recipe)
    )
    trainer.report = report
    trainer.shouldStop = shouldStop
    if resumes {
      let checkpoint = try Checkpoint.newest(at: checkpointURL) { logger.warning("\($0)") }
      guard try trainer.resume(&model, &objective, from: checkpoint) else {
        throw TrainingError.checkpoint(
          path: checkpointURL.path, reason: "is not one of pre-training")
      }
      try checkpoint.takePlace(of: checkpointURL)
      for change in checkpoint.changes(to: trainer.recipe) { logger.warning("\(change)") }
      logger.info("going on from step \(trainer.step) of \(recipe.optimization.steps)")
    }
    do {
      try trainer.train(&model, &objective)
    } catch is CancellationError {
      // What has been learned so far can be used too, but not in place of a model that is complete.
      if keepsModel {
        logger.warning("the model in the folder stays until this run has ended")
      } else {
        try TrainingSession.save(
          model, settings, tokenizer, recipe: recipe, to: output, isFinished: false)
      }
      throw CancellationError()
    }
    try TrainingSession.save(model, settings, tokenizer, recipe: recipe, to: output)
    Checkpoint.remove(at: checkpointURL)
    try? FileManager.default.removeItem(at: Self.vocabularyURL(in: output))
    AtomicFile.removeLeftovers(in: output)
    return try ModelFolder(opening: output, on: backend)
  }

  private static func vocabularyURL(in output: URL) -> URL {
    output.appendingPathComponent("checkpoint.spiece.model")
  }

  /// What a checkpoint must agree on.
  private func fingerprint(_ text: PretrainingText) throws -> [String: String] {
    let numbers = String(decoding: try TrainingSession.json(recipe.unchangeable), as: UTF8.self)
    var checksum = TextChecksum()
    for passage in text.passages { checksum.add(passage.fullText) }
    for (question, answer) in text.questions {
      checksum.add(question)
      checksum.add(answer)
    }
    return ["recipe": numbers, "seed": "\(seed)", "text": "\(checksum.value)"]
  }

  private func tokenizer(
    for text: PretrainingText, in output: URL
  ) throws -> SentencePieceTokenizer {
    if let initialURL {
      return try SentencePieceTokenizer(
        contentsOf: initialURL.appendingPathComponent("spiece.model"), sentinelCount: 0)
    }
    let own = Self.vocabularyURL(in: output)
    if resumes, FileManager.default.fileExists(atPath: own.path) {
      return try SentencePieceTokenizer(contentsOf: own, sentinelCount: 0)
    }
    let length = text.passages.reduce(0) { $0 + $1.text.utf8.count }
    let step = max(1, (length + recipe.vocabularyCharacters - 1) / recipe.vocabularyCharacters)
    let sample = stride(from: 0, to: text.passages.count, by: step).map {
      TextCleaning.clean(text.passages[$0].fullText)
    }
    logger.info(
      "training a vocabulary of \(recipe.vocabularySize) pieces on \(counted(sample.count, "passage"))"
    )
    return try SentencePieceTokenizer.train(
      sentences: sample, vocabularySize: recipe.vocabularySize, to: own, lowercased: true)
  }

  private func model(for tokenizer: SentencePieceTokenizer) throws -> T5Model {
    if let initialURL {
      let model = try T5Model(folder: initialURL, on: backend) { logger.warning("\($0)") }
      try model.requireFloat32(path: initialURL.path, to: "train")
      return model
    }
    var configuration = configuration
    configuration.vocabularySize = (tokenizer.pieceCount + 100 + 15) / 16 * 16
    return try T5Model(
      random: configuration, key: RandomKey(seed: seed).split(0), on: backend)
  }
}

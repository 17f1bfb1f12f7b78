import Foundation
import GLENIndex
import GLENModel
import GLENTensor
import GLENText
import Logging

/// A whole training run: from a BEIR folder to a model folder.
public struct TrainingSession {
  /// What the network begins from.
  public enum Start: Sendable {
    /// Random weights of a shape; the vocabulary's size follows from the tokenizer.
    case random(T5Configuration)
    /// A T5 folder, Hugging Face's or GLEN's, with its `spiece.model`.
    case folder(URL)
    /// A pre-trained network's layers, with a table for the corpus's own vocabulary.
    case starter(Starter)
  }

  /// A phase of training.
  public enum Phase: String, Sendable, CaseIterable {
    /// Query generation, no part of the method itself: document in, query out.
    case queries
    /// Keyword-based identifier assignment.
    case keywords
    /// Ranking-based identifier refinement.
    case refine
  }

  /// The numbers.
  public var recipe: Recipe
  /// What the network begins from.
  public var start: Start
  /// A SentencePiece model to use instead of the start's own, or of a new one.
  public var tokenizerURL: URL?
  /// A folder where the tokens of corpora are kept for other runs; nil keeps none.
  public var cacheFolder: URL?
  /// Files of generated queries (`GeneratedQueries`), from which phase 1 learns too.
  public var generatedQueryURLs: [URL] = []
  /// How many malformed lines of each of these files to leave out before failing.
  public var malformedLineLimit = 0
  /// What to run, in the method's order.
  public var phases: [Phase] = [.keywords, .refine]
  /// The seed of all random numbers.
  public var seed: UInt64 = 1
  /// Whether to go on from the output's checkpoint.
  public var resumes = false
  /// Where the arithmetic happens.
  public var backend: any Backend = CPUBackend.shared
  /// Where messages go.
  public var logger = Logger(label: "glen.train") { _ in SwiftLogNoOpLogHandler() }
  /// Receives every update's progress.
  public var report: (TrainingProgress) -> Void = { _ in }
  /// Asked before every step; true saves a checkpoint and ends with `CancellationError`.
  public var shouldStop: () -> Bool = { Task.isCancelled }
  /// Called with the saved model when a phase has ended.
  public var phaseEnded: (Phase, ModelFolder) throws -> Void = { _, _ in }

  /// A run of both phases.
  public init(recipe: Recipe, start: Start) {
    self.recipe = recipe
    self.start = start
  }

  /// Trains, and saves the model after each phase.
  ///
  /// The folder then holds `config.json`, `model.safetensors`, `spiece.model`, `glen.json` and
  /// `recipe.json`; until the end, `checkpoint.safetensors` and, for a vocabulary of its own,
  /// `checkpoint.spiece.model` too. An earlier model in the folder stays until a phase has ended.
  ///
  /// - Returns: the saved model.
  /// - Throws: `TrainingError`, `ModelError`, `TensorError`, `TokenizerError`, `CancellationError`.
  public func run(_ dataset: RetrievalDataset, to output: URL) throws -> ModelFolder {
    try recipe.validate()
    guard !dataset.documents.isEmpty else {
      throw TrainingError.trainingData(reason: "the corpus has no documents")
    }
    try Self.makeFolder(output)
    let checkpoint = try Self.checkpoint(in: output, resumes: resumes)
    AtomicFile.removeLeftovers(in: output)
    let tokenizer = try tokenizer(for: dataset, in: output)
    var model = try model(for: tokenizer)
    model.recomputesBlocks = recipe.recomputesBlocks
    let size = model.configuration.vocabularySize
    let settings = IdentifierSettings(
      identifierLength: recipe.identifierLength, maximumQueryLength: recipe.maximumQueryLength,
      maximumDocumentLength: recipe.maximumDocumentLength,
      maskedTokens: IdentifierSettings.maskedTokens(
        pieceCount: tokenizer.pieceCount, vocabularySize: size),
      feedsTokens: recipe.feedsTokens)
    logger.info("tokenising \(counted(dataset.documents.count, "document"))")
    let cache = cacheFolder.map { TokenCache(folder: $0, vocabulary: tokenizer.modelData) }
    let corpus = try TrainingCorpus(
      dataset, tokenizer: tokenizer, recipe: recipe,
      generatedQueries: generatedQueries(for: dataset), cache: cache)
    let counting = RandomKey(seed: seed).split(4)
    switch start {
    case .random where recipe.beginsCopying:
      try model.begin(with: corpus.documents, key: counting)
    case .starter(let starter):
      let transfer = try starter.table(
        for: tokenizer, documents: corpus.documents, vocabularySize: size, key: counting)
      let share = Int((100 * transfer.sharedShare).rounded())
      logger.info(
        """
        beginning from \(starter), which knows \(counted(transfer.sharedCount, "piece")) of the \
        corpus, \(share) % of its text
        """)
      if transfer.sharedShare < Self.leastSharedShare {
        logger.warning("so little is hardly a beginning; random weights may do better")
      }
      try model.replaceTable(transfer.rows)
    case .random, .folder: break
    }
    let validator = try Validator(
      dataset, split: "dev", corpus: corpus, tokenizer: tokenizer, settings: settings)
    logger.info(
      """
      \(counted(corpus.documents.count, "document")), \
      \(counted(corpus.questions.count, "training question")), \
      \(tokenizer.pieceCount) pieces, \(model.parameterCount) parameters
      """)

    let key = RandomKey(seed: seed)
    let mask = try settings.mask(vocabularySize: size, on: backend)
    var resumeURL = resumes ? checkpoint : nil
    if phases.contains(.refine) {
      // What phase 2 cannot use should be known before phase 1, and not after it.
      _ = try RefinementObjective(
        corpus, recipe: recipe, settings: settings, mask: mask, key: key)
    }
    for phase in phases {
      // A checkpoint of a later phase: this one's work is in it.
      if let url = resumeURL, try Self.phase(of: url) != phase.rawValue { continue }
      let stream = [Phase.keywords: 10, .refine: 11, .queries: 12][phase] ?? 0
      var trainer = PhaseTrainer(key: key.split(stream))
      trainer.checkpointURL = checkpoint
      trainer.fingerprint = try fingerprint(corpus, model.configuration)
      trainer.shouldStop = shouldStop
      var measurements: [LossPart] = []
      if let validator, phase != .queries {
        let optimization =
          phase == .keywords ? recipe.keywords.optimization : recipe.refinement.optimization
        trainer.validate = {
          let (value, parts) = try validator.measure($0, by: optimization.bestBy)
          measurements = parts
          return value
        }
      }
      trainer.report = { progress in
        var progress = progress
        if progress.validation != nil { progress.measurements = measurements }
        report(progress)
      }
      switch phase {
      case .queries:
        var objective = try QueryGenerationObjective(corpus, recipe: recipe, key: key.split(3))
        try run(&trainer, &model, &objective, resuming: resumeURL)
      case .keywords:
        var objective = try KeywordObjective(corpus, recipe: recipe, key: key.split(1))
        if recipe.keywords.mixesBeginning, let validator {
          trainer.beginning = model
          trainer.mix = { beginning, last, kept in
            try Self.mixture(of: beginning, and: last, betterThan: kept) {
              try validator.measure($0, by: recipe.keywords.optimization.bestBy).value
            }
          }
        }
        try run(&trainer, &model, &objective, resuming: resumeURL)
        // Whoever is stopped in the next phase before its first checkpoint goes on from here.
        if phase != phases.last {
          try trainer.saveCheckpoint(model, objective, memory: objective.memory)
        }
      case .refine:
        var objective = try RefinementObjective(
          corpus, recipe: recipe, settings: settings, mask: mask, key: key.split(2))
        try run(&trainer, &model, &objective, resuming: resumeURL)
      }
      resumeURL = nil
      try Self.save(model, settings, tokenizer, recipe: recipe, to: output)
      try phaseEnded(phase, ModelFolder(opening: output, on: backend))
    }
    guard resumeURL == nil else {
      throw TrainingError.checkpoint(
        path: checkpoint.path, reason: "belongs to a phase that this run does not have")
    }
    for url in [checkpoint, Self.vocabularyCheckpoint(in: output)] {
      try? FileManager.default.removeItem(at: url)
    }
    return try ModelFolder(opening: output, on: backend)
  }

  private func run(
    _ trainer: inout PhaseTrainer, _ model: inout T5Model,
    _ objective: inout some TrainingObjective, resuming url: URL?
  ) throws {
    if let url, try trainer.resume(&model, &objective, from: url) {
      logger.info(
        "\(objective.name): going on from step \(trainer.step) of \(objective.optimization.steps)")
    }
    try trainer.train(&model, &objective)
  }

  private static func vocabularyCheckpoint(in output: URL) -> URL {
    output.appendingPathComponent("checkpoint.spiece.model")
  }

  private static func phase(of checkpoint: URL) throws -> String? {
    try SafetensorsFile(contentsOf: checkpoint).metadata["phase"]
  }

  /// What part of a corpus a starter should know: of English text ours knows nine tenths.
  private static let leastSharedShare = 0.25

  /// What a checkpoint must agree on.
  private func fingerprint(
    _ corpus: TrainingCorpus, _ configuration: T5Configuration
  ) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    let numbers = String(decoding: try encoder.encode(recipe), as: UTF8.self)
    let shape = String(decoding: try encoder.encode(configuration), as: UTF8.self)
    // FNV-1a over everything that is trained on.
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    func add(_ values: some Sequence<Int>) {
      for value in values { hash = (hash ^ UInt64(bitPattern: Int64(value))) &* 0x100_0000_01b3 }
    }
    for document in corpus.documents { add(document.map(Int.init) + [-1]) }
    for question in corpus.questions {
      add(question.tokens.map(Int.init) + question.positives + [-1])
    }
    for query in corpus.generated { add(query.tokens.map(Int.init) + [query.document, -1]) }
    return "\(numbers) seed \(seed) data \(hash) network \(shape)"
  }

  private func generatedQueries(
    for dataset: RetrievalDataset
  ) throws -> [GeneratedQueries.Pair] {
    try generatedQueryURLs.flatMap { url in
      let (pairs, skipped) = try GeneratedQueries.pairs(
        contentsOf: url, of: dataset, malformedLineLimit: malformedLineLimit)
      for line in skipped.prefix(5) { logger.warning("\(line)") }
      logger.info(
        """
        \(counted(pairs.count, "generated query", "generated queries")), \
        \(counted(skipped.count, "malformed line")) in \(url.path)
        """)
      return pairs
    }
  }

  /// Makes a folder, and those above it, if they are not there.
  static func makeFolder(_ url: URL) throws {
    do {
      try AtomicFile.makeFolder(url)
    } catch TensorError.file(let path, let reason) {
      throw TrainingError.unwritableFile(path: path, reason: reason)
    }
  }

  /// Where a run keeps its checkpoint, which must be there to resume and must not be there to begin:
  /// hours of work are not overwritten because a flag was forgotten.
  ///
  /// - Throws: `TrainingError.checkpoint`.
  static func checkpoint(in output: URL, resumes: Bool) throws(TrainingError) -> URL {
    let url = output.appendingPathComponent("checkpoint.safetensors")
    let exists = FileManager.default.fileExists(atPath: url.path)
    if exists == resumes { return url }
    throw .checkpoint(
      path: url.path,
      reason: resumes
        ? "there is no checkpoint to resume; train without --resume"
        : "an unfinished run is here; go on with --resume, choose another folder, or delete this file "
          + "to begin anew")
  }

  /// The vocabulary: the one that is named, the start's, or a new one from the corpus.
  private func tokenizer(
    for dataset: RetrievalDataset, in output: URL
  ) throws -> SentencePieceTokenizer {
    if let tokenizerURL {
      return try SentencePieceTokenizer(contentsOf: tokenizerURL, sentinelCount: 0)
    }
    if case .folder(let folder) = start {
      return try SentencePieceTokenizer(
        contentsOf: folder.appendingPathComponent("spiece.model"), sentinelCount: 0)
    }
    let own = Self.vocabularyCheckpoint(in: output)
    if resumes, FileManager.default.fileExists(atPath: own.path) {
      return try SentencePieceTokenizer(contentsOf: own, sentinelCount: 0)
    }
    logger.info("training a vocabulary of \(recipe.vocabularySize) pieces")
    let texts =
      dataset.documents.map { TextCleaning.clean($0.fullText) }
      + Set(try dataset.judgements(split: "train").map(\.query)).sorted().map {
        TextCleaning.clean(dataset.queries[$0].text)
      }
    try SentencePieceTokenizer.train(
      sentences: texts, vocabularySize: recipe.vocabularySize, to: own, lowercased: true)
    return try SentencePieceTokenizer(contentsOf: own, sentinelCount: 0)
  }

  private func model(for tokenizer: SentencePieceTokenizer) throws -> T5Model {
    switch start {
    case .random(var configuration):
      configuration.vocabularySize = Self.rowCount(for: tokenizer)
      return try T5Model(
        random: configuration, key: RandomKey(seed: seed).split(0), on: backend)
    case .starter(let starter):
      // Its table is for the corpus to fill.
      var model = starter.model
      let width = model.configuration.width
      try model.replaceTable([Float](repeating: 0, count: Self.rowCount(for: tokenizer) * width))
      try model.visitParameters { _, tensor in tensor = try tensor.moved(to: backend) }
      return model
    case .folder(let folder):
      let model = try T5Model(folder: folder, on: backend) { logger.warning("\($0)") }
      try model.requireFloat32(path: folder.path, to: "train")
      guard tokenizer.pieceCount <= model.configuration.vocabularySize else {
        throw ModelError.configuration(
          path: folder.path,
          reason: "the vocabulary has \(tokenizer.pieceCount) pieces, the table only "
            + "\(model.configuration.vocabularySize) rows")
      }
      return model
    }
  }

  /// T5's own vocabulary keeps its table of 32128 rows; another is rounded up to 16.
  private static func rowCount(for tokenizer: SentencePieceTokenizer) -> Int {
    tokenizer.pieceCount == 32000 ? 32128 : (tokenizer.pieceCount + 15) / 16 * 16
  }

  /// Saves a model folder with the recipe that made it.
  static func save(
    _ model: T5Model, _ settings: IdentifierSettings, _ tokenizer: SentencePieceTokenizer,
    recipe: some Encodable, to output: URL
  ) throws {
    if let name = try model.nameOfNonFiniteParameter() {
      throw TrainingError.notFinite(weight: name)
    }
    try model.save(to: output, metadata: ModelFolder.metadata(vocabulary: tokenizer.modelData))
    try AtomicFile.write(
      tokenizer.modelData, to: output.appendingPathComponent("spiece.model"))
    try settings.save(to: output)
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
    try AtomicFile.write(
      encoder.encode(recipe), to: output.appendingPathComponent("recipe.json"))
  }
}

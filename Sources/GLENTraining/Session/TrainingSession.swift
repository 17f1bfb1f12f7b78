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

    /// What it is, by the contents of its files: two that differ have different ones.
    func summary() throws -> String {
      switch self {
      case .random(let configuration):
        return "random weights of " + String(decoding: try json(configuration), as: UTF8.self)
      case .starter(let starter): return "\(starter)"
      case .folder(let folder):
        guard let names = try? FileManager.default.contentsOfDirectory(atPath: folder.path) else {
          throw TrainingError.fileNotFound(path: folder.path, expected: "a T5 folder")
        }
        let files = names.sorted()
          .filter { $0 != "recipe.json" && !$0.hasPrefix("checkpoint.") }
          .map { folder.appendingPathComponent($0) }
          .filter { ["json", "safetensors", "bin", "model"].contains($0.pathExtension) }
        return "a folder of checksum \(try TextChecksum(of: files).text)"
      }
    }
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
  /// Whether to leave out generated queries of documents that the corpus does not have.
  public var skipsUnknownDocuments = false
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
  /// `recipe.json`; until the end, `checkpoint.safetensors`, the one before it and, for a vocabulary of
  /// its own, `checkpoint.spiece.model` too. An earlier model in the folder stays until a phase has ended.
  ///
  /// - Returns: the saved model.
  /// - Throws: `TrainingError`, `ModelError`, `TensorError`, `TokenizerError`, `CancellationError`.
  public func run(_ dataset: RetrievalDataset, to output: URL) throws -> ModelFolder {
    try recipe.validate()
    guard !dataset.documents.isEmpty else {
      throw TrainingError.trainingData(reason: "the corpus has no documents")
    }
    try Self.makeFolder(output)
    let lock = try RunLock(output)
    defer { lock.release() }
    let checkpointURL = try Self.checkpointURL(in: output, resumes: resumes)
    AtomicFile.removeLeftovers(in: output)
    var checkpoint =
      resumes ? try Checkpoint.newest(at: checkpointURL) { logger.warning("\($0)") } : nil
    if let checkpoint { try warn(ofChangesSince: checkpoint) }
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
      dataset, split: "dev", corpus: corpus, tokenizer: tokenizer, settings: settings,
      documentLimit: recipe.validationDocuments, key: counting.split(1))
    logger.info(
      """
      \(counted(corpus.documents.count, "document")), \
      \(counted(corpus.questions.count, "training question")), \
      \(tokenizer.pieceCount) pieces, \(model.parameterCount) parameters
      """)

    let key = RandomKey(seed: seed)
    let mask = try settings.mask(vocabularySize: size, on: backend)
    let fingerprint = try fingerprint(corpus, validator, model.configuration)
    if phases.contains(.refine) {
      // What phase 2 cannot use should be known before phase 1, and not after it.
      _ = try RefinementObjective(
        corpus, recipe: recipe, settings: settings, mask: mask, key: key)
    }
    for phase in phases {
      // A checkpoint of a later phase: this one's work is in it.
      if let checkpoint, checkpoint.phase != phase.rawValue { continue }
      let stream = [Phase.keywords: 10, .refine: 11, .queries: 12][phase] ?? 0
      var trainer = PhaseTrainer(key: key.split(stream))
      trainer.checkpointURL = checkpointURL
      (trainer.fingerprint, trainer.recipe) = (fingerprint, try Self.json(recipe))
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
        try run(&trainer, &model, &objective, resuming: &checkpoint)
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
        try run(&trainer, &model, &objective, resuming: &checkpoint)
        // Whoever is stopped in the next phase before its first checkpoint goes on from here.
        if phase != phases.last {
          try trainer.saveCheckpoint(model, objective, memory: objective.memory)
        }
      case .refine:
        var objective = try RefinementObjective(
          corpus, recipe: recipe, settings: settings, mask: mask, key: key.split(2))
        try run(&trainer, &model, &objective, resuming: &checkpoint)
      }
      try Self.save(model, settings, tokenizer, recipe: recipe, to: output)
      try phaseEnded(phase, ModelFolder(opening: output, on: backend))
    }
    guard checkpoint == nil else {
      throw TrainingError.checkpoint(
        path: checkpointURL.path, reason: "belongs to a phase that this run does not have")
    }
    Checkpoint.remove(at: checkpointURL)
    try? FileManager.default.removeItem(at: Self.vocabularyCheckpoint(in: output))
    return try ModelFolder(opening: output, on: backend)
  }

  private func run(
    _ trainer: inout PhaseTrainer, _ model: inout T5Model,
    _ objective: inout some TrainingObjective, resuming checkpoint: inout Checkpoint?
  ) throws {
    if let from = checkpoint, try trainer.resume(&model, &objective, from: from) {
      logger.info(
        "\(objective.name): going on from step \(trainer.step) of \(objective.optimization.steps)")
    }
    // The file would stay mapped beside what was copied from it.
    checkpoint = nil
    try trainer.train(&model, &objective)
  }

  private static func vocabularyCheckpoint(in output: URL) -> URL {
    output.appendingPathComponent("checkpoint.spiece.model")
  }

  /// What part of a corpus a starter should know: of English text ours knows nine tenths.
  private static let leastSharedShare = 0.25

  /// Says which numbers are others than when the checkpoint was written.
  private func warn(ofChangesSince checkpoint: Checkpoint) throws {
    for change in Recipe.differences(from: checkpoint.recipe, to: try Self.json(recipe)) {
      logger.warning("the run goes on with another recipe: \(change)")
    }
  }

  /// JSON that is the same for the same value.
  static func json(_ value: some Encodable) throws -> Data {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    return try encoder.encode(value)
  }

  /// What a checkpoint must agree on.
  private func fingerprint(
    _ corpus: TrainingCorpus, _ validator: Validator?, _ configuration: T5Configuration
  ) throws -> String {
    let numbers = String(decoding: try Self.json(recipe.unchangeable), as: UTF8.self)
    let shape = String(decoding: try Self.json(configuration), as: UTF8.self)
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
    for (query, positives) in validator?.judgedQueries ?? [] {
      add(query.map(Int.init) + positives.sorted() + [-1])
    }
    return "\(numbers) seed \(seed) data \(hash) network \(shape)"
  }

  private func generatedQueries(
    for dataset: RetrievalDataset
  ) throws -> [GeneratedQueries.Pair] {
    try generatedQueryURLs.flatMap { url in
      let (pairs, skipped, unknown) = try GeneratedQueries.pairs(
        contentsOf: url, of: dataset, malformedLineLimit: malformedLineLimit,
        skipsUnknownDocuments: skipsUnknownDocuments)
      for line in skipped.prefix(5) { logger.warning("\(line)") }
      if unknown > 0 {
        logger.warning(
          "left out \(counted(unknown, "line")) of documents that the corpus does not have")
      }
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
  static func checkpointURL(in output: URL, resumes: Bool) throws(TrainingError) -> URL {
    let url = output.appendingPathComponent("checkpoint.safetensors")
    if Checkpoint.exists(at: url) == resumes { return url }
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

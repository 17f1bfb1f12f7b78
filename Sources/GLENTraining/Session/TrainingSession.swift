import GLENIndex
import GLENModel
import GLENPlatform
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
        // The model's files alone: whatever else lies there is not begun from.
        let names = try ModelFolder.fileNames(in: folder)
        let files = (names.small + names.weights).map { folder.appendingPathComponent($0) }
          .filter { FileManager.default.fileExists(atPath: $0.path) }
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
    if let checkpoint { try requireNumbersOfEndedPhases(checkpoint) }
    var work = try prepared(dataset, in: output)
    for phase in phases {
      // A checkpoint of a later phase: this one's work is in it.
      if let checkpoint, checkpoint.phase != phase.rawValue { continue }
      try run(phase, &work, resuming: &checkpoint, at: checkpointURL)
      try Self.save(work.model, work.settings, work.tokenizer, recipe: recipe, to: output)
      try phaseEnded(phase, ModelFolder(opening: output, on: backend))
    }
    guard checkpoint == nil else {
      throw TrainingError.checkpoint(
        path: checkpointURL.path, reason: "belongs to a phase that this run does not have")
    }
    Checkpoint.remove(at: checkpointURL)
    try? FileManager.default.removeItem(at: Self.vocabularyCheckpoint(in: output))
    // Of a run that was killed a moment before this one began, and was not gone yet.
    AtomicFile.removeLeftovers(in: output)
    return try ModelFolder(opening: output, on: backend)
  }

  private func run(
    _ phase: Phase, _ work: inout Work, resuming checkpoint: inout Checkpoint?, at url: URL
  ) throws {
    let key = RandomKey(seed: seed)
    let stream = [Phase.keywords: 10, .refine: 11, .queries: 12][phase] ?? 0
    var trainer = PhaseTrainer(key: key.split(stream))
    trainer.checkpointURL = url
    (trainer.fingerprint, trainer.recipe) = (work.fingerprint, try Self.json(recipe))
    trainer.shouldStop = shouldStop
    var measurements: [LossPart] = []
    if let validator = work.validator, phase != .queries {
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
      var objective = try QueryGenerationObjective(work.corpus, recipe: recipe, key: key.split(3))
      try run(&trainer, &work.model, &objective, resuming: &checkpoint)
    case .keywords:
      var objective = try KeywordObjective(work.corpus, recipe: recipe, key: key.split(1))
      if recipe.keywords.mixesBeginning, recipe.keywords.optimization.validationInterval > 0,
        let validator = work.validator
      {
        trainer.beginning = work.model
        trainer.mix = { beginning, last, kept in
          try Self.mixture(of: beginning, and: last, betterThan: kept) {
            try validator.measure($0, by: recipe.keywords.optimization.bestBy).value
          }
        }
      }
      try run(&trainer, &work.model, &objective, resuming: &checkpoint)
      // Whoever is stopped in the next phase before its first checkpoint goes on from here.
      if phase != phases.last {
        try trainer.saveCheckpoint(work.model, objective, memory: objective.memory)
      }
    case .refine:
      var objective = try RefinementObjective(
        work.corpus, recipe: recipe, settings: work.settings, mask: work.mask, key: key.split(2))
      try run(&trainer, &work.model, &objective, resuming: &checkpoint)
    }
  }

  private func run(
    _ trainer: inout PhaseTrainer, _ model: inout T5Model,
    _ objective: inout some TrainingObjective, resuming checkpoint: inout Checkpoint?
  ) throws {
    if let from = checkpoint, try trainer.resume(&model, &objective, from: from) {
      if let url = trainer.checkpointURL { try from.takePlace(of: url) }
      for change in from.changes(to: trainer.recipe) { logger.warning("\(change)") }
      logger.info(
        "\(objective.name): going on from step \(trainer.step) of \(objective.optimization.steps)")
    }
    // The file would stay mapped beside what was copied from it.
    checkpoint = nil
    try trainer.train(&model, &objective)
  }

  static func vocabularyCheckpoint(in output: URL) -> URL {
    output.appendingPathComponent("checkpoint.spiece.model")
  }

  /// A phase that is over has had the numbers that it had: to change them would change nothing but the
  /// recipe that is saved.
  private func requireNumbersOfEndedPhases(_ checkpoint: Checkpoint) throws {
    // Whatever phases this run has: the earlier ones' work is in the checkpoint.
    let order: [Phase] =
      checkpoint.phase == Phase.queries.rawValue ? [.queries] : [.keywords, .refine]
    guard let index = order.firstIndex(where: { $0.rawValue == checkpoint.phase }) else { return }
    let ended = order.prefix(checkpoint.hasEnded ? index + 1 : index)
    let changes = Recipe.differences(from: checkpoint.recipe, to: try Self.json(recipe))
    for phase in ended {
      let key = [Phase.keywords: "keywords.", .refine: "refinement.", .queries: "queries."][phase]
      guard let key, let change = changes.first(where: { $0.hasPrefix(key) }) else { continue }
      throw TrainingError.checkpoint(
        path: checkpoint.url.path,
        reason:
          "its \(phase.rawValue) phase is over, or was none of its run's; expected the numbers that it had, but \(change)"
      )
    }
  }

  /// JSON that is the same for the same value.
  static func json(_ value: some Encodable) throws -> Data {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    return try encoder.encode(value)
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
    let model = output.appendingPathComponent("model.safetensors")
    let isComplete = FileManager.default.fileExists(atPath: model.path)
    throw .checkpoint(
      path: url.path,
      reason: resumes
        ? isComplete
          ? "there is nothing to resume: the model in this folder is complete; without --resume it is "
            + "trained anew, and replaced"
          : "there is no checkpoint to resume; train without --resume"
        : "an unfinished run is here; go on with --resume, choose another folder, or delete its "
          + "files checkpoint.* to begin anew")
  }

  private static let unfinishedKey = "glen.unfinished"

  /// Whether a folder has a model, and not one that a run saved when it was interrupted.
  static func hasFinishedModel(in folder: URL) -> Bool {
    guard let files = try? WeightFiles(folder: folder) else { return false }
    let file = files.names.count == 1 ? try? files.open().first as? SafetensorsFile : nil
    return file?.metadata[unfinishedKey] == nil
  }

  /// Saves a model folder with the recipe that made it.
  ///
  /// - Parameter isFinished: false for a model that another may take the place of.
  static func save(
    _ model: T5Model, _ settings: IdentifierSettings, _ tokenizer: SentencePieceTokenizer,
    recipe: some Encodable, to output: URL, isFinished: Bool = true
  ) throws {
    if let name = try model.nameOfNonFiniteParameter() {
      throw TrainingError.notFinite(weight: name)
    }
    var metadata = ModelFolder.metadata(vocabulary: tokenizer.modelData)
    if !isFinished { metadata[unfinishedKey] = "true" }
    try model.save(to: output, metadata: metadata)
    try AtomicFile.write(
      tokenizer.modelData, to: output.appendingPathComponent("spiece.model"))
    try settings.save(to: output)
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
    try AtomicFile.write(
      encoder.encode(recipe), to: output.appendingPathComponent("recipe.json"))
  }
}

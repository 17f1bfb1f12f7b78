import Foundation
import GLENIndex
import GLENModel
import GLENTensor
import Testing

@testable import GLENTraining

/// Phase 1's mean of the model that it began with and of its last one.
@Suite("Mixing the beginning in", .serialized) struct MixingTests {
  // MARK: Which mean

  /// The measure's values for 90, 75 and 50 % of the last model, what is kept without them, and which
  /// share has to win.
  @Test(
    arguments: [
      ([0.5, 0.6, 0.7], 0.4, 0.5), ([0.5, 0.7, 0.6], 0.4, 0.75), ([0.7, 0.6, 0.5], 0.4, 0.9),
      // The first of equals; never one that is no better than what there is.
      ([0.5, 0.5, 0.5], 0.4, 0.9), ([0.5, 0.5, 0.5], 0.5, nil), ([0.2, 0.3, 0.1], 0.4, nil),
      ([.nan, 0.5, .nan], 0.4, 0.75), ([.nan, .nan, .nan], 0.4, nil),
    ] as [([Double], Double, Float?)])
  func theBestMeanIsTakenIfItIsBetter(values: [Double], kept: Double, share: Float?) throws {
    let (first, last) = (try ToyCorpus.model(seed: 1), try ToyCorpus.model(seed: 2))
    var measured: [[String: [UInt32]]] = []
    let mixture = try TrainingSession.mixture(of: first, and: last, betterThan: kept) {
      measured.append(try bits(of: $0))
      return values[measured.count - 1]
    }
    let means = try [0.9, 0.75, 0.5].map { try bits(of: first.mixed(with: last, share: $0)) }
    #expect(measured == means)
    #expect(mixture?.share == share)
    guard let mixture, let place = [0.9, 0.75, 0.5].firstIndex(of: mixture.share) else { return }
    #expect(mixture.value == values[place])
    let isMean = try bits(of: mixture.model) == means[place]
    #expect(isMean)
  }

  // MARK: A phase

  private struct Result {
    var bits: [String: [UInt32]]
    var mixture: TrainingProgress.Mixture?
    /// How often a mean was asked for.
    var count = 0
    /// The updates that were made.
    var updates = 0
  }

  /// A phase of eight updates that is stopped before each of the given ones, and gone on with by a
  /// trainer that knows neither the model nor the beginning; a stop at 8 is one right after its end.
  private static func train(
    doesBetter: Bool, stops: [Int] = [], patience: Int = 0
  ) throws -> Result {
    var recipe = ToyCorpus.recipe
    recipe.keywords.optimization.validationInterval = 2
    recipe.keywords.optimization.patience = patience
    let folder = try TemporaryFolder()
    let url = folder.url.appendingPathComponent("checkpoint.safetensors")
    var result = Result(bits: [:])
    for (index, stop) in (stops + [Int.max]).enumerated() {
      var trainer = PhaseTrainer(key: RandomKey(seed: 4))
      trainer.checkpointURL = url
      trainer.validate = { _ in 0.5 }
      var model = try ToyCorpus.model(seed: index == 0 ? 1 : 99)
      trainer.beginning = model
      trainer.mix = { beginning, last, best in
        result.count += 1
        #expect(best == 0.5)
        let mean = try beginning.mixed(with: last, share: 0.75)
        return doesBetter ? PhaseTrainer.Mixture(model: mean, share: 0.75, value: 0.6) : nil
      }
      var objective = try ToyCorpus.keywords(recipe)
      if index > 0 {
        #expect(try trainer.resume(&model, &objective, from: Checkpoint(contentsOf: url)))
      }
      var last = trainer.step
      trainer.report = { progress in
        last = progress.step
        result.updates += 1
        if progress.ending != nil { result.mixture = progress.mixture }
      }
      trainer.shouldStop = { last >= stop }
      if stop < 8 {
        #expect(throws: CancellationError.self) { try trainer.train(&model, &objective) }
      } else {
        try trainer.train(&model, &objective)
        try trainer.saveCheckpoint(model, objective, memory: objective.memory)
      }
      result.bits = try bits(of: model)
    }
    return result
  }

  @Test func aMeanThatDoesBetterIsWhatThePhaseEndsWith() throws {
    let start = try bits(of: ToyCorpus.model(seed: 1))
    let mixed = try Self.train(doesBetter: true)
    #expect(mixed.mixture == TrainingProgress.Mixture(share: 0.75, validation: 0.6))
    // No update did better than the beginning, which is what is kept without a mean.
    let unmixed = try Self.train(doesBetter: false)
    let (isStart, isMixed) = (unmixed.bits == start, mixed.bits != start)
    #expect(isStart && isMixed)
    #expect(unmixed.mixture == nil)
    #expect(mixed.count == 1 && unmixed.count == 1)
  }

  /// Stopped before the first update, during the phase, often, and right after its end.
  @Test(arguments: [[0], [1], [7], [2, 5], [8], [3, 8]])
  func aResumedPhaseEndsWithTheSameMean(stops: [Int]) throws {
    let whole = try Self.train(doesBetter: true)
    let parts = try Self.train(doesBetter: true, stops: stops)
    let isSame = whole.bits == parts.bits
    #expect(isSame)
    #expect(parts.mixture == whole.mixture)
    // What has ended is not mixed again.
    #expect(parts.count == 1)
  }

  /// The mean's value is not that of an update, by which patience counts.
  @Test func aPhaseThatEndedEarlyStaysEnded() throws {
    let whole = try Self.train(doesBetter: true, patience: 2)
    let parts = try Self.train(doesBetter: true, stops: [2, 8], patience: 2)
    let isSame = whole.bits == parts.bits
    #expect(isSame)
    #expect(whole.count == 1 && parts.count == 1)
    #expect(whole.updates == 4 && parts.updates == 4)
  }

  /// The beginning is in checkpoints while it is needed, and one that is damaged is refused.
  @Test func theCheckpointHasTheBeginning() throws {
    let folder = try TemporaryFolder()
    let url = folder.url.appendingPathComponent("checkpoint.safetensors")
    var trainer = PhaseTrainer(key: RandomKey(seed: 4))
    trainer.checkpointURL = url
    var objective = try ToyCorpus.keywords()
    var model = try ToyCorpus.model()
    func names() throws -> [String] {
      try SafetensorsFile(contentsOf: url).names.filter { $0.hasPrefix("beginning/") }
    }
    try trainer.saveCheckpoint(model, objective, memory: [])
    #expect(try names().isEmpty)
    trainer.beginning = model
    try trainer.saveCheckpoint(model, objective, memory: [])
    #expect(try names().count == model.parameters.count)

    let file = try SafetensorsFile(contentsOf: url)
    var contents: [(name: String, content: SafetensorsFile.Content)] = [
      ("memory", .integers([], shape: [0]))
    ]
    for name in file.names
    where !["memory", "beginning/shared.weight", "checksum"].contains(name) {
      let tensor = try file.tensor(name)
      contents.append((name, .float(try Tensor(tensor.values(), shape: tensor.shape))))
    }
    try SafetensorsFile.write(
      contents, metadata: file.metadata, isChecksummed: true, to: url)
    let error = #expect(throws: TrainingError.self) {
      try trainer.resume(&model, &objective, from: Checkpoint(contentsOf: url))
    }
    #expect(error?.description.contains("beginning/shared.weight is missing") == true)
  }

  // MARK: A run

  /// A run whose rate is so high that the way back often pays: the toy's questions are answered
  /// before the first update.
  private static func session(
    seed: UInt64 = 1, _ edit: (inout TrainingSession) -> Void = { _ in }
  ) -> TrainingSession {
    var recipe = ToyCorpus.recipe
    recipe.keywords.optimization.validationInterval = 3
    recipe.keywords.optimization.learningRate = 0.1
    recipe.keywords.optimization.decoderLearningRate = 0.1
    recipe.refinement.optimization.steps = 2
    var session = TrainingSession(recipe: recipe, start: .random(ToyCorpus.configuration()))
    session.seed = seed
    edit(&session)
    return session
  }

  private static func weights(_ url: URL) throws -> Data {
    try Data(contentsOf: url.appendingPathComponent("model.safetensors"))
  }

  private let dataset: RetrievalDataset
  private let folder: TemporaryFolder

  init() throws {
    folder = try TemporaryFolder(ToyCorpus.files)
    dataset = try RetrievalDataset(contentsOf: folder.url)
  }

  /// Both ways, over some seeds: the saved model is a mean where the mean did better, and else what a
  /// run without mixing saves.
  @Test func aRunKeepsAMeanOnlyIfDevIsBetter() throws {
    var kept: [Bool] = []
    for seed in 1...6 as ClosedRange<UInt64> {
      let (mixed, unmixed) = (try TemporaryFolder(), try TemporaryFolder())
      var mixture: TrainingProgress.Mixture?
      func run(_ url: URL, mixes: Bool) throws {
        _ = try Self.session(seed: seed) {
          $0.recipe.keywords.mixesBeginning = mixes
          $0.phases = [.keywords]
          $0.report = { mixture = $0.mixture }
        }.run(dataset, to: url)
      }
      try run(unmixed.url, mixes: false)
      #expect(mixture == nil)
      // What the validation says of the model that is saved without a mean.
      let best = try Self.measured(unmixed.url, dataset)
      try run(mixed.url, mixes: true)
      kept.append(mixture != nil)
      let isSame = try Self.weights(mixed.url) == Self.weights(unmixed.url)
      #expect(isSame == (mixture == nil), "seed \(seed)")
      guard let mixture else { continue }
      #expect(mixture.validation > best, "seed \(seed)")
      #expect(try Self.measured(mixed.url, dataset) == mixture.validation)
    }
    #expect(kept.contains(true) && kept.contains(false), "\(kept)")
  }

  /// MRR@10 on `dev` of a saved model.
  private static func measured(_ url: URL, _ dataset: RetrievalDataset) throws -> Double {
    let folder = try ModelFolder(opening: url)
    let recipe = try Recipe(contentsOf: url.appendingPathComponent("recipe.json"), over: .small)
    let corpus = try TrainingCorpus(dataset, tokenizer: folder.tokenizer, recipe: recipe)
    let validator = try #require(
      try Validator(
        dataset, split: "dev", corpus: corpus, tokenizer: folder.tokenizer,
        settings: folder.settings, documentLimit: 0, key: RandomKey(seed: 1)))
    return try validator.measure(folder.generator.model, by: .meanReciprocalRank).value
  }

  /// Stopped in phase 1 or right after it, and resumed, a run that keeps a mean ends with the same
  /// bytes, and so it does if its phase 1 began with what another phase had trained.
  @Test(
    arguments: [[.keywords, .refine], [.queries, .keywords]] as [[TrainingSession.Phase]],
    [1, 5, nil] as [Int?])
  func aResumedRunHasTheSameMean(phases: [TrainingSession.Phase], stop: Int?) throws {
    struct Killed: Error {}
    func edit(_ session: inout TrainingSession) {
      session.phases = phases
      session.recipe.queries = session.recipe.refinement.optimization
    }
    // The first seed whose run keeps a mean.
    let whole = try TemporaryFolder()
    var mixture: TrainingProgress.Mixture?
    let seed = try #require(
      try (1...8 as ClosedRange<UInt64>).first { seed in
        mixture = nil
        _ = try Self.session(seed: seed) {
          edit(&$0)
          $0.report = { mixture = $0.mixture ?? mixture }
        }.run(dataset, to: whole.url)
        return mixture != nil
      })
    let parts = try TemporaryFolder()
    var step: Int?
    let stopped = Self.session(seed: seed) {
      edit(&$0)
      $0.report = { if $0.phase == "keywords" { step = $0.step } }
      $0.shouldStop = { stop != nil && step == stop }
      if stop == nil {
        $0.phaseEnded = { phase, _ in if phase == .keywords { throw Killed() } }
      }
    }
    #expect(throws: (any Error).self) { try stopped.run(dataset, to: parts.url) }
    if stop == nil, phases.last == .keywords { return }
    var again: TrainingProgress.Mixture?
    _ = try Self.session(seed: seed) {
      edit(&$0)
      $0.resumes = true
      $0.report = { again = $0.mixture ?? again }
    }.run(dataset, to: parts.url)
    #expect(try Self.weights(parts.url) == Self.weights(whole.url))
    #expect(again == (stop == nil ? nil : mixture))
  }

  /// The saved recipe says whether a run mixed, over whichever preset it is read.
  @Test(arguments: [true, false]) func theSavedRecipeSaysWhetherItMixes(mixes: Bool) throws {
    let out = try TemporaryFolder()
    _ = try Self.session {
      $0.recipe.keywords.mixesBeginning = mixes
      $0.recipe.keywords.optimization.steps = 1
      $0.phases = [.keywords]
    }.run(dataset, to: out.url)
    for base in [Recipe.small, .paper] {
      let saved = try Recipe(contentsOf: out.url.appendingPathComponent("recipe.json"), over: base)
      #expect(saved.keywords.mixesBeginning == mixes)
    }
  }

  @Test func thePaperMixesNothing() throws {
    #expect(Recipe.small.keywords.mixesBeginning && !Recipe.paper.keywords.mixesBeginning)
    var recipe = Recipe.small
    try recipe.set(["keywords.mixesBeginning=false"])
    #expect(!recipe.keywords.mixesBeginning)
  }

  // MARK: What is said

  @Test func aReportSaysWhatThePhaseEndedWith() throws {
    var progress = TrainingProgress(
      phase: "keywords", step: 8, steps: 8, losses: [], learningRate: 0, gradientNorm: 0,
      stepsPerSecond: 1)
    (progress.validation, progress.bestStep, progress.ending) = (0.5, 0, .allUpdates)
    #expect(progress.hasKeptStart && progress.mixing == nil)
    progress.mixture = TrainingProgress.Mixture(share: 0.75, validation: 0.7549)
    #expect(!progress.hasKeptStart)
    let text =
      "75 % of the last model and the rest of the first did better than any before: MRR@10 75.5 on dev"
    #expect(progress.mixing == text)

    let out = try TemporaryFolder()
    RunLog(folder: out.url).record(progress)
    #expect(try RunLog.records(in: out.url).map(\.mixing) == [text])
    let page = try RunReport(folder: out.url).html()
    #expect(page.contains("<p>Its model is a mean: \(text).</p>"))
  }
}

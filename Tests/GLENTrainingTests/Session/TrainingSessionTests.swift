import Foundation
import GLENIndex
import GLENModel
import GLENTensor
import GLENText
import Logging
import Testing

@testable import GLENTraining

/// Keeps what is logged.
private final class Lines: @unchecked Sendable {
  private(set) var all: [String] = []
  var logger: Logger { Logger(label: "test") { _ in Handler(lines: self) } }

  private struct Handler: LogHandler {
    let lines: Lines
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.info
    subscript(metadataKey key: String) -> Logger.MetadataValue? {
      get { metadata[key] }
      set { metadata[key] = newValue }
    }
    func log(event: LogEvent) { lines.all.append("\(event.message)") }
  }
}

/// Whole runs on the toy corpus, with a vocabulary from nothing.
@Suite("Training sessions", .serialized) struct TrainingSessionTests {
  private let folder: TemporaryFolder
  private let dataset: RetrievalDataset

  init() throws {
    folder = try TemporaryFolder(ToyCorpus.files)
    dataset = try RetrievalDataset(contentsOf: folder.url)
  }

  private static func session(_ edit: (inout TrainingSession) -> Void = { _ in }) -> TrainingSession
  {
    var recipe = ToyCorpus.recipe
    recipe.keywords.optimization.validationInterval = 3
    recipe.refinement.optimization.validationInterval = 3
    var session = TrainingSession(recipe: recipe, start: .random(ToyCorpus.configuration()))
    edit(&session)
    return session
  }

  private static func names(in url: URL) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: url.path).sorted()
  }

  private static func weights(_ url: URL) throws -> Data {
    try Data(contentsOf: url.appendingPathComponent("model.safetensors"))
  }

  private static let files = [
    "config.json", "glen.json", "model.safetensors", "recipe.json", "spiece.model",
  ]

  /// What a kill between the renames of a save leaves: new weights, and the vocabulary before them.
  @Test func filesOfTwoSavesAreToldApart() throws {
    let (first, second) = (try TemporaryFolder(), try TemporaryFolder())
    let session = Self.session { $0.phases = [.keywords] }
    _ = try session.run(dataset, to: first.url)
    var other = session
    other.recipe.vocabularySize = 110
    _ = try other.run(dataset, to: second.url)
    let name = "spiece.model"
    try Data(contentsOf: second.url.appendingPathComponent(name)).write(
      to: first.url.appendingPathComponent(name))
    let error = #expect(throws: IndexError.self) { try ModelFolder(opening: first.url) }
    #expect(error?.description.contains("not the vocabulary that the weights") == true)
  }

  @Test func makesAFolderThatOpens() throws {
    let output = try TemporaryFolder()
    let url = output.url.appendingPathComponent("a/model")
    var ended: [TrainingSession.Phase] = []
    var steps: [String: Int] = [:]
    let session = Self.session {
      $0.phaseEnded = { phase, model in
        ended.append(phase)
        #expect(model.url == url)
      }
      $0.report = { steps[$0.phase, default: 0] += 1 }
    }
    let trained = try session.run(dataset, to: url)
    #expect(ended == [.keywords, .refine])
    #expect(steps == ["keywords": 8, "refine": 8])
    #expect(try Self.names(in: url) == Self.files)

    let model = try ModelFolder(opening: url)
    #expect(model.fingerprint == trained.fingerprint)
    #expect(model.settings.identifierLength == 3)
    let size = model.generator.model.configuration.vocabularySize
    #expect(size % 16 == 0 && size >= model.tokenizer.pieceCount)
    #expect(
      model.settings.maskedTokens
        == [2] + (Int32(model.tokenizer.pieceCount)..<Int32(size)))
    let recipe = try Recipe(contentsOf: url.appendingPathComponent("recipe.json"), over: .small)
    #expect(recipe == session.recipe)
    let retriever = try Indexer(model: model).index(dataset.documents)
    #expect(try retriever.search("what is it", limit: 40).count == ToyCorpus.documentCount)
  }

  @Test func theSeedDecides() throws {
    let output = try TemporaryFolder()
    var results: [Data] = []
    for (index, seed) in [UInt64(5), 5, 6].enumerated() {
      let url = output.url.appendingPathComponent("\(index)")
      _ = try Self.session { $0.seed = seed }.run(dataset, to: url)
      results.append(try Self.weights(url))
    }
    #expect(results[0] == results[1])
    #expect(results[0] != results[2])
  }

  /// Stopped in either phase and resumed, the run ends with the same bytes.
  @Test(arguments: [[1], [6], [8], [11], [2, 13, 15]])
  func aResumedRunIsTheUninterruptedOne(stops: [Int]) throws {
    let output = try TemporaryFolder()
    let whole = output.url.appendingPathComponent("whole")
    _ = try Self.session().run(dataset, to: whole)

    let url = output.url.appendingPathComponent("parts")
    var updates = 0
    for (index, stop) in stops.enumerated() {
      let session = Self.session {
        $0.resumes = index > 0
        $0.report = { _ in updates += 1 }
        $0.shouldStop = { updates >= stop }
      }
      #expect(throws: CancellationError.self) { try session.run(dataset, to: url) }
      #expect(try Self.names(in: url).contains("checkpoint.safetensors"))
      #expect(updates == stop)
    }
    _ = try Self.session {
      $0.resumes = true
      $0.report = { _ in updates += 1 }
    }.run(dataset, to: url)
    #expect(updates == 16)
    #expect(try Self.names(in: url) == Self.files)
    #expect(try Self.weights(url) == Self.weights(whole))
  }

  /// A run that is stopped leaves the model that the folder had, vocabulary and all.
  @Test func aStoppedRunKeepsTheEarlierModel() throws {
    let output = try TemporaryFolder()
    _ = try Self.session().run(dataset, to: output.url)
    let before = try Self.files.map {
      try Data(contentsOf: output.url.appendingPathComponent($0))
    }
    var steps = 0
    var session = Self.session {
      $0.seed = 9
      $0.recipe.vocabularySize = 100
      $0.report = { _ in steps += 1 }
    }
    session.shouldStop = { steps >= 3 }
    #expect(throws: CancellationError.self) { try session.run(dataset, to: output.url) }
    let after = try Self.files.map {
      try Data(contentsOf: output.url.appendingPathComponent($0))
    }
    #expect(before == after)
  }

  /// Ended between the phases, before the second one's first checkpoint, a run can be resumed.
  @Test func aRunEndedBetweenThePhasesIsResumed() throws {
    struct Killed: Error {}
    let (whole, killed) = (try TemporaryFolder(), try TemporaryFolder())
    _ = try Self.session().run(dataset, to: whole.url)
    let session = Self.session { $0.phaseEnded = { _, _ in throw Killed() } }
    #expect(throws: Killed.self) { try session.run(dataset, to: killed.url) }
    _ = try Self.session { $0.resumes = true }.run(dataset, to: killed.url)
    #expect(try Self.weights(killed.url) == Self.weights(whole.url))
    #expect(try Self.names(in: killed.url) == Self.files)
  }

  /// A run whose phases end early, ended between them: the first phase stays ended.
  @Test func aPhaseThatEndedEarlyIsNotGoneOnWith() throws {
    struct Killed: Error {}
    let (whole, killed) = (try TemporaryFolder(), try TemporaryFolder())
    var endings: [TrainingProgress] = []
    func session(_ edit: (inout TrainingSession) -> Void) -> TrainingSession {
      Self.session {
        for path in [\Recipe.keywords.optimization, \.refinement.optimization] {
          // Rates so low that no identifier changes, and no validation is better than the first.
          ($0.recipe[keyPath: path].learningRate, $0.recipe[keyPath: path].decoderLearningRate) =
            (1e-12, 1e-12)
          $0.recipe[keyPath: path].patience = 2
          $0.recipe[keyPath: path].bestBy = .recall
        }
        $0.report = { if $0.ending != nil { endings.append($0) } }
        edit(&$0)
      }
    }
    _ = try session { _ in }.run(dataset, to: whole.url)
    #expect(endings.map(\.phase) == ["keywords", "refine"])
    for ending in endings {
      #expect(ending.step == 6 && ending.steps == 8 && ending.hasKeptStart)
      #expect(ending.ending == .noImprovement(validations: 2))
      let recall = ending.measurements.first { $0.name == "validation/R@1" }?.value
      #expect(ending.validation.map(Float.init) == recall)
    }
    #expect(throws: Killed.self) {
      try session { $0.phaseEnded = { _, _ in throw Killed() } }.run(dataset, to: killed.url)
    }
    endings = []
    _ = try session { $0.resumes = true }.run(dataset, to: killed.url)
    #expect(endings.map(\.phase) == ["refine"])
    #expect(try Self.weights(killed.url) == Self.weights(whole.url))
  }

  /// The phases may be two runs, and an interrupted second one may be resumed as its own.
  @Test func refinementAloneGoesOnFromAFolder() throws {
    let output = try TemporaryFolder()
    let first = output.url.appendingPathComponent("first")
    _ = try Self.session { $0.phases = [.keywords] }.run(dataset, to: first)
    let weights = try Self.weights(first)

    let both = output.url.appendingPathComponent("both")
    _ = try Self.session().run(dataset, to: both)
    let second = output.url.appendingPathComponent("second")
    var updates = 0
    let refine = { (edit: (inout TrainingSession) -> Void) in
      Self.session {
        $0.phases = [.refine]
        $0.start = .folder(first)
        edit(&$0)
      }
    }
    #expect(throws: CancellationError.self) {
      try refine {
        $0.report = { _ in updates += 1 }
        $0.shouldStop = { updates == 4 }
      }.run(dataset, to: second)
    }
    _ = try refine { $0.resumes = true }.run(dataset, to: second)
    #expect(try Self.weights(second) == Self.weights(both))
    #expect(try Self.weights(first) == weights)
    // In place, too.
    _ = try refine { _ in }.run(dataset, to: first)
    #expect(try Self.weights(first) == Self.weights(both))
  }

  @Test func aCheckpointOfAnotherRunIsRefused() throws {
    let output = try TemporaryFolder()
    let stopped = Self.session { $0.shouldStop = { true } }
    #expect(throws: CancellationError.self) { try stopped.run(dataset, to: output.url) }
    let checkpoint = output.url.appendingPathComponent("checkpoint.safetensors")
    let before = try Data(contentsOf: checkpoint)

    let fewer = try TemporaryFolder(
      ToyCorpus.files.merging(["qrels/train.tsv": "a0\td0\t1\na1\td1\t1\n"]) { $1 })
    let smaller = try RetrievalDataset(contentsOf: fewer.url)
    let measured = try TemporaryFolder(
      ToyCorpus.files.merging(["qrels/dev.tsv": "c0\td0\t1\nc3\td4\t1\n"]) { $1 })
    let otherDev = try RetrievalDataset(contentsOf: measured.url)
    for (edit, dataset) in [
      ({ $0.seed = 9 }, dataset), ({ $0.recipe.keywords.optimization.batchSize = 9 }, dataset),
      ({ $0.phases = [.refine] }, dataset), ({ _ in }, smaller), ({ _ in }, otherDev),
      ({ $0.start = .random(T5Configuration(preset: "tiny") ?? T5Configuration()) }, dataset),
    ] as [((inout TrainingSession) -> Void, RetrievalDataset)] {
      let other = Self.session {
        $0.resumes = true
        edit(&$0)
      }
      let error = #expect(throws: TrainingError.self) { try other.run(dataset, to: output.url) }
      guard case .checkpoint(let path, _)? = error else {
        Issue.record("unexpected error: \(String(describing: error))")
        continue
      }
      #expect(path == checkpoint.path)
      #expect(try Data(contentsOf: checkpoint) == before)
    }
  }

  /// After a divergence, or to train for longer: a stopped run goes on with other numbers and says so.
  @Test func aRunGoesOnWithOtherRates() throws {
    let output = try TemporaryFolder()
    var updates = 0
    let stopped = Self.session {
      $0.report = { _ in updates += 1 }
      $0.shouldStop = { updates == 3 }
    }
    #expect(throws: CancellationError.self) { try stopped.run(dataset, to: output.url) }
    let lines = Lines()
    var steps: [String] = []
    _ = try Self.session {
      $0.resumes = true
      $0.recipe.keywords.optimization.learningRate = 1e-4
      $0.recipe.keywords.optimization.steps = 10
      $0.recipe.refinement.optimization.largestLoss = 50
      $0.logger = lines.logger
      $0.report = { steps.append("\($0.phase) \($0.step)/\($0.steps)") }
    }.run(dataset, to: output.url)
    #expect(steps.first == "keywords 4/10" && steps.last == "refine 8/8")
    let warnings = lines.all.filter { $0.hasPrefix("the run goes on with another recipe: ") }
    #expect(
      warnings.map { $0.dropFirst(37) } == [
        "keywords.optimization.learningRate is 0.0001 and was 0.003",
        "keywords.optimization.steps is 10 and was 8",
        "refinement.optimization.largestLoss is 50 and was 1000",
      ])
    let recipe = try Recipe(
      contentsOf: output.url.appendingPathComponent("recipe.json"), over: .small)
    #expect(recipe.keywords.optimization.steps == 10)
  }

  /// The numbers of a phase that is over are those that it had.
  @Test func whatIsOverKeepsItsNumbers() throws {
    struct Killed: Error {}
    for stop in [0, 3] {
      let output = try TemporaryFolder()
      var updates = 0
      let stopped = Self.session {
        $0.phaseEnded = { _, _ in if stop == 0 { throw Killed() } }
        $0.report = { if $0.phase == "refine" { updates += 1 } }
        $0.shouldStop = { stop > 0 && updates == stop }
      }
      #expect(throws: (any Error).self) { try stopped.run(dataset, to: output.url) }
      for phases in [[.keywords, .refine], [.refine]] as [[TrainingSession.Phase]] {
        let error = #expect(throws: TrainingError.self) {
          try Self.session {
            $0.resumes = true
            $0.phases = phases
            $0.recipe.keywords.optimization.learningRate = 0.5
          }.run(dataset, to: output.url)
        }
        let reason =
          "its keywords phase is over, or was none of its run's; expected the numbers that it had, but "
          + "keywords.optimization.learningRate is 0.5"
        #expect(error?.description.contains(reason) == true)
      }
      _ = try Self.session {
        $0.resumes = true
        $0.recipe.refinement.optimization.learningRate = 1e-4
      }.run(dataset, to: output.url)
    }
  }

  /// A bit of the newest checkpoint flips: the run goes on from the one before, to the same bytes.
  @Test func aDamagedCheckpointIsPassedOver() throws {
    let (whole, parts) = (try TemporaryFolder(), try TemporaryFolder())
    _ = try Self.session().run(dataset, to: whole.url)
    for stop in [2, 5] {
      var updates = stop == 2 ? 0 : 2
      let stopped = Self.session {
        $0.resumes = stop > 2
        $0.report = { _ in updates += 1 }
        $0.shouldStop = { updates == stop }
      }
      #expect(throws: CancellationError.self) { try stopped.run(dataset, to: parts.url) }
    }
    let url = parts.url.appendingPathComponent("checkpoint.safetensors")
    var damaged = try Data(contentsOf: url)
    damaged[damaged.count - 100] ^= 1
    try damaged.write(to: url)
    let lines = Lines()
    var first: Int?
    _ = try Self.session {
      $0.resumes = true
      $0.logger = lines.logger
      $0.report = { first = first ?? $0.step }
    }.run(dataset, to: parts.url)
    #expect(first == 3)
    #expect(lines.all.contains { $0.contains("going on from the one before") })
    #expect(try Self.weights(parts.url) == Self.weights(whole.url))
    #expect(try Self.names(in: parts.url) == Self.files)
  }

  /// Two runs into one folder: the second is refused, and the first goes on undisturbed.
  @Test func aFolderInUseIsRefused() throws {
    let (alone, output) = (try TemporaryFolder(), try TemporaryFolder())
    _ = try Self.session().run(dataset, to: alone.url)
    var errors: [TrainingError] = []
    _ = try Self.session {
      $0.report = { progress in
        guard progress.step == 2 else { return }
        do {
          _ = try Self.session().run(dataset, to: output.url)
        } catch let error as TrainingError {
          errors.append(error)
        } catch {}
      }
    }.run(dataset, to: output.url)
    #expect(errors == [.folderInUse(path: output.url.path), .folderInUse(path: output.url.path)])
    #expect(try Self.weights(output.url) == Self.weights(alone.url))
    // A lock that a killed run left hinders nobody.
    try output.write(Data(), to: "training.lock")
    _ = try Self.session().run(dataset, to: output.url)
    #expect(try Self.names(in: output.url) == Self.files)
  }

  /// Phase 2 alone, with other numbers than those of the model that it goes on from.
  @Test func otherIdentifiersThanInPhase1AreSaid() throws {
    let (output, lines) = (try TemporaryFolder(), Lines())
    _ = try Self.session { $0.phases = [.keywords] }.run(dataset, to: output.url)
    var session = Self.session {
      $0.start = .folder(output.url)
      $0.phases = [.refine]
    }
    session.logger = lines.logger
    _ = try session.run(dataset, to: output.url)
    #expect(!lines.all.contains { $0.contains("phase 1") })
    session.recipe.identifierLength = 4
    session.recipe.feedsTokens = true
    session.recipe.refinement.negatives = 40
    _ = try session.run(dataset, to: output.url)
    let said = lines.all.joined(separator: "\n")
    #expect(said.contains("identifierLength is 4 and was 3"))
    #expect(said.contains("feedsTokens is true and was false"))
    #expect(said.contains("29 negatives, not 40"))
  }

  /// A study or a file of queries that goes on is not hindered by what lies beside the model.
  @Test func aStartIsTheModelsFilesAlone() throws {
    let output = try TemporaryFolder()
    _ = try Self.session { $0.phases = [.keywords] }.run(dataset, to: output.url)
    let start = TrainingSession.Start.folder(output.url)
    let summary = try start.summary()
    try output.write(Data("{}".utf8), to: "evaluation.json")
    #expect(try start.summary() == summary)
    try output.write(Data("{}".utf8), to: "glen.json")
    #expect(try start.summary() != summary)
  }

  /// Fewer documents are easier to tell apart; those that are asked for are among them.
  @Test func validationMayRankASample() throws {
    let output = try TemporaryFolder()
    let folder = try Self.session { $0.phases = [.keywords] }.run(dataset, to: output.url)
    let corpus = try TrainingCorpus(
      dataset, tokenizer: folder.tokenizer, recipe: ToyCorpus.recipe)
    func validator(_ limit: Int, key: UInt64 = 1) throws -> Validator {
      try #require(
        try Validator(
          dataset, split: "dev", corpus: corpus, tokenizer: folder.tokenizer,
          settings: folder.settings, documentLimit: limit, key: RandomKey(seed: key)))
    }
    let positives = stride(from: 0, to: ToyCorpus.documentCount, by: 3).map { $0 }
    #expect(try validator(0).documents == Array(0..<ToyCorpus.documentCount))
    #expect(try validator(99).documents == Array(0..<ToyCorpus.documentCount))
    #expect(try validator(5).documents == positives)
    let sample = try validator(17)
    #expect(sample.documents.count == 17 && Set(positives).isSubset(of: sample.documents))
    #expect(try validator(17).documents == sample.documents)
    #expect(try validator(17, key: 2).documents != sample.documents)

    // By hand: the sample alone is indexed.
    let documents = sample.documents.map { dataset.documents[$0] }
    let retriever = try Indexer(model: folder).index(documents)
    let judgements = try RelevanceJudgements(dataset, split: "dev")
    let queries = dataset.queries.filter { judgements.grades[ExactText($0.id)] != nil }
    let run = try Run(SplitRanking(depth: 10).rankings(of: queries, by: retriever))
    let report = Evaluation(of: run, against: judgements).report()
    let (value, parts) = try sample.measure(folder.generator.model, by: .meanReciprocalRank)
    #expect(try abs(value - (report[RankingMetric("MRR@10")] ?? -1)) < 1e-12)
    #expect(parts.first { $0.name == "identifiers/colliding_documents" }?.value ?? 99 <= 17)
  }

  /// Old checkpoints make way for new ones, and what a killed process left is swept up.
  @Test func oneCheckpointIsKept() throws {
    let output = try TemporaryFolder()
    func leftover(_ process: pid_t, _ number: String) throws -> String {
      let name = "checkpoint.safetensors.writing-\(process)-\(number)"
      try output.write(Data("cut short".utf8), to: name)
      return name
    }
    // No process has the largest number that there can be; this one may be writing.
    let dead = try leftover(.max, "1")
    let kept = [try leftover(getpid(), "2"), try leftover(.max, "x")]
    var seen: Set<[String]> = []
    let session = Self.session {
      $0.recipe.keywords.optimization.checkpointInterval = 1
      $0.recipe.refinement.optimization.checkpointInterval = 1
      $0.report = { _ in
        let names = try? Self.names(in: output.url)
        seen.insert((names ?? []).filter { $0.hasPrefix("checkpoint.safetensors") })
      }
    }
    _ = try session.run(dataset, to: output.url)
    // Before the first checkpoint, and from then on.
    #expect(seen == [kept.sorted(), (kept + ["checkpoint.safetensors"]).sorted()])
    #expect(!FileManager.default.fileExists(atPath: output.url.appendingPathComponent(dead).path))
    #expect(try Self.names(in: output.url) == (Self.files + kept).sorted())
  }

  @Test func resumingNeedsACheckpoint() throws {
    let output = try TemporaryFolder()
    let error = #expect(throws: TrainingError.self) {
      try Self.session { $0.resumes = true }.run(dataset, to: output.url)
    }
    #expect(error?.description.contains("no checkpoint to resume") == true)
  }

  /// A forgotten flag overwrites neither the checkpoint nor its vocabulary.
  @Test func anUnfinishedRunIsNotOverwritten() throws {
    let output = try TemporaryFolder()
    var steps = 0
    var session = Self.session { $0.report = { _ in steps += 1 } }
    session.shouldStop = { steps >= 3 }
    #expect(throws: CancellationError.self) { try session.run(dataset, to: output.url) }
    let names = try Self.names(in: output.url).filter { $0.hasPrefix("checkpoint") }
    #expect(names == ["checkpoint.safetensors", "checkpoint.spiece.model"])
    func contents() throws -> [Data] {
      try names.map { try Data(contentsOf: output.url.appendingPathComponent($0)) }
    }
    let before = try contents()
    let error = #expect(throws: TrainingError.self) {
      try Self.session {
        $0.recipe.vocabularySize = 90
        $0.seed = 7
      }.run(dataset, to: output.url)
    }
    #expect(error?.description.contains("an unfinished run is here; go on with --resume") == true)
    #expect(try contents() == before)
  }

  /// Who resumes in a loop can tell what is done from what is lost.
  @Test func aFinishedRunHasNothingToResume() throws {
    let output = try TemporaryFolder()
    try Data().write(to: output.url.appendingPathComponent("model.safetensors"))
    for (folder, words) in [(output, "is complete"), (try TemporaryFolder(), "no checkpoint")] {
      let error = #expect(throws: TrainingError.self) {
        try TrainingSession.checkpointURL(in: folder.url, resumes: true)
      }
      #expect(error?.description.contains(words) == true)
    }
  }

  @Test func missingJudgementsAreNamed() throws {
    try FileManager.default.removeItem(at: folder.url.appendingPathComponent("qrels/train.tsv"))
    let again = try RetrievalDataset(contentsOf: folder.url)
    #expect(again.documents == dataset.documents)
    let output = try TemporaryFolder()
    #expect(
      throws: TrainingError.missingSplit(
        split: "train", path: folder.url.path, available: ["dev"])
    ) { try Self.session().run(again, to: output.url) }
  }

  @Test func anOutputThatCannotBeMadeIsNamed() throws {
    let output = try TemporaryFolder(["file": "x"])
    let url = output.url.appendingPathComponent("file/model")
    let error = #expect(throws: TrainingError.self) { try Self.session().run(dataset, to: url) }
    guard case .unwritableFile(let path, _)? = error else {
      Issue.record("unexpected error: \(String(describing: error))")
      return
    }
    #expect(path == url.path)
    #expect(try Self.names(in: output.url) == ["file"])
  }

  @Test func aVocabularyTooLargeForTheTableIsNamed() throws {
    let output = try TemporaryFolder()
    let first = output.url.appendingPathComponent("first")
    _ = try Self.session {
      $0.phases = [.keywords]
      $0.recipe.keywords.optimization.steps = 1
    }.run(dataset, to: first)
    // A network whose table has 16 rows, with the vocabulary of the first.
    let small = output.url.appendingPathComponent("small")
    try T5Model(
      random: ToyCorpus.configuration(vocabularySize: 16), key: RandomKey(seed: 1)
    ).save(to: small)
    let session = Self.session {
      $0.start = .folder(small)
      $0.tokenizerURL = first.appendingPathComponent("spiece.model")
    }
    let error = #expect(throws: ModelError.self) {
      try session.run(dataset, to: output.url.appendingPathComponent("second"))
    }
    #expect(error?.description.contains("only 16 rows") == true)
  }

  @Test func aFolderWithNaNStopsAndKeepsWhatIsThere() throws {
    let output = try TemporaryFolder()
    _ = try Self.session {
      $0.phases = [.keywords]
      $0.recipe.keywords.optimization.steps = 1
    }.run(dataset, to: output.url)
    var model = try T5Model(folder: output.url)
    var table = try model.table.values()
    for index in table.indices where index % 16 == 3 { table[index] = .nan }
    model.table = try Tensor(table, shape: model.table.shape)
    let damaged = output.url.appendingPathComponent("damaged")
    try model.save(to: damaged)
    for name in ["spiece.model", "glen.json"] {
      try FileManager.default.copyItem(
        at: output.url.appendingPathComponent(name), to: damaged.appendingPathComponent(name))
    }
    let before = try Self.weights(output.url)
    for (phase, name) in [(TrainingSession.Phase.keywords, "keywords"), (.refine, "refine")] {
      let session = Self.session {
        $0.start = .folder(damaged)
        $0.phases = [phase]
      }
      let error = #expect(throws: TrainingError.self) { try session.run(dataset, to: output.url) }
      #expect(error?.description.contains("the \(name) phase diverged at step 0;") == true)
    }
    #expect(try Self.weights(output.url) == before)
  }

  @Test func recipesAreCheckedFirst() throws {
    let output = try TemporaryFolder()
    let url = output.url.appendingPathComponent("model")
    let session = Self.session { $0.recipe.identifierLength = 0 }
    #expect(throws: TrainingError.self) { try session.run(dataset, to: url) }
    #expect(!FileManager.default.fileExists(atPath: url.path))
  }
}

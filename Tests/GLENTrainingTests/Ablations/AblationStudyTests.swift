import Foundation
import GLENIndex
import GLENModel
import Testing

@testable import GLENTraining

/// Each switch does what it names, nothing is done twice, and what was stopped goes on.
@Suite("Ablation studies", .serialized) struct AblationStudyTests {
  private let folder: TemporaryFolder
  private let output: TemporaryFolder
  private let dataset: RetrievalDataset

  init() throws {
    let test = ToyCorpus.files["qrels/dev.tsv"] ?? ""
    folder = try TemporaryFolder(ToyCorpus.files.merging(["qrels/test.tsv": test]) { $1 })
    output = try TemporaryFolder()
    dataset = try RetrievalDataset(contentsOf: folder.url)
  }

  /// What a study did: the trainings in order, and all that they reported.
  private final class Journal {
    var trainings: [String] = []
    var progress: [String: [TrainingProgress]] = [:]
    var evaluations: [String] = []

    func losses(_ run: String, _ phase: String) -> [[String: Float]] {
      (progress[run] ?? []).filter { $0.phase == phase }.map { step in
        Dictionary(uniqueKeysWithValues: step.losses.map { ($0.name, $0.value) })
      }
    }
  }

  private static func study(
    _ journal: Journal, stopAfter updates: Int = .max, _ edit: (inout Recipe) -> Void = { _ in }
  ) -> AblationStudy {
    var recipe = ToyCorpus.recipe
    recipe.identifierLength = 2
    // So small a corpus is solved by what a model that has counted it begins with.
    recipe.beginsCopying = false
    for path in [\Recipe.keywords.optimization, \.refinement.optimization] {
      (recipe[keyPath: path].steps, recipe[keyPath: path].accumulation) = (4, 1)
    }
    edit(&recipe)
    var study = AblationStudy(
      TrainingSession(recipe: recipe, start: .random(ToyCorpus.configuration())))
    study.seeds = [1, 2]
    study.shuffleCount = 50
    var count = 0
    study.session.shouldStop = { count >= updates }
    study.prepare = { session, run, folder in
      #expect(folder.path.hasSuffix("/" + run))
      journal.trainings.append(run)
      session.report = { progress in
        count += 1
        journal.progress[run, default: []].append(progress)
      }
    }
    study.evaluates = { journal.evaluations.append($0) }
    return study
  }

  private func weights(_ run: String) throws -> Data {
    try Data(contentsOf: output.url.appendingPathComponent(run + "/model.safetensors"))
  }

  // MARK: The switches

  @Test func eachSwitchDoesWhatItNames() throws {
    let journal = Journal()
    var study = Self.study(journal)
    study.seeds = [1]
    let table = try study.run(dataset, in: output.url)
    #expect(table.rows.map(\.ablation) == Ablation.allCases)
    func refined(_ ablation: Ablation) -> [[String: Float]] {
      journal.losses(ablation.rawValue + "/seed-1", "refine")
    }
    func isClose(_ a: Float?, _ b: Float) -> Bool { abs((a ?? .nan) - b) < 1e-4 * max(1, abs(b)) }
    func value(_ step: [String: Float], _ name: String) -> Float { step[name] ?? .nan }
    func pointwise(_ step: [String: Float]) -> Float {
      0.5 * (value(step, "retrieval") + 0.5 * value(step, "distance"))
    }

    let full = refined(.full)
    #expect(full.count == 4)
    for step in full { #expect(isClose(step["loss"], value(step, "pairwise") + pointwise(step))) }
    #expect(value(full[0], "temperature") == 1 && value(full[3], "temperature") < 0.8)
    // Phase 1 is that of `noRefinement`, which has no other.
    #expect(journal.losses("full/seed-1", "keywords").isEmpty)
    #expect(journal.losses("no-refinement/seed-1", "keywords").count == 4)
    #expect(refined(.noRefinement).isEmpty)

    #expect(journal.losses("no-keywords/seed-1", "keywords").isEmpty)
    #expect(refined(.noKeywords).count == 4 && refined(.noKeywords)[0] != full[0])

    #expect(refined(.noAnnealing).map { $0["temperature"] } == [1e-5, 1e-5, 1e-5, 1e-5])
    for step in refined(.noPairwise) { #expect(isClose(step["loss"], pointwise(step))) }
    for step in refined(.noPointwise) { #expect(isClose(step["loss"], value(step, "pairwise"))) }
    for ablation in [Ablation.noPairwise, .noPointwise] {
      #expect(refined(ablation).count == 4)
      // The same batch of the same model; only what counts of it differs.
      #expect(refined(ablation)[0]["pairwise"] == full[0]["pairwise"])
      #expect(refined(ablation)[0]["retrieval"] == full[0]["retrieval"])
      #expect(refined(ablation)[0]["loss"] != full[0]["loss"])
    }
    // The first batch has random negatives either way: no document has been seen.
    #expect(refined(.randomNegatives)[0] == full[0])
    #expect(refined(.randomNegatives)[1]["pairwise"] != full[1]["pairwise"])

    let tokens = try ModelFolder(
      opening: output.url.appendingPathComponent("tokens-fed-back/seed-1"))
    #expect(tokens.settings.feedsTokens)
    #expect(
      journal.losses("tokens-fed-back/seed-1", "keywords")[0]
        != journal.losses("no-refinement/seed-1", "keywords")[0])
    let other = try ModelFolder(opening: output.url.appendingPathComponent("full/seed-1"))
    #expect(!other.settings.feedsTokens)

    // Every model is another, and the row of shuffles has none.
    let models = try Ablation.allCases.filter { $0 != .shuffledCollisions }
      .map { try weights($0.rawValue + "/seed-1") }
    #expect(Set(models).count == models.count)
    let shuffled = output.url.appendingPathComponent("shuffled-collisions/seed-1")
    #expect(
      try FileManager.default.contentsOfDirectory(atPath: shuffled.path) == ["measures.json"])
  }

  /// The rows are what evaluating the models by hand gives; shuffled collisions cost something, or
  /// gain it, and are the mean over shuffles.
  @Test func theTableIsWhatEvaluationGives() throws {
    var study = Self.study(Journal())
    study.seeds = [1]
    study.ablations = [.full, .shuffledCollisions]
    let table = try study.run(dataset, in: output.url)
    let retriever = try Indexer(
      model: ModelFolder(opening: output.url.appendingPathComponent("full/seed-1"))
    ).index(dataset.documents)
    let judgements = try RelevanceJudgements(dataset, split: "test")
    let queries = dataset.queries.filter { judgements.grades[ExactText($0.id)] != nil }
    let ranking = SplitRanking(depth: 100)
    let report = Evaluation(
      of: try Run(ranking.rankings(of: queries, by: retriever)), against: judgements
    ).report()
    let shuffles = try CollisionShuffles(
      ranking, of: queries, by: retriever, against: judgements
    ).summary(count: 50).mean
    for (row, expected) in zip(table.rows, [report, shuffles]) {
      #expect(row.cells.map(\.metric) == ["R@1", "R@10", "MRR@100"])
      for cell in row.cells {
        #expect(cell.split == "test")
        #expect(cell.estimate == MeanEstimate([try expected[RankingMetric(cell.metric)] ?? -1]))
      }
    }
    #expect(table.rows[0].cells[2] != table.rows[1].cells[2])
  }

  // MARK: Going on

  @Test func whatIsThereIsNotDoneAgain() throws {
    let (first, second, third) = (Journal(), Journal(), Journal())
    let table = try Self.study(first).run(dataset, in: output.url)
    // Eight rows are trained, the shared phase 1 as the row without refinement.
    #expect(first.trainings.count == 16 && Set(first.trainings).count == 16)
    #expect(first.evaluations.count == 18)
    #expect(table.rows.allSatisfy { row in row.cells.allSatisfy { $0.estimate.values.count == 2 } })

    #expect(try Self.study(second).run(dataset, in: output.url) == table)
    #expect(second.trainings.isEmpty && second.evaluations.isEmpty)

    // Another seed, another split: only what is missing.
    var study = Self.study(third)
    (study.seeds, study.ablations) = ([1, 2, 3], [.noAnnealing])
    study.splits = ["test", "dev"]
    let more = try study.run(dataset, in: output.url)
    #expect(third.trainings == ["no-refinement/seed-3", "no-annealing/seed-3"])
    #expect(third.evaluations == (1...3).map { "no-annealing/seed-\($0)" })
    let cells = try #require(more.rows.first?.cells)
    #expect(cells.map(\.split) == ["test", "test", "test", "dev", "dev", "dev"])
    let row = try #require(table.rows.first { $0.ablation == .noAnnealing })
    #expect(
      cells.prefix(3).map { Array($0.estimate.values.prefix(2)) }
        == row.cells.map(\.estimate.values))
  }

  /// Stopped in whatever run, and again, the study ends with the table of one that was not.
  @Test func aStoppedStudyGoesOn() throws {
    let rows: [Ablation] = [.full, .tokensFedBack, .noKeywords]
    let whole = try TemporaryFolder()
    var study = Self.study(Journal())
    study.ablations = rows
    let expected = try study.run(dataset, in: whole.url)
    // 4 updates of the shared phase 1, 4 of `full`; 8 of `tokensFedBack`; 4 of `noKeywords`.
    for updates in [0, 2, 1, 3, 5, 6] {
      var stopped = Self.study(Journal(), stopAfter: updates)
      stopped.ablations = rows
      #expect(throws: CancellationError.self) { try stopped.run(dataset, in: output.url) }
    }
    let journal = Journal()
    study = Self.study(journal)
    study.ablations = rows
    #expect(try study.run(dataset, in: output.url) == expected)
    #expect(journal.trainings.last == "no-keywords/seed-2")
    for run in ["full/seed-1", "tokens-fed-back/seed-1"] {
      #expect(
        try weights(run)
          == Data(contentsOf: whole.url.appendingPathComponent(run + "/model.safetensors")))
    }
  }

  /// A kill between the files of a model: the run is made again, to the same bytes.
  @Test func aModelThatIsNotWholeIsMadeAgain() throws {
    let journal = Journal()
    var study = Self.study(journal)
    (study.ablations, study.seeds) = ([.noAnnealing], [1])
    let table = try study.run(dataset, in: output.url)
    let before = try weights("no-annealing/seed-1")
    for name in ["measures.json", "recipe.json", "glen.json", "spiece.model"] {
      try FileManager.default.removeItem(
        at: output.url.appendingPathComponent("no-annealing/seed-1/" + name))
    }
    #expect(try study.run(dataset, in: output.url) == table)
    #expect(
      journal.trainings == ["no-refinement/seed-1", "no-annealing/seed-1", "no-annealing/seed-1"])
    #expect(try weights("no-annealing/seed-1") == before)
  }

  /// A start that is a folder is known by what is in it.
  @Test func aFolderIsKnownByItsContents() throws {
    let folder = try TemporaryFolder([
      "config.json": "{}", "model.safetensors": "a", "note.txt": "x",
    ])
    func summary() throws -> String { try TrainingSession.Start.folder(folder.url).summary() }
    let before = try summary()
    try folder.write(Data("y".utf8), to: "note.txt")
    #expect(try summary() == before)
    try folder.write(Data("b".utf8), to: "model.safetensors")
    #expect(try summary() != before)
  }

  @Test func partsOfDevAreNoTestSplits() throws {
    let dev = ToyCorpus.files["qrels/dev.tsv"] ?? ""
    let parts = try TemporaryFolder(
      ToyCorpus.files.merging(["qrels/dev-seen.tsv": dev, "qrels/test-seen.tsv": dev]) { $1 })
    var study = Self.study(Journal())
    (study.ablations, study.seeds) = ([.noRefinement], [1])
    let table = try study.run(RetrievalDataset(contentsOf: parts.url), in: output.url)
    #expect(Set(table.rows.flatMap { $0.cells.map(\.split) }) == ["test-seen"])
  }

  @Test func aFolderOfAnotherStudyIsRefused() throws {
    var study = Self.study(Journal())
    (study.ablations, study.seeds) = ([.noRefinement], [1])
    _ = try study.run(dataset, in: output.url)
    let before = try weights("no-refinement/seed-1")
    let other = Self.study(Journal()) { $0.refinement.negatives = 1 }
    let error = #expect(throws: TrainingError.self) { try other.run(dataset, in: output.url) }
    #expect(error?.description.contains("another recipe, start or corpus") == true)
    #expect(try weights("no-refinement/seed-1") == before)
    // Another corpus of as many documents, another vocabulary, another judgement.
    let files = ToyCorpus.files
    let changed = [
      ("documents", ["corpus.jsonl": (files["corpus.jsonl"] ?? "").replacing("the", with: "this")]),
      (
        "judgements of train",
        ["qrels/train.tsv": (files["qrels/train.tsv"] ?? "").replacing("d7", with: "d8")]
      ),
      (
        "queries",
        ["queries.jsonl": (files["queries.jsonl"] ?? "").replacing("where", with: "when")]
      ),
    ]
    for (name, files) in changed {
      let folder = try TemporaryFolder(ToyCorpus.files.merging(files) { $1 })
      let dataset = try RetrievalDataset(contentsOf: folder.url)
      let error = #expect(throws: TrainingError.self) { try study.run(dataset, in: output.url) }
      #expect(error?.description.contains("(\(name)") == true, "\(String(describing: error))")
    }
    // Without dev a run would not be validated, unlike those that are there.
    var bareFiles = ToyCorpus.files
    bareFiles["qrels/test.tsv"] = bareFiles.removeValue(forKey: "qrels/dev.tsv")
    let bare = try TemporaryFolder(bareFiles)
    let withoutDev = try RetrievalDataset(contentsOf: bare.url)
    let missing = #expect(throws: TrainingError.self) {
      try study.run(withoutDev, in: output.url)
    }
    #expect(
      missing?.description.contains("judgements of dev") == true, "\(String(describing: missing))")
    var tokenized = study
    tokenized.session.tokenizerURL = output.url.appendingPathComponent(
      "no-refinement/seed-1/spiece.model")
    let vocabulary = #expect(throws: TrainingError.self) {
      try tokenized.run(dataset, in: output.url)
    }
    #expect(vocabulary?.description.contains("got others (tokenizer)") == true)
    study.splits = ["test", "validation"]
    #expect(
      throws: TrainingError.missingSplit(
        split: "validation", path: folder.url.path, available: ["dev", "test", "train"])
    ) { try study.run(dataset, in: output.url) }
    let measures = output.url.appendingPathComponent("no-refinement/seed-1/measures.json")
    study.splits = nil
    let whole = try String(contentsOf: measures, encoding: .utf8)
    for text in ["{", whole.replacing("R@10", with: "R@20")] {
      try Data(text.utf8).write(to: measures)
      let damage = #expect(throws: TrainingError.self) { try study.run(dataset, in: output.url) }
      #expect(damage?.description.contains("measures.json: is damaged") == true)
    }
  }
}

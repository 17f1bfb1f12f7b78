import GLENIndex
import GLENPlatform
import GLENTensor

/// Trains, indexes and evaluates a recipe and what is left of it without each of its parts.
///
/// Every run is a folder `<ablation>/seed-<seed>` with its model and, once it is evaluated, a file of
/// measures. What is there is not done again, and a run that was stopped goes on from its checkpoint.
/// Ablations that change nothing before phase 2 begin with one and the same model, that of
/// `noRefinement`, which is what the whole run would have had there, to the last bit.
public struct AblationStudy {
  /// What is measured.
  static let metrics = ["R@1", "R@10", "MRR@100"].compactMap { try? RankingMetric($0) }

  /// The training that ablations change: its recipe and start; `seed`, `phases`, `resumes` are set
  /// for each run.
  public var session: TrainingSession
  /// The rows of the table.
  public var ablations = Ablation.allCases
  /// The seeds of all random numbers, one run each.
  public var seeds: [UInt64] = [1, 2, 3]
  /// The splits to rank; all but `train`, `dev` and parts of theirs (`dev-seen`, `dev_seen`, `dev.small`) if nil.
  ///
  /// Where there is no other, `dev` and its parts, on which training chose its models.
  public var splits: [String]?
  /// How often `shuffledCollisions` shuffles.
  public var shuffleCount = 10_000
  /// Called with each training before it begins, to hear its progress, say.
  public var prepare: (inout TrainingSession, _ run: String, _ folder: URL) -> Void = { _, _, _ in }
  /// Called when a run's model is about to be evaluated.
  public var evaluates: (_ run: String) -> Void = { _ in }

  /// A study of all ablations with three seeds.
  public init(_ session: TrainingSession) {
    self.session = session
  }

  /// Does what is not done yet, and returns the table.
  ///
  /// - Throws: `TrainingError.checkpoint` for a folder of another recipe, start or corpus; whatever
  ///   training, indexing and searching throw, `CancellationError` among it.
  public func run(_ dataset: RetrievalDataset, in folder: URL) throws -> AblationTable {
    try session.recipe.validate()
    var splits =
      self.splits ?? dataset.splits.filter { !["train", "dev"].contains(Self.whole(of: $0)) }
    if splits.isEmpty { splits = dataset.splits.filter { Self.whole(of: $0) == "dev" } }
    if splits.isEmpty { splits = ["dev"] }
    for split in splits where !dataset.splits.contains(split) {
      throw TrainingError.missingSplit(
        split: split, path: dataset.name, available: dataset.splits)
    }
    // Before the hours of training.
    for split in splits { _ = try RelevanceJudgements(measuring: split, of: dataset) }
    try claim(folder, for: dataset, splits: splits)
    var table = AblationTable(seeds: seeds, rows: [])
    for ablation in ablations {
      var reports: [[String: EvaluationReport]] = []
      for seed in seeds {
        let run = Run(ablation: ablation, seed: seed, folder: folder)
        reports.append(try measures(of: run, on: splits, of: dataset))
      }
      let cells = splits.flatMap { split in
        Self.metrics.map { metric in
          AblationTable.Cell(
            split: split, metric: metric.name,
            // `measures` has seen to it that they are there.
            estimate: MeanEstimate(reports.compactMap { $0[split]?[metric] }))
        }
      }
      table.rows.append(AblationTable.Row(ablation: ablation, cells: cells))
    }
    return table
  }

  /// The split that a part's name begins with.
  private static func whole(of split: String) -> Substring {
    split.prefix { !["-", "_", "."].contains($0) }
  }

  /// One row's work with one seed.
  private struct Run {
    var ablation: Ablation
    var seed: UInt64
    var folder: URL

    var name: String { "\(ablation.rawValue)/seed-\(seed)" }
    var url: URL { folder.appendingPathComponent(name) }
    var measuresURL: URL { url.appendingPathComponent("measures.json") }
    var checkpointURL: URL { url.appendingPathComponent("checkpoint.safetensors") }

    func exists(_ url: URL) -> Bool { FileManager.default.fileExists(atPath: url.path) }

    /// Whether the model is there as a whole (its recipe is saved last) and was not left on its way.
    var isTrained: Bool {
      exists(url.appendingPathComponent("recipe.json")) && !Checkpoint.exists(at: checkpointURL)
    }
  }

  /// What a folder's runs have in common: numbers, and checksums of everything else.
  private struct Study: Codable {
    var recipe: Recipe
    var start: String
    var tokenizer: String
    var documents: String
    var queries: String
    var generatedQueries: [String]
    /// By split; a study may come to others later.
    var judgements: [String: String]

    /// The parts of another study that are not this one's.
    func differences(from other: Study) -> [String] {
      let isSame = [
        "recipe": recipe == other.recipe, "start": start == other.start,
        "tokenizer": tokenizer == other.tokenizer, "documents": documents == other.documents,
        "queries": queries == other.queries,
        "generated queries": generatedQueries == other.generatedQueries,
      ]
      // What is trained or validated on must be there in both, or in neither.
      let splits = Set(judgements.keys).union(other.judgements.keys).filter { split in
        let (mine, its) = (judgements[split], other.judgements[split])
        return mine != its && (mine != nil && its != nil || ["train", "dev"].contains(split))
      }
      return isSame.filter { !$0.value }.keys.sorted()
        + splits.sorted().map { "judgements of \($0)" }
    }
  }

  /// Writes down what the folder is for, or checks that it is for this.
  private func claim(_ folder: URL, for dataset: RetrievalDataset, splits: [String]) throws {
    var documents = TextChecksum()
    for document in dataset.documents {
      documents.add(document.id)
      documents.add(document.fullText)
    }
    var queries = TextChecksum()
    for query in dataset.queries {
      queries.add(query.id)
      queries.add(query.text)
    }
    var judgements: [String: String] = [:]
    for split in Set(splits + ["train", "dev"]).intersection(dataset.splits) {
      var checksum = TextChecksum()
      let list = try dataset.judgementList(split: split)
      for judgement in list.judgements {
        checksum.add([judgement.query, judgement.document, judgement.grade])
      }
      for unknown in list.unknownDocuments {
        checksum.add(unknown.document)
        checksum.add([unknown.query, unknown.grade])
      }
      judgements[split] = checksum.text
    }
    var study = Study(
      recipe: session.recipe, start: try session.start.summary(),
      tokenizer: try session.tokenizerURL.map { try TextChecksum(of: [$0]).text } ?? "",
      documents: "\(dataset.documents.count), \(documents.text)",
      queries: "\(dataset.queries.count), \(queries.text)",
      generatedQueries: try session.generatedQueryURLs.map { try TextChecksum(of: [$0]).text },
      judgements: judgements)
    let url = folder.appendingPathComponent("study.json")
    if let data = try? Data(contentsOf: url) {
      guard let earlier = try? JSONDecoder().decode(Study.self, from: data) else {
        throw TrainingError.checkpoint(
          path: url.path, reason: "is damaged, or of another version of glen; choose another folder"
        )
      }
      let differences = study.differences(from: earlier)
      guard differences.isEmpty else {
        throw TrainingError.checkpoint(
          path: url.path,
          reason: "the folder's runs have another recipe, start or corpus; expected those that it "
            + "began with, got others (\(differences.joined(separator: ", "))); choose another folder, or "
            + "remove this one")
      }
      study.judgements.merge(earlier.judgements) { now, _ in now }
    }
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    try TrainingSession.makeFolder(folder)
    try AtomicFile.write(encoder.encode(study), to: url)
  }

  /// A run's measures: from its file, or of its model, which is trained if it is not there.
  private func measures(
    of run: Run, on splits: [String], of dataset: RetrievalDataset
  ) throws -> [String: EvaluationReport] {
    var known: [String: EvaluationReport] = [:]
    if let data = try? Data(contentsOf: run.measuresURL) {
      let decoded = try? JSONDecoder().decode([String: EvaluationReport].self, from: data)
      let isWhole = decoded?.values.allSatisfy { report in
        Self.metrics.allSatisfy { report[$0] != nil }
      }
      guard let decoded, isWhole == true else {
        throw TrainingError.checkpoint(
          path: run.measuresURL.path, reason: "is damaged; remove it, and the run is measured again"
        )
      }
      known = decoded
    }
    guard splits.contains(where: { known[$0] == nil }) else { return known }
    // Shuffling is the full model's, measured in another way.
    let trained =
      run.ablation == .shuffledCollisions
      ? Run(ablation: .full, seed: run.seed, folder: run.folder) : run
    let model = try model(of: trained, dataset)
    evaluates(run.name)
    let retriever = try Indexer(model: model).index(dataset.documents)
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
    try TrainingSession.makeFolder(run.url)
    for split in splits where known[split] == nil {
      if session.shouldStop() { throw CancellationError() }
      known[split] = try report(run.ablation, split, of: dataset, by: retriever)
      try AtomicFile.write(encoder.encode(known), to: run.measuresURL)
    }
    return known
  }

  private func model(of run: Run, _ dataset: RetrievalDataset) throws -> ModelFolder {
    if run.isTrained { return try ModelFolder(opening: run.url, on: session.backend) }
    var session = session
    session.seed = run.seed
    session.recipe = run.ablation.recipe(from: session.recipe)
    session.phases = [.keywords, .refine]
    var beforeRefinement = session.recipe
    beforeRefinement.refinement = self.session.recipe.refinement
    if beforeRefinement == self.session.recipe, run.ablation != .noRefinement {
      let first = Run(ablation: .noRefinement, seed: run.seed, folder: run.folder)
      _ = try model(of: first, dataset)
      (session.start, session.tokenizerURL) = (.folder(first.url), nil)
      session.phases = [.refine]
    }
    session.resumes = Checkpoint.exists(at: run.checkpointURL)
    prepare(&session, run.name, run.url)
    return try session.run(dataset, to: run.url)
  }

  private func report(
    _ ablation: Ablation, _ split: String, of dataset: RetrievalDataset, by retriever: Retriever
  ) throws -> EvaluationReport {
    let judgements = try RelevanceJudgements(measuring: split, of: dataset)
    let queries = dataset.queries.filter { judgements.grades[ExactText($0.id)] != nil }
    var ranking = SplitRanking(depth: 100)
    ranking.withoutOwnDocument = judgements.queriesWithoutOwnDocument(in: dataset)
    if ablation == .shuffledCollisions {
      return try CollisionShuffles(
        ranking, of: queries, by: retriever, against: judgements, metrics: Self.metrics
      ).summary(count: shuffleCount).mean
    }
    let run = try GLENTraining.Run(ranking.rankings(of: queries, by: retriever))
    return Evaluation(of: run, against: judgements, metrics: Self.metrics).report()
  }
}

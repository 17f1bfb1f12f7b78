import ArgumentParser
import GLENIndex
import GLENPlatform
import GLENTensor
import GLENText
import GLENTraining

struct Evaluate: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "evaluate",
    abstract: "Rank the questions of a split and print Recall, MRR, nDCG and AP.",
    discussion: """
      With --hybrid the index's ranking is fused with BM25 over the model's pieces, and the table \
      shows both alone, too. Keywords are the index's own (`glen index --keywords`), or else are \
      made of the corpus. `rrf` is reciprocal rank fusion; `interpolate` adds the \
      two scores, with --weight, or with the weight under which the relevant documents of the \
      split --tune are likeliest.

      With --shuffles N documents of equal score are shuffled N times: the mean of the metrics, and \
      the bounds of the middle 95 %, over all questions and over those of which a relevant document \
      shares its identifier (the paper's Table 5).
      """)

  enum Fusion: String, ExpressibleByArgument, Encodable {
    case rrf, interpolate
  }

  @Argument(help: "An index folder; with --baseline not needed, and not looked at.")
  var index: String?
  @OptionGroup var data: DatasetOptions
  @Option(help: "The split: a file in qrels.") var split = "test"
  @Option(help: "How many documents to rank.") var depth = 100
  @Option(help: "The width of the paper's beam search; without it the search is exact.")
  var beam: Int?
  @Option(help: "Rank with a baseline instead: bm25.") var baseline: String?
  @Option(help: "Fuse with BM25: rrf or interpolate.") var hybrid: Fusion?
  @Option(help: "GLEN's part in --hybrid interpolate, 0 to 1.") var weight: Float?
  @Option(help: "The split that gives the weight where none is given. (default: dev)")
  var tune: String?
  @Option(help: "Shuffle documents of equal score this many times.") var shuffles: Int?
  @Option(name: .customLong("run"), help: "Write the rankings as a TREC run.")
  var runFile: String?
  @Flag(
    help:
      "Also say whether the best hit's probability means what it says, and from which on to answer."
  )
  var reliability = false
  @Flag(
    help:
      "Also rank, in BEIR's layout, the document that has the query's own id and does not answer it; BEIR's evaluator leaves it out."
  )
  var keepIdenticalIds = false
  @Option(help: "cpu or cuda.") var device = Device.cpu
  @Flag(help: "Print JSON.") var json = false

  func validate() throws {
    if let baseline, baseline != "bm25" {
      throw ValidationError("no baseline is called \(baseline); known: bm25")
    }
    let index = baseline == nil ? index : nil
    if index == nil, baseline == nil {
      throw ValidationError("give an index folder or --baseline bm25")
    }
    if reliability && (index == nil || hybrid != nil) {
      throw ValidationError("--reliability needs an index, and goes without --hybrid")
    }
    if depth < 1 { throw ValidationError("--depth must be at least 1") }
    if let beam, beam < 1 { throw ValidationError("--beam must be at least 1") }
    if let shuffles, !(1...1_000_000).contains(shuffles) {
      throw ValidationError("--shuffles must be 1 to 1000000")
    }
    if let weight, !(0...1).contains(weight) {
      throw ValidationError("--weight must be from 0 to 1")
    }
    if weight != nil, hybrid != .interpolate {
      throw ValidationError("--weight is for --hybrid interpolate")
    }
    if tune != nil, hybrid != .interpolate || weight != nil {
      throw ValidationError("--tune is for --hybrid interpolate without --weight")
    }
    if baseline != nil, beam != nil || device != .cpu {
      throw ValidationError("--baseline goes with neither --beam nor --device")
    }
    if hybrid != nil, index == nil || beam != nil || shuffles != nil {
      throw ValidationError("--hybrid needs an index, and goes with neither --beam nor --shuffles")
    }
    if shuffles != nil, index == nil { throw ValidationError("--shuffles needs an index") }
  }

  /// A ranking with its name in the table.
  private typealias Row = (label: String, rankings: [RankedList])

  func run() throws {
    let dataset = try data.dataset(splits: [split])
    let judgements = try RelevanceJudgements(measuring: split, of: dataset)
    let questions = Self.questions(of: judgements, in: dataset)
    let index = baseline == nil ? index : nil
    let backend = try index.map { _ in try device.backend() }
    let retriever = try index.map {
      try Retriever(
        opening: URL(fileURLWithPath: $0), on: backend ?? CPUBackend.shared, warn: Console.error)
    }
    var ranking = SplitRanking(depth: depth, mode: beam.map(SearchMode.beam) ?? .exact)
    ranking.withoutOwnDocument = withoutOwnDocument(judgements, dataset)
    ranking.scanner = backend as? any CodeScanner
    try check(retriever?.snapshot, judgements, questions, dataset)
    // The last row is the one that was asked for.
    let rows: [Row]
    var weight: Float?
    if let retriever, let hybrid {
      (rows, weight) = try fuse(hybrid, questions, judgements, retriever, dataset)
    } else if let retriever {
      rows = [
        ("glen", try ranking.rankings(of: questions, by: retriever) { status($0, questions) })
      ]
      Console.status("")
    } else {
      let rankings = BM25Baseline(dataset.documents).rankings(
        of: questions, depth: depth, withoutOwnDocument: ranking.withoutOwnDocument)
      rows = [("bm25", rankings)]
    }
    let runs = try rows.map { (label: $0.label, run: try GLENTraining.Run($0.rankings)) }
    if let runFile, let last = runs.last {
      try RunWriter(tag: last.label).write(last.run, to: URL(fileURLWithPath: runFile))
    }
    let reports = runs.map {
      (
        label: $0.label,
        report: Evaluation(of: $0.run, against: judgements, metrics: metrics).report()
      )
    }
    var extra = Extra()
    if let hybrid {
      let parts = reports.dropLast().map { ($0.label, $0.report) }
      extra.hybrid = HybridParts(
        fusion: hybrid, weight: weight, rankings: Dictionary(uniqueKeysWithValues: parts))
    }
    if let retriever, let shuffles {
      let shuffled = try CollisionShuffles(
        ranking, of: questions, by: retriever, against: judgements, metrics: metrics)
      extra.shuffled = shuffled.summary(count: shuffles)
      let colliding = judgements.collidingQueries(in: retriever.snapshot)
      if !colliding.isEmpty, let run = runs.last?.run {
        extra.colliding = Colliding(
          ranked: Evaluation(of: run, against: judgements, metrics: metrics).report {
            colliding.contains(ExactText($0))
          },
          shuffled: shuffled.summary(count: shuffles) { colliding.contains(ExactText($0)) })
      }
    }
    if let retriever, reliability {
      extra.reliability = ReliabilityReport(
        try ranking.judgedAnswers(to: questions, by: retriever, against: judgements))
    }
    try show(reports, extra)
  }

  /// The questions that do not find the document of their own id.
  private func withoutOwnDocument(
    _ judgements: RelevanceJudgements, _ dataset: RetrievalDataset
  ) -> Set<ExactText> {
    keepIdenticalIds ? [] : judgements.queriesWithoutOwnDocument(in: dataset)
  }

  /// Finds out before the ranking what would make it worthless.
  private func check(
    _ index: IndexSnapshot?, _ judgements: RelevanceJudgements, _ questions: [Query],
    _ dataset: RetrievalDataset
  ) throws {
    if let index {
      let (count, missing) = try judgements.relevantDocuments(in: index)
      if missing > 0 {
        Console.error(
          "warning: of \(count) relevant documents the index lacks \(missing); "
            + "their questions cannot be answered")
      }
    }
    guard let runFile else { return }
    let documents =
      index.map { index in
        (0..<index.documentCount).filter(index.isLiving).map(index.id(ofDocument:))
      } ?? dataset.documents.map(\.id)
    try RunWriter().check(
      queries: questions.map(\.id), documents: documents, to: URL(fileURLWithPath: runFile))
  }

  /// Those that look no deeper than the lists.
  private var metrics: [RankingMetric] {
    RankingMetric.standard.filter { $0.cutoff ?? 0 <= depth }
  }

  private func status(_ done: Int, _ questions: [Query]) {
    Console.status("\(done) of \(questions.count) questions")
  }

  private static func questions(
    of judgements: RelevanceJudgements, in dataset: RetrievalDataset
  ) -> [Query] {
    dataset.queries.filter { judgements.grades[ExactText($0.id)] != nil }
  }

  /// The index's ranking, that of BM25 over its pieces, and both together; and the weight, if any.
  private func fuse(
    _ fusion: Fusion, _ questions: [Query], _ judgements: RelevanceJudgements,
    _ retriever: Retriever, _ dataset: RetrievalDataset
  ) throws -> (rows: [Row], weight: Float?) {
    let keywords = try retriever.snapshot.keywords ?? Self.keywords(of: dataset, for: retriever)
    func search(
      _ questions: [Query], _ judgements: RelevanceJudgements
    ) throws -> HybridRanking {
      defer { Console.status("") }
      return try HybridRanking(
        of: questions, by: retriever, keywords: keywords, depth: depth,
        withoutOwnDocument: withoutOwnDocument(judgements, dataset)
      ) { status($0, questions) }
    }
    var weight: Float?
    if fusion == .interpolate {
      let tune = tune ?? "dev"
      let dev = try self.weight == nil ? RelevanceJudgements(measuring: tune, of: dataset) : nil
      let tuned = try dev.map {
        try search(Self.questions(of: $0, in: dataset), $0).tunedWeight(on: $0)
      }
      weight = self.weight ?? tuned
      if let tuned { Console.error("weight \((100 * tuned).rounded() / 100), tuned on \(tune)") }
    }
    let found = try search(questions, judgements)
    let rows: [Row] = [
      ("glen", found.parts.identifiers), ("bm25-pieces", found.parts.keywords),
      ("hybrid", found.rankings(weight.map(Hybrid.interpolated) ?? .reciprocalRank)),
    ]
    return (rows, weight)
  }

  /// The keywords of an index that keeps none, from the corpus and with the index's numbers.
  private static func keywords(
    of dataset: RetrievalDataset, for retriever: Retriever
  ) throws -> KeywordSearch {
    let snapshot = retriever.snapshot
    let keywords = try KeywordIndex(
      documents: (0..<snapshot.documentCount).map { document in
        guard snapshot.isLiving(document) else { return [] }
        let name = snapshot.id(ofDocument: document)
        guard let place = dataset.documentPosition(of: name) else {
          throw TrainingError.otherCorpus(
            problem: "the index's document '\(name)' is not in the corpus")
        }
        return try retriever.keywords(of: dataset.documents[place].fullText)
      })
    return KeywordSearch([keywords])
  }

  /// What was fused, and how.
  private struct HybridParts: Encodable {
    var fusion: Fusion
    /// GLEN's part in interpolation.
    var weight: Float?
    /// Each ranking alone, by its name in the table.
    var rankings: [String: EvaluationReport]
  }

  /// The questions of which a relevant document shares its identifier.
  private struct Colliding: Encodable {
    var ranked: EvaluationReport
    var shuffled: CollisionShuffles.Summary
  }

  /// What is reported beside the measures.
  private struct Extra: Encodable {
    var hybrid: HybridParts?
    var shuffled: CollisionShuffles.Summary?
    var colliding: Colliding?
    var reliability: ReliabilityReport?
  }

  /// What `--json` prints: the report with the keys of what else was asked for.
  private struct FullReport: Encodable {
    var report: EvaluationReport
    var extra: Extra

    func encode(to encoder: any Encoder) throws {
      try report.encode(to: encoder)
      try extra.encode(to: encoder)
    }
  }

  private func show(
    _ reports: [(label: String, report: EvaluationReport)], _ extra: Extra
  ) throws {
    if json, let report = reports.last?.report {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
      let data = try encoder.encode(FullReport(report: report, extra: extra))
      Console.output(String(decoding: data, as: UTF8.self))
      return
    }
    func rows(
      _ summary: CollisionShuffles.Summary?
    ) -> [(label: String, report: EvaluationReport)] {
      guard let summary else { return [] }
      return [
        (counted(summary.count, "shuffle"), summary.mean), ("  2.5 %", summary.low),
        ("  97.5 %", summary.high),
      ]
    }
    var table = reports + rows(extra.shuffled)
    if let colliding = extra.colliding {
      table += [("colliding", colliding.ranked)] + rows(colliding.shuffled)
    }
    Console.output(EvaluationReport.table(table))
    if let reliability = extra.reliability { Console.output(Self.text(of: reliability)) }
  }

  private static func text(of report: ReliabilityReport) -> String {
    var lines = [
      String(
        printf: "best hits: %ld, right %.1f %%, expected calibration error %.3f", report.count,
        100 * report.accuracy, report.expectedCalibrationError),
      "", "probability   questions  mean P %  right %",
    ]
    lines += report.bins.map {
      String(
        printf: "%.1f to %.1f     %9ld %9.1f %8.1f", $0.lower, $0.upper, $0.count,
        100 * $0.meanProbability, 100 * $0.accuracy)
    }
    lines += ["", "answered %  from P on  right %"]
    lines += report.coverages.map {
      String(
        printf: "%10.1f %10.4g %8.1f", 100 * $0.coverage, $0.minimumProbability, 100 * $0.accuracy)
    }
    if let best = report.bestF1 {
      lines += [
        "",
        String(
          printf: "best F1 %.3f (precision %.3f, recall %.3f, answered %.1f %%) with", best.f1,
          best.precision, best.recall, 100 * best.coverage),
        // All digits: the threshold is an answer's own probability, and a rounded one may lose it.
        "  glen search INDEX QUESTION --minimum-probability \(best.minimumProbability)",
      ]
    }
    return lines.joined(separator: "\n")
  }
}

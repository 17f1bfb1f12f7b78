import ArgumentParser
import Foundation
import GLENIndex
import GLENTraining

struct Evaluate: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Rank the questions of a split and print Recall, MRR, nDCG and AP.")

  @Argument(help: "An index folder; not needed with --baseline.") var index: String?
  @Option(help: "A BEIR folder.") var corpus: String
  @Option(help: "The split: a file in qrels.") var split = "test"
  @Option(help: "How many documents to rank.") var depth = 100
  @Option(help: "The width of the paper's beam search; without it the search is exact.")
  var beam: Int?
  @Option(help: "Rank with a baseline instead: bm25.") var baseline: String?
  @Option(name: .customLong("run"), help: "Write the rankings as a TREC run.")
  var runFile: String?
  @Flag(
    help:
      "Also say whether the best hit's probability means what it says, and from which on to answer."
  )
  var reliability = false
  @Flag(help: "Print JSON.") var json = false

  func validate() throws {
    if let baseline, baseline != "bm25" {
      throw ValidationError("no baseline is called \(baseline); known: bm25")
    }
    if (index == nil) == (baseline == nil) {
      throw ValidationError("give an index folder or --baseline bm25")
    }
    if reliability && baseline != nil {
      throw ValidationError("--reliability needs an index: a baseline has no probabilities")
    }
    if depth < 1 { throw ValidationError("--depth must be at least 1") }
    if let beam, beam < 1 { throw ValidationError("--beam must be at least 1") }
  }

  func run() throws {
    let dataset = try RetrievalDataset(contentsOf: URL(fileURLWithPath: corpus))
    let judgements = try RelevanceJudgements(dataset, split: split)
    let questions = dataset.queries.filter { judgements.grades[$0.id] != nil }
    let rankings: [RankedList]
    var reliability: ReliabilityReport?
    if let index {
      let retriever = try Retriever(opening: URL(fileURLWithPath: index), warn: Console.error)
      let ranking = SplitRanking(depth: depth, mode: beam.map(SearchMode.beam) ?? .exact)
      rankings = try ranking.rankings(of: questions, by: retriever) {
        Console.status("\($0) of \(questions.count) questions")
      }
      Console.status("")
      if self.reliability {
        reliability = ReliabilityReport(
          try ranking.judgedAnswers(to: questions, by: retriever, against: judgements))
      }
    } else {
      rankings = BM25Baseline(dataset.documents).rankings(of: questions, depth: depth)
    }
    let ranked = try GLENTraining.Run(rankings)
    if let runFile {
      try RunWriter(tag: baseline ?? "glen").write(ranked, to: URL(fileURLWithPath: runFile))
    }
    let report = Evaluation(of: ranked, against: judgements).report()
    if json {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
      let data = try encoder.encode(Result(report: report, reliability: reliability))
      Console.output(String(decoding: data, as: UTF8.self))
    } else {
      Console.output(EvaluationReport.table([(label: baseline ?? "glen", report: report)]))
      if let reliability { Console.output(Self.text(of: reliability)) }
    }
  }

  /// The flat object of a report, with the reliability where it was asked for.
  private struct Result: Encodable {
    var report: EvaluationReport
    var reliability: ReliabilityReport?

    enum Key: CodingKey { case reliability }

    func encode(to encoder: any Encoder) throws {
      try report.encode(to: encoder)
      var container = encoder.container(keyedBy: Key.self)
      try container.encodeIfPresent(reliability, forKey: .reliability)
    }
  }

  private static func text(of report: ReliabilityReport) -> String {
    var lines = [
      String(
        format: "best hits: %d, right %.1f %%, expected calibration error %.3f", report.count,
        100 * report.accuracy, report.expectedCalibrationError),
      "", "probability   questions  mean P %  right %",
    ]
    lines += report.bins.map {
      String(
        format: "%.1f to %.1f     %9d %9.1f %8.1f", $0.lower, $0.upper, $0.count,
        100 * $0.meanProbability, 100 * $0.accuracy)
    }
    lines += ["", "answered %  from P on  right %"]
    lines += report.coverages.map {
      String(
        format: "%10.1f %10.4f %8.1f", 100 * $0.coverage, $0.minimumProbability, 100 * $0.accuracy)
    }
    if let best = report.bestF1 {
      lines += [
        "",
        String(
          format: "best F1 %.3f: answer from P = %.4f on (precision %.3f, recall %.3f)", best.f1,
          best.minimumProbability, best.precision, best.recall),
      ]
    }
    return lines.joined(separator: "\n")
  }
}

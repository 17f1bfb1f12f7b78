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
  @Option(help: "cpu or cuda.") var device = Device.cpu
  @Flag(help: "Print JSON.") var json = false

  func validate() throws {
    if let baseline, baseline != "bm25" {
      throw ValidationError("no baseline is called \(baseline); known: bm25")
    }
    if (index == nil) == (baseline == nil) {
      throw ValidationError("give an index folder or --baseline bm25")
    }
    if depth < 1 { throw ValidationError("--depth must be at least 1") }
    if let beam, beam < 1 { throw ValidationError("--beam must be at least 1") }
  }

  func run() throws {
    let dataset = try RetrievalDataset(contentsOf: URL(fileURLWithPath: corpus))
    let judgements = try RelevanceJudgements(dataset, split: split)
    let questions = dataset.queries.filter { judgements.grades[$0.id] != nil }
    let rankings: [RankedList]
    if let index {
      let retriever = try Retriever(
        opening: URL(fileURLWithPath: index), on: device.backend(), warn: Console.error)
      rankings = try SplitRanking(depth: depth, mode: beam.map(SearchMode.beam) ?? .exact)
        .rankings(of: questions, by: retriever) {
          Console.status("\($0) of \(questions.count) questions")
        }
      Console.status("")
    } else {
      rankings = BM25Baseline(dataset.documents).rankings(of: questions, depth: depth)
    }
    let ranked = try GLENTraining.Run(rankings)
    if let runFile {
      try RunWriter(tag: baseline ?? "glen").write(ranked, to: URL(fileURLWithPath: runFile))
    }
    let report = Evaluation(of: ranked, against: judgements).report()
    if json {
      Console.output(String(decoding: try report.jsonData(), as: UTF8.self))
    } else {
      Console.output(EvaluationReport.table([(label: baseline ?? "glen", report: report)]))
    }
  }
}

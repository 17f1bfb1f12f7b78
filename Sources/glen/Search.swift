import ArgumentParser
import Foundation
import GLENIndex

struct Search: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Answer questions from an index.")

  @Argument(help: "An index folder.") var index: String
  @Argument(help: "Questions.") var questions: [String]
  @Option(help: "How many documents.") var top = 10
  @Option(help: "The width of the paper's beam search; without it the search is exact.")
  var beam: Int?
  @Flag(help: "Score every identifier (the default).") var exact = false
  @Flag(help: "Show what each token of a hit's identifier contributes.") var explain = false
  @Option(help: "cpu or cuda.") var device = Device.cpu
  @Flag(help: "Print one JSON object for each question.") var json = false

  func validate() throws {
    if questions.isEmpty { throw ValidationError("give at least one question") }
    if top < 1 { throw ValidationError("--top must be at least 1") }
    if beam != nil && exact { throw ValidationError("give --beam or --exact, not both") }
    if explain && json { throw ValidationError("give --explain or --json, not both") }
    if let beam, beam < 1 { throw ValidationError("--beam must be at least 1") }
  }

  func run() throws {
    let retriever = try Retriever(
      opening: URL(fileURLWithPath: index), on: device.backend(), warn: Console.error)
    let mode = beam.map(SearchMode.beam) ?? .exact
    for first in stride(from: 0, to: questions.count, by: 64) {
      try answer(Array(questions[first..<min(first + 64, questions.count)]), retriever, mode)
    }
  }

  private func answer(
    _ questions: [String], _ retriever: Retriever, _ mode: SearchMode
  ) throws {
    let tokens = questions.map(retriever.model.tokens(ofQuery:))
    for (question, scores) in zip(questions, try retriever.model.generator.scores(of: tokens)) {
      let ranked = try retriever.rank(scores, limit: top, mode: mode)
      if json {
        try Console.json(Answer(query: question, hits: ranked.map(retriever.hit)))
        continue
      }
      Console.output(question)
      for (place, document) in ranked.enumerated() {
        let hit = retriever.hit(document)
        Console.output(Self.line(place + 1, hit))
        if explain { Self.explain(document, hit, scores, retriever.table) }
      }
    }
  }

  /// Prints the parts of a hit: for every position the query's probability and logit of the token,
  /// and the document's own logit.
  private static func explain(
    _ ranked: RankedDocument, _ hit: SearchHit, _ scores: QueryScores, _ table: IdentifierTable
  ) {
    let weights = table.weights(ofDocument: ranked.document)
    for (step, token) in hit.tokens.enumerated() {
      let piece = hit.identifier[step]
      Console.output(
        "       " + piece.padding(toLength: max(18, piece.count), withPad: " ", startingAt: 0)
          + String(
            format: "P %6.3f %%   query logit %8.3f   document logit %8.3f",
            100 * exp(Double(scores.logProbability(step, Int(token)))),
            scores.logit(step, Int(token)), weights[step]))
    }
    Console.output(String(format: "       cosine of the logits %.4f", hit.similarity))
  }

  private struct Answer: Encodable {
    var query: String
    var hits: [SearchHit]
  }

  /// A hit as a line: place, score, identifier in words, id and title.
  static func line(_ place: Int, _ hit: SearchHit) -> String {
    let words = hit.identifier.map { $0.replacingOccurrences(of: "\u{2581}", with: "") }
    let title = hit.title.map { $0.isEmpty ? "" : "  " + $0 } ?? ""
    return String(format: "%3d. %8.3f  ", place, hit.score)
      + words.joined(separator: "-") + "  [\(hit.id)]" + title
  }
}

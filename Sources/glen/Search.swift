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
  @Flag(help: "Print one JSON object for each question.") var json = false

  func validate() throws {
    if questions.isEmpty { throw ValidationError("give at least one question") }
    if top < 1 { throw ValidationError("--top must be at least 1") }
    if beam != nil && exact { throw ValidationError("give --beam or --exact, not both") }
    if let beam, beam < 1 { throw ValidationError("--beam must be at least 1") }
  }

  func run() throws {
    let retriever = try Retriever(opening: URL(fileURLWithPath: index), warn: Console.error)
    let mode = beam.map(SearchMode.beam) ?? .exact
    let answers = try retriever.search(questions, limit: top, mode: mode)
    for (question, hits) in zip(questions, answers) {
      if json {
        try Console.json(Answer(query: question, hits: hits))
      } else {
        Console.output(question)
        for (place, hit) in hits.enumerated() { Console.output(Self.line(place + 1, hit)) }
      }
    }
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

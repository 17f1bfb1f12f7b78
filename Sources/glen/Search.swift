import ArgumentParser
import GLENIndex
import GLENPlatform

struct Search: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "search",
    abstract: "Answer questions from an index.")

  @Argument(help: "An index folder.") var index: String
  @Argument(help: "Questions.") var questions: [String]
  @Option(help: "How many documents.") var top = 10
  @Option(help: "The width of the paper's beam search; without it the search is exact.")
  var beam: Int?
  @Flag(help: "Score every identifier (the default).") var exact = false
  @Flag(help: "Rank by keywords too, by reciprocal rank; the index must keep them.")
  var hybrid = false
  @Option(
    name: .customLong("where"),
    help: "Only documents whose metadata says KEY=VALUE; give it again for more that must hold.")
  var conditions: [MetadataCondition] = []
  @Option(help: "Answer only if the best hit's probability among the corpus reaches this.")
  var minimumProbability = 0.0
  @Flag(help: "Show what each token of a hit's identifier contributes, and who came next.")
  var explain = false
  @Option(help: "cpu or cuda.") var device = Device.cpu
  @Flag(help: "Print one JSON object for each question.") var json = false

  func validate() throws {
    if questions.isEmpty { throw ValidationError("give at least one question") }
    if top < 1 { throw ValidationError("--top must be at least 1") }
    if hybrid && (beam != nil || explain) {
      throw ValidationError("--hybrid goes with neither --beam nor --explain")
    }
    if beam != nil && exact { throw ValidationError("give --beam or --exact, not both") }
    guard (0...1).contains(minimumProbability) else {
      throw ValidationError("--minimum-probability must be from 0 to 1")
    }
    if let beam, beam < 1 { throw ValidationError("--beam must be at least 1") }
  }

  func run() throws {
    let retriever = try Retriever(
      opening: URL(fileURLWithPath: index), on: device.backend(), warn: Console.error)
    let options = SearchOptions(
      mode: beam.map(SearchMode.beam) ?? .exact, hybrid: hybrid ? .reciprocalRank : nil,
      filter: conditions.isEmpty
        ? nil
        : retriever.filter { document in
          let metadata = document.metadata
          return conditions.allSatisfy { $0.holds(for: metadata) }
        },
      minimumProbability: minimumProbability)
    for first in stride(from: 0, to: questions.count, by: 64) {
      let part = Array(questions[first..<min(first + 64, questions.count)])
      for (question, scores) in zip(part, try retriever.scores(of: part)) {
        let hits = try retriever.hits(
          for: scores, of: question, limit: top, options: options)
        let explanations =
          explain
          ? try hits.map {
            try retriever.explain(
              $0.id, for: question, scores: scores, limit: top, options: options)
          } : nil
        if json {
          try Console.json(Answer(query: question, hits: hits, explanations: explanations))
        } else {
          Self.show(question, hits, explanations)
        }
      }
    }
  }

  private struct Answer: Encodable {
    var query: String
    var hits: [SearchHit]
    var explanations: [Explanation]?
  }

  private static func show(
    _ question: String, _ hits: [SearchHit], _ explanations: [Explanation]?
  ) {
    Console.output(question)
    if hits.isEmpty { Console.output("  no good answer") }
    for (place, hit) in hits.enumerated() {
      Console.output(line(place + 1, hit))
      if let explanations { show(explanations[place]) }
    }
  }

  /// Prints the parts of a hit: for every position the query's probability and logit of the token and
  /// the document's own logit; then the cosine, and what the best document below the list lacked.
  private static func show(_ explanation: Explanation) {
    for step in explanation.steps {
      let width = max(18, step.piece.count)
      Console.output(
        "       " + step.piece.padded(to: width)
          + String(
            printf: "P %6.3f %%   query logit %8.3f   document logit %8.3f",
            100 * step.queryProbability, step.queryLogit, step.documentLogit))
    }
    Console.output(
      String(
        printf: "       cosine of the logits %.4f, probability in the corpus %.4f",
        explanation.hit.similarity, explanation.hit.probability ?? 0))
    guard let rejected = explanation.rejected else { return }
    let losses = zip(rejected.steps, rejected.losses).map { step, loss in
      step.piece + String(printf: " %.3f", loss)
    }
    let reason =
      rejected.decidingStep.map { "most at position \($0 + 1): " + losses.joined(separator: ", ") }
      ?? String(printf: "only by its cosine %.4f", rejected.hit.similarity)
    Console.output("       ahead of [\(rejected.hit.id)], which is not listed and lost " + reason)
  }

  /// A hit as a line: place, score, probability, identifier in words, id and title.
  static func line(_ place: Int, _ hit: SearchHit) -> String {
    let words = hit.identifier.map { $0.replacing("\u{2581}", with: "") }
    let title = hit.title.map { "  " + String($0.map { $0.isNewline ? " " : $0 }) } ?? ""
    return String(printf: "%3ld. %8.3f %5.1f %%  ", place, hit.score, 100 * (hit.probability ?? 0))
      + words.joined(separator: "-") + "  [\(hit.id)]" + title
  }
}

import Foundation
import GLENIndex
import GLENModel
import GLENStarter
import GLENTensor
import GLENText
import GLENTraining

/// The library from end to end: trains both phases on a corpus, indexes it, measures itself against
/// BM25, and answers questions.
///
/// It begins from the starter model, or with --size from nothing.
///
///     glen-demo CORPUS OUT [--recipe FILE] [--size tiny] [--seed 1]
@main
struct Demo {
  private let corpus: URL
  private let out: URL
  private var recipe = Recipe.small
  private var size: String?
  private var seed: UInt64 = 1

  static func main() {
    do {
      try Demo(arguments: Array(CommandLine.arguments.dropFirst())).run()
    } catch {
      FileHandle.standardError.write(Data("error: \(error)\n".utf8))
      exit(1)
    }
  }

  private struct Usage: Error, CustomStringConvertible {
    var description = "usage: glen-demo CORPUS OUT [--recipe FILE] [--size tiny] [--seed 1]"
  }

  private init(arguments: [String]) throws {
    var rest = arguments[...]
    guard let corpus = rest.popFirst(), let out = rest.popFirst() else { throw Usage() }
    self.corpus = URL(fileURLWithPath: corpus)
    self.out = URL(fileURLWithPath: out)
    while let option = rest.popFirst() {
      guard let value = rest.popFirst() else { throw Usage() }
      switch option {
      case "--recipe": recipe = try Recipe(contentsOf: URL(fileURLWithPath: value), over: recipe)
      case "--size": size = value
      case "--seed": seed = UInt64(value) ?? seed
      default: throw Usage()
      }
    }
  }

  private func run() throws {
    let clock = ContinuousClock()
    let begin = clock.now
    let dataset = try RetrievalDataset(contentsOf: corpus)
    print("\(corpus.lastPathComponent): \(counted(dataset.documents.count, "document"))\n")
    var board = try Scoreboard(dataset)
    try board.addBM25()

    var session = TrainingSession(recipe: recipe, start: try start())
    session.seed = seed
    let lines = ProgressLines()
    session.report = { lines.show($0) }
    session.phaseEnded = { phase, model in
      let retriever = try Indexer(model: model).index(dataset.documents)
      try board.add(
        phase == .keywords ? "after phase 1 (keywords)" : "after phase 2 (refinement)", retriever)
    }
    let model = try session.run(dataset, to: out.appendingPathComponent("model"))
    let index = out.appendingPathComponent("index")
    try Indexer(model: model).index(dataset.documents).save(to: index)
    let retriever = try Retriever(opening: index)

    print("\n" + board.table())
    try board.printBeamRecall(retriever)
    let minutes = (clock.now - begin) / .seconds(60)
    print(String(format: "\nTrained, indexed and evaluated in %.1f minutes.\n", minutes))

    for query in try board.examples(5) {
      try answer(query.text, retriever, dataset, relevant: board.relevant(query))
    }
    guard isatty(STDIN_FILENO) == 1 else { return }
    print("Ask a question (an empty line ends):")
    while let line = readLine(), !line.isEmpty { try answer(line, retriever, dataset) }
  }

  private func start() throws -> TrainingSession.Start {
    guard let size else { return .starter(try .bundled()) }
    guard let shape = T5Configuration(preset: size) else { throw Usage() }
    return .random(shape)
  }

  /// Prints a question's hits with their identifiers in words, as the paper's Table 7.
  private func answer(
    _ question: String, _ retriever: Retriever, _ dataset: RetrievalDataset,
    relevant: Set<ExactText> = []
  ) throws {
    print("“\(printable(question))”")
    for (place, hit) in try retriever.search(question, limit: 3).enumerated() {
      let words = hit.identifier.map { $0.replacingOccurrences(of: "\u{2581}", with: "") }
      let mark = relevant.contains(ExactText(hit.id)) ? "✓" : " "
      let name = printable(hit.title ?? hit.id)
      print("  \(place + 1). \(mark) \(words.joined(separator: "-"))  →  \(name)")
    }
    print("")
  }
}

/// One line of training progress every few seconds.
private final class ProgressLines {
  private var last = ContinuousClock.now - .seconds(60)

  func show(_ progress: TrainingProgress) {
    guard progress.ending != nil || ContinuousClock.now - last > .seconds(15) else {
      return
    }
    last = ContinuousClock.now
    let loss = progress.losses.first?.value ?? .nan
    print(
      progress.phase
        + String(
          format: " %d/%d  loss %.3f  %.1f steps/s  %.0f s left", progress.step, progress.steps,
          loss, progress.stepsPerSecond, progress.secondsLeft))
    if let mixing = progress.mixing { print("\(progress.phase): \(mixing)") }
    if progress.hasKeptStart {
      print("\(progress.phase): nothing did better on dev, so the model from before is kept")
    }
  }
}

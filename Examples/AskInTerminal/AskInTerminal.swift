import Foundation
import GLENIndex

/// Answers the questions of standard input, a line each, and says when it has no good answer.
///
///     swift run -c release ask-in-terminal Demo/DemoCorpus/index 0.2
@main
struct AskInTerminal {
  static func main() async {
    let arguments = Array(CommandLine.arguments.dropFirst())
    guard (1...2).contains(arguments.count), let least = Double(arguments.dropFirst().first ?? "0")
    else {
      print("usage: ask-in-terminal INDEX [LEAST_PROBABILITY]")
      exit(64)
    }
    do {
      var retriever = try await Retriever(opening: URL(fileURLWithPath: arguments[0]))
      print("\(retriever.snapshot.livingCount) documents. An empty line ends.")
      while let question = readLine(), !question.isEmpty {
        // What others committed since the last question.
        if let newer = try await retriever.reopenedIfChanged() { retriever = newer }
        let options = SearchOptions(minimumProbability: least, timeLimit: .seconds(5))
        let hits = try await retriever.search(question, limit: 3, options: options)
        guard let best = hits.first else {
          print("No good answer.")
          continue
        }
        for hit in hits {
          let percent = String(format: "%5.1f %%", 100 * (hit.probability ?? 0))
          print("\(percent)  \(hit.identifier.joined(separator: "·"))  \(hit.title ?? hit.id)")
        }
        let why = try await retriever.explain(best.id, for: question)
        let words = why.steps.map { $0.piece + String(format: " %.2f", $0.queryProbability) }
        print("   because the question speaks \(words.joined(separator: ", "))")
      }
    } catch {
      print("ask-in-terminal: \(error)")
      exit(1)
    }
  }
}

import Foundation
import GLENIndex

/// Opens an index and answers questions from it.
///
///     swift run -c release search-index Demo/DemoCorpus/index "Why is the sky blue?"
@main
struct SearchIndex {
  static func main() async {
    let arguments = Array(CommandLine.arguments.dropFirst())
    guard let folder = arguments.first, arguments.count > 1 else {
      print("usage: search-index INDEX QUESTION ...")
      exit(64)
    }
    do {
      // Mapped, not read; immutable, so that any number of tasks may share it.
      let retriever = try await Retriever(opening: URL(fileURLWithPath: folder))
      let questions = Array(arguments.dropFirst())
      // Several questions at once are encoded together.
      for (question, hits) in zip(questions, try await retriever.search(questions, limit: 3)) {
        print(question)
        for hit in hits {
          print("  \(hit.score)  \(hit.identifier.joined())  \(hit.title ?? hit.id)")
        }
      }
    } catch {
      print("search-index: \(error)")
      exit(1)
    }
  }
}

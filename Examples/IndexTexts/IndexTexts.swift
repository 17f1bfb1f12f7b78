import Foundation
import GLENIndex

/// Indexes texts that are in memory, asks for one of them, and saves the index if a folder is named.
///
///     swift run -c release index-texts Demo/DemoCorpus/model "Who guards the hive?" my-index
@main
struct IndexTexts {
  static let documents = [
    Document(
      id: "hive", title: "The bees' front door",
      text: "Guard bees stand at the entrance of the hive and smell everyone who wants to come in."),
    Document(
      id: "glass", title: "Why glass is clear",
      text: "The electrons in glass need more energy than a photon of visible light can give them."),
    Document(
      id: "bread", title: "What yeast does to dough",
      text: "Yeast turns sugar into carbon dioxide, whose bubbles make the dough rise."),
  ]

  static func main() async {
    let arguments = Array(CommandLine.arguments.dropFirst())
    guard (2...3).contains(arguments.count) else {
      print("usage: index-texts MODEL QUESTION [INDEX]")
      exit(64)
    }
    do {
      let model = try ModelFolder(opening: URL(fileURLWithPath: arguments[0]))
      let retriever = try Indexer(model: model).index(documents)
      for hit in try await retriever.search(arguments[1]) {
        print("\(hit.score)  \(hit.identifier.joined())  \(hit.title ?? hit.id)")
      }
      if arguments.count == 3 {
        try retriever.save(to: URL(fileURLWithPath: arguments[2]))
        print("saved \(retriever.snapshot.livingCount) documents in \(arguments[2])")
      }
    } catch {
      print("index-texts: \(error)")
      exit(1)
    }
  }
}

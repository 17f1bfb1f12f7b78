import Foundation
import GLENIndex

/// Indexes texts with metadata, and searches only the documents that a reader may see.
///
///     swift run -c release filter-by-metadata Demo/DemoCorpus/model "Who guards the hive?" 2024
@main
struct FilterByMetadata {
  static let documents = [
    Document(
      id: "hive", text: "Guard bees smell everyone who wants to come in.",
      metadata: ["year": 2023, "topic": "bees"]),
    Document(
      id: "dance", text: "A dance tells the other bees where the flowers are.",
      metadata: ["year": 2025, "topic": "bees"]),
    Document(
      id: "bread", text: "Yeast turns sugar into gas, and the dough rises.",
      metadata: ["year": 2025, "topic": "kitchen", "draft": true]),
  ]

  static func main() async {
    let arguments = Array(CommandLine.arguments.dropFirst())
    guard arguments.count == 3, let year = Double(arguments[2]) else {
      print("usage: filter-by-metadata MODEL QUESTION FIRST_YEAR")
      exit(64)
    }
    do {
      let model = try ModelFolder(opening: URL(fileURLWithPath: arguments[0]))
      let retriever = try Indexer(model: model).index(documents)
      // Asked once for each document, then good for any number of searches.
      let recent = retriever.filter { document in
        guard case .number(let published) = document.metadata["year"] else { return false }
        return published >= year && document.metadata["draft"] != true
      }
      // The best of the allowed documents: as exact as without a filter.
      let options = SearchOptions(filter: recent)
      let hits = try await retriever.search(arguments[1], options: options)
      for hit in hits { print("\(hit.id)  \(hit.probability ?? 0)") }
      print("\(hits.count) of \(documents.count) documents may be seen")
    } catch {
      print("filter-by-metadata: \(error)")
      exit(1)
    }
  }
}

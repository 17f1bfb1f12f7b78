import ArgumentParser
import Foundation
import GLENIndex
import GLENTraining

struct Index: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Give every document of a corpus its identifier and write an index.")

  @Option(help: "A model folder that `glen train` wrote.") var model: String
  @Option(help: "A BEIR folder, or a corpus.jsonl.") var corpus: String
  @Option(help: "The folder for the index.") var out: String
  @Option(help: "How weights are stored: float32, or float16 in half the space.")
  var weights = WeightFormat.float32
  @Option(help: "cpu or cuda.") var device = Device.cpu

  func run() throws {
    let documents = try RetrievalDataset.documents(contentsOf: URL(fileURLWithPath: corpus))
    let folder = try ModelFolder(
      opening: URL(fileURLWithPath: model), on: device.backend(), warn: Console.error)
    let clock = ContinuousClock()
    let begin = clock.now
    let retriever = try Indexer(model: folder, weightFormat: weights).index(documents) { done in
      Console.status("\(done) of \(documents.count) documents")
    }
    Console.status("")
    try retriever.save(to: URL(fileURLWithPath: out))
    let seconds = (clock.now - begin) / .seconds(1)
    Console.error(
      """
      \(documents.count) documents, \(IdentifierTrie(retriever.snapshot.tables).count(of: [])) identifiers, \
      \(String(format: "%.1f", seconds)) s; the index is in \(out)
      """)
  }
}

extension WeightFormat: ExpressibleByArgument {}

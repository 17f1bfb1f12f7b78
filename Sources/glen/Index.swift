import ArgumentParser
import Foundation
import GLENIndex
import GLENTraining

struct Index: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Give every document of a corpus its identifier and write an index.")

  @Option(help: "A model folder that `glen train` wrote.") var model: String
  @OptionGroup var data: DatasetOptions
  @Option(help: "The folder for the index.") var out: String
  @Option(help: "cpu or cuda.") var device = Device.cpu

  func run() throws {
    let documents = try data.documents()
    let folder = try ModelFolder(
      opening: URL(fileURLWithPath: model), on: device.backend(), warn: Console.error)
    let clock = ContinuousClock()
    let begin = clock.now
    let retriever = try Indexer(model: folder).index(documents) { done in
      Console.status("\(done) of \(documents.count) documents")
    }
    Console.status("")
    try retriever.save(to: URL(fileURLWithPath: out))
    let seconds = (clock.now - begin) / .seconds(1)
    Console.error(
      """
      \(documents.count) documents, \(retriever.table.identifierCount) identifiers, \
      \(String(format: "%.1f", seconds)) s; the index is in \(out)
      """)
  }
}

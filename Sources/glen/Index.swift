import ArgumentParser
import GLENIndex
import GLENPlatform
import GLENText
import GLENTraining

struct Index: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "index",
    abstract: "Give every document of a corpus its identifier and write an index.",
    discussion: """
      With --identifiers the model reads no document: the identifiers come from a file, a line a \
      document, 'id <tab> piece<->piece<->... <tab> logit<->logit<->...', as the paper's authors \
      and `glen inspect --tsv` write it.
      """)

  @Option(help: "A model folder that `glen train` wrote.") var model: String
  @OptionGroup var data: DatasetOptions
  @Option(help: "The folder for the index: a new or empty one, or an index to replace.")
  var out: String
  @Option(help: "A file of identifiers to take instead of the model's.") var identifiers: String?
  @Flag(help: "Keep the documents' keywords too, for hybrid search.") var keywords = false
  @Option(help: "How weights are stored: float32, or float16 in half the space.")
  var weights = WeightFormat.float32
  @Option(help: "cpu or cuda.") var device = Device.cpu

  func validate() throws {
    if out.isEmpty { throw ValidationError("--out must name a folder") }
  }

  func run() throws {
    let documents = try data.documents()
    let folder = try ModelFolder(
      opening: URL(fileURLWithPath: model), on: device.backend(), warn: Console.error)
    let destination = URL(fileURLWithPath: out)
    try IndexFolder.checkDestination(destination)
    let clock = ContinuousClock()
    let begin = clock.now
    var indexer = Indexer(model: folder, weightFormat: weights)
    indexer.keepsKeywords = keywords
    let retriever = try index(documents, indexer)
    try retriever.save(to: destination)
    let seconds = (clock.now - begin) / .seconds(1)
    let identifiers = IdentifierTrie(retriever.snapshot.tables).count(of: [])
    Console.error(
      counted(documents.count, "document") + ", " + counted(identifiers, "identifier")
        + String(printf: ", %.1f s", seconds) + "; the index is in \(out)")
  }

  private func index(_ documents: [Document], _ indexer: Indexer) throws -> Retriever {
    if let identifiers {
      let file = try IdentifierFile(
        contentsOf: URL(fileURLWithPath: identifiers), tokenizer: indexer.model.tokenizer)
      let (tokens, weights) = try file.identifiers(of: documents)
      return try indexer.index(documents, tokens: tokens, weights: weights)
    }
    defer { Console.status("") }
    return try indexer.index(documents) { done in
      Console.status("\(done) of \(documents.count) documents")
    }
  }
}

extension WeightFormat: ExpressibleByArgument {}

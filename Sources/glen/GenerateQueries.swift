import ArgumentParser
import GLENPlatform
import GLENText
import GLENTraining

struct GenerateQueries: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "generate-queries",
    abstract: "Make up queries for every document, for phase 1 to learn from.",
    discussion: """
      The model is a T5 that was trained with `glen train --phase queries`, or another T5 that writes
      queries. The file has one line a document, {"doc_id": ..., "queries": [...]}, and goes to
      `glen train --generated-queries`. What was stopped (Ctrl-C, SIGTERM) or killed goes on with the same
      command: until the end the queries are in a file FILE.unfinished-NUMBER.
      """)

  @Option(help: "A T5 folder with its spiece.model.") var model: String
  @OptionGroup var data: DatasetOptions
  @Option(help: "The file for the queries.") var out: String
  @Option(help: "Queries of each document.") var perDocument = 10
  @Option(help: "How many tokens each token is drawn among; 1 always takes the likeliest.")
  var topK = 10
  @Option(help: "Below 1 likely tokens gain, above 1 unlikely ones.") var temperature: Float = 1
  @Option(help: "The most tokens of a query.") var maximumLength = 32
  @Option(help: "Documents that are worked on at once.") var batch = 32
  @Option(help: "cpu or cuda.") var device = Device.cpu
  @Option(help: "The seed of all random numbers.") var seed: UInt64 = 1

  func validate() throws {
    let positive = [
      ("per-document", perDocument), ("top-k", topK), ("batch", batch),
    ]
    for (name, value) in positive where value < 1 {
      throw ValidationError("--\(name) must be at least 1")
    }
    if perDocument > 1000 || batch > 4096 {
      throw ValidationError("--per-document must be at most 1000, and --batch at most 4096")
    }
    if !(2...4096).contains(maximumLength) {
      throw ValidationError("--maximum-length must be 2, a token and the end, to 4096")
    }
    guard temperature > 0, temperature.isFinite else {
      throw ValidationError("--temperature must be above 0")
    }
  }

  func run() throws {
    let documents = try data.documents()
    var generator = try QueryGenerator(
      folder: URL(fileURLWithPath: model), on: device.backend(), warn: Console.error)
    generator.queriesPerDocument = perDocument
    generator.topK = topK
    generator.temperature = temperature
    generator.maximumQueryLength = maximumLength
    generator.batchSize = batch
    generator.seed = seed
    Interruption.listen()
    var isFirst = true
    let count = try generator.write(documents, to: URL(fileURLWithPath: out)) { done in
      if isFirst, done > 0 { Console.error("going on behind \(counted(done, "document"))") }
      isFirst = false
      Console.status("\(done) of \(documents.count) documents")
    } shouldStop: {
      Interruption.isRequested
    }
    Console.status("")
    Console.error("wrote \(counted(count, "query", "queries")) to \(out)")
  }
}

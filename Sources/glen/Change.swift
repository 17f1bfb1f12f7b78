import ArgumentParser
import GLENIndex
import GLENPlatform
import GLENText
import GLENTraining

/// What the commands that change an index print.
private struct ChangeReport: Encodable {
  var added = 0
  var removed = 0
  var documents: Int
  var segments: Int
  var generation: Int

  /// What the folder holds now, as a line or as JSON.
  static func print(_ index: String, added: Int = 0, removed: Int = 0, json: Bool) throws {
    let snapshot = try IndexFolder.open(URL(fileURLWithPath: index))
    let report = ChangeReport(
      added: added, removed: removed, documents: snapshot.livingCount,
      segments: snapshot.segments.count, generation: snapshot.generation)
    if json {
      try Console.json(report)
    } else {
      Console.output(
        "\(index): \(counted(report.documents, "document")) in "
          + "\(counted(report.segments, "segment")), commit \(report.generation)")
    }
  }
}

struct Add: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "add",
    abstract: "Add documents to an index, with its own model and without training.",
    discussion: "All documents become visible in one step; whoever has the index open keeps it.")

  @Argument(help: "An index folder.") var index: String
  @Option(help: "A corpus.jsonl, plain or .gz, a folder that holds one, or - for standard input.")
  var corpus: String
  @Flag(help: "Replace documents whose ids are in the index.") var update = false
  @Option(help: "cpu or cuda.") var device = Device.cpu
  @Flag(help: "Print JSON.") var json = false

  func run() throws {
    let documents = try RetrievalDataset.documents(
      contentsOf: URL(fileURLWithPath: corpus == "-" ? "/dev/stdin" : corpus))
    let writer = try IndexWriter(
      opening: URL(fileURLWithPath: index), on: device.backend())
    let progress = { (done: Int) in Console.status("\(done) of \(documents.count) documents") }
    if update {
      try writer.update(documents, progress: progress)
    } else {
      try writer.add(documents, progress: progress)
    }
    Console.status("")
    try writer.commit()
    try ChangeReport.print(index, added: documents.count, json: json)
  }
}

struct Remove: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "remove",
    abstract: "Remove documents from an index.",
    discussion: "An id that is not in the index is an error, and then nothing is removed.")

  @Argument(help: "An index folder.") var index: String
  @Option(parsing: .upToNextOption, help: "The ids of the documents.") var id: [String]
  @Flag(help: "Print JSON.") var json = false

  func validate() throws {
    if id.isEmpty { throw ValidationError("give at least one --id") }
  }

  func run() throws {
    let writer = try IndexWriter(opening: URL(fileURLWithPath: index))
    try writer.remove(ids: id)
    try writer.commit()
    try ChangeReport.print(index, removed: Set(id.map { ExactText($0) }).count, json: json)
  }
}

struct Compact: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "compact",
    abstract: "Merge an index's segments into one, without the removed documents.",
    discussion: "Identifiers and weights stay as they are; the model is not needed.")

  @Argument(help: "An index folder.") var index: String
  @Flag(help: "Print JSON.") var json = false

  func run() throws {
    try IndexWriter(opening: URL(fileURLWithPath: index)).compact()
    try ChangeReport.print(index, json: json)
  }
}

import ArgumentParser
import GLENIndex
import GLENPlatform
import GLENText
import GLENTraining

extension DatasetFormat: ExpressibleByArgument {}

/// How a command reads its `--corpus`.
struct DatasetOptions: ParsableArguments {
  @Option(help: "A folder in BEIR's, MS MARCO's or NQ320k's layout.") var corpus: String
  @Option(help: "beir, msmarco or nq320k; recognised by the folder's files if not given.")
  var format: DatasetFormat?
  @Option(help: "How many malformed lines of each file to pass over before failing.")
  var malformedLimit = 0

  @Flag(
    help: """
      Go on where judgements or generated queries are of documents or queries that the corpus does not have: such \
      documents count as never found, all else of them is passed over.
      """)
  var skipUnknown = false

  func validate() throws {
    if malformedLimit < 0 { throw ValidationError("--malformed-limit must be 0 or more") }
  }

  /// The whole dataset; says what was left out of it.
  ///
  /// - Parameter splits: the splits that will be used.
  func dataset(splits: [String]) throws -> RetrievalDataset {
    let dataset = try RetrievalDataset(
      contentsOf: URL(fileURLWithPath: corpus), format: format, malformedLineLimit: malformedLimit,
      skipsUnknownJudgements: skipUnknown)
    var skipped = dataset.skippedLines
    if malformedLimit > 0 || skipUnknown {
      for split in splits where dataset.splits.contains(split) {
        let list = try dataset.judgementList(split: split)
        skipped += list.skippedLines
        if list.unknownRows > 0 {
          Console.error(
            "warning: \(counted(list.unknownRows, "judgement")) of \(split) are of documents or queries that "
              + "the corpus does not have; such documents are never found, such queries are left out"
          )
        }
      }
    }
    Self.report(skipped)
    return dataset
  }

  /// The documents alone.
  func documents() throws -> [Document] {
    let url = URL(fileURLWithPath: corpus)
    let read = try RetrievalDataset.documentList(
      contentsOf: url, format: format, malformedLineLimit: malformedLimit)
    Self.report(read.skippedLines)
    return read.documents
  }

  private static func report(_ skipped: [TrainingError]) {
    for line in skipped.prefix(5) { Console.error("warning: \(line)") }
    if skipped.count > 5 { Console.error("warning: ... and \(skipped.count - 5) more") }
    if !skipped.isEmpty { Console.error("left out " + counted(skipped.count, "malformed line")) }
  }
}

import ArgumentParser
import Foundation
import GLENIndex
import GLENModel

struct Inspect: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Show what an index holds.")

  @Argument(help: "An index folder.") var index: String
  @Flag(help: "One line for each document: id, tokens, weights.") var documents = false
  @Flag(help: "Print JSON.") var json = false

  func run() throws {
    let contents = try IndexFolder.open(URL(fileURLWithPath: index))
    if documents {
      try listDocuments(contents)
      return
    }
    let summary = Summary(contents)
    if json {
      try Console.json(summary)
    } else {
      Console.output(
        """
        documents              \(summary.documents)
        identifiers            \(summary.identifiers)
        tokens an identifier   \(summary.identifierLength)
        documents alone        \(summary.documentsAlone)
        largest bucket         \(summary.largestBucket)
        tokens by step         \(summary.tokensByStep.map(String.init).joined(separator: ", "))
        segments               \(summary.segments)
        model                  \(summary.model)
        """)
      Self.print(summary.drift)
    }
  }

  private func listDocuments(_ index: IndexSnapshot) throws {
    for document in 0..<index.documentCount where index.isLiving(document) {
      let row = Row(
        id: index.id(ofDocument: document), tokens: index.tables.tokens(ofDocument: document),
        weights: index.tables.weights(ofDocument: document))
      if json {
        try Console.json(row)
      } else {
        Console.output("\(row.id)\t\(row.tokens)\t\(row.weights)")
      }
    }
  }

  /// Prints how well identifiers tell documents apart, and how later documents fare.
  private static func print(_ drift: DriftReport) {
    func line(_ name: String, _ value: (DriftReport.Group) -> Double, _ format: String) {
      let groups = drift.added.documents == 0 ? [drift.all] : [drift.all, drift.first, drift.added]
      Console.output(
        name.padding(toLength: 23, withPad: " ", startingAt: 0)
          + groups.map { String(format: format, value($0)) }.joined())
    }
    if drift.added.documents > 0 {
      Console.output("                            all      first      added since")
      line("documents", { Double($0.documents) }, "%8.0f   ")
    }
    line("collisions, %", { 100 * $0.collisionRate }, "%8.2f   ")
    line("entropy, bits", { $0.identifierEntropy }, "%8.2f   ")
    line("identifiers of one, %", { 100 * $0.singleDocumentShare }, "%8.2f   ")
    line("mean weight", { $0.meanWeight }, "%8.2f   ")
  }

  private struct Row: Encodable {
    var id: String
    var tokens: [Int32]
    var weights: [Float]
  }

  private struct Summary: Encodable {
    var documents: Int
    var identifiers: Int
    var identifierLength: Int
    var documentsAlone: Int
    var largestBucket: Int
    var tokensByStep: [Int]
    var segments: Int
    var model: String
    var drift: DriftReport

    init(_ index: IndexSnapshot) {
      let sizes = IdentifierTrie(index.tables).bucketSizes()
      drift = index.driftReport()
      documents = index.livingCount
      identifiers = drift.all.identifiers
      identifierLength = index.identifierLength
      documentsAlone = sizes.count { $0 == 1 }
      largestBucket = drift.all.largestBucket
      segments = index.segments.count
      tokensByStep = (0..<index.identifierLength).map { step in
        Set(index.tables.tables.flatMap { $0.tokens(atStep: step) }).count
      }
      model = index.modelFingerprint
    }
  }
}

struct Verify: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Check an index's files against their checksums, and its model for broken weights.")

  @Argument(help: "An index folder.") var index: String

  func run() throws {
    let url = URL(fileURLWithPath: index)
    try IndexFolder.verify(url)
    let model = try Retriever(opening: url).model
    if let name = try model.generator.model.nameOfNonFiniteParameter() {
      throw IndexError.damagedFile(
        path: model.url.path, problem: "the weight \(name) is not a number everywhere")
    }
    Console.output("\(index) is sound")
  }
}

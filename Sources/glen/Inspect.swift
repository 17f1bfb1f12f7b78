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
        model                  \(summary.model)
        """)
    }
  }

  private func listDocuments(_ contents: IndexContents) throws {
    let table = contents.table
    for document in 0..<table.documentCount {
      let row = Row(
        id: contents.documents.identifier(ofDocument: document),
        tokens: table.tokens(ofIdentifier: table.identifier(ofDocument: document)),
        weights: table.weights(ofDocument: document))
      if json {
        try Console.json(row)
      } else {
        Console.output("\(row.id)\t\(row.tokens)\t\(row.weights)")
      }
    }
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
    var model: String

    init(_ contents: IndexContents) {
      let table = contents.table
      let sizes = (0..<table.identifierCount).map { table.documents(ofIdentifier: $0).count }
      documents = table.documentCount
      identifiers = table.identifierCount
      identifierLength = table.identifierLength
      documentsAlone = sizes.count { $0 == 1 }
      largestBucket = sizes.max() ?? 0
      tokensByStep = (0..<table.identifierLength).map { table.tokens(atStep: $0).count }
      model = contents.modelFingerprint
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
    if let model = try Retriever(opening: url).model,
      let name = try model.generator.model.nameOfNonFiniteParameter()
    {
      throw IndexError.damagedFile(
        path: model.url.path, problem: "the weight \(name) is not a number everywhere")
    }
    Console.output("\(index) is sound")
  }
}

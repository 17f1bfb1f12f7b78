import ArgumentParser
import GLENIndex
import GLENModel
import GLENPlatform
import GLENTensor
import GLENText
import GLENTraining

struct Inspect: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "inspect",
    abstract: "Show what an index holds, and how healthy its identifiers are.")

  @Argument(help: "An index folder.") var index: String
  @Flag(help: "One line for each document: id, tokens, weights.") var documents = false
  @Option(help: "Write a page with charts for a browser.") var html: String?
  @Option(help: "Write the identifiers as the paper's authors do: id, pieces, logits, title.")
  var tsv: String?
  @Flag(help: "Print JSON.") var json = false

  func validate() throws {
    let outputs = [documents, html != nil, tsv != nil].count { $0 }
    if outputs > 1 || (json && (html != nil || tsv != nil)) {
      throw ValidationError(
        "give one of --documents, --html, --tsv and --json (or --documents --json)")
    }
  }

  func run() throws {
    let url = URL(fileURLWithPath: index)
    let contents = try IndexFolder.open(url)
    if documents {
      try listDocuments(contents)
      return
    }
    if let tsv {
      guard let model = try Retriever(opening: url).model else { return }
      try IdentifierFile.write(
        contents, tokenizer: model.tokenizer, to: URL(fileURLWithPath: tsv))
      return
    }
    // An index may have been written without its model; then tokens are shown as numbers.
    let model = url.appendingPathComponent("model-" + contents.modelFingerprint)
    let hasModel = FileManager.default.fileExists(atPath: model.path)
    let tokenizer = try hasModel ? Retriever(opening: url).model?.tokenizer : nil
    let report = IndexReport(contents) { tokenizer?.piece($0) ?? "#\($0)" }
    if let html {
      try AtomicFile.write(
        Data(report.html(title: url.lastPathComponent).utf8), to: URL(fileURLWithPath: html))
    } else if json {
      try Console.json(report)
    } else {
      Console.output(Self.text(report))
    }
  }

  private static func text(_ report: IndexReport) -> String {
    func bits(_ number: Double) -> String { String(printf: "%.1f", number) }
    let steps = zip(report.tokensByStep, report.tokenEntropyByStep).map {
      "\($0) (\(bits($1)) bits)"
    }
    let possible = bits(log2(Double(max(report.documents, 1))))
    var text = """
      documents              \(report.documents)
      identifiers            \(report.identifiers)
      tokens an identifier   \(report.identifierLength)
      documents alone        \(report.documentsAlone)
      collision rate         \(String(printf: "%.1f %%", 100 * report.collisionRate))
      identifier entropy     \(bits(report.identifierEntropy)) of \(possible) bits
      largest bucket         \(report.largestBucket)
      tokens by step         \(steps.joined(separator: ", "))
      segments               \(report.documentsBySegment.count)
      model                  \(report.model)
      """
    if report.drift.added.documents > 0 { text += Self.text(report.drift) }
    for bucket in report.largestBuckets.prefix(5) {
      let words = bucket.identifier.map { $0.replacing("\u{2581}", with: "") }
      let names = bucket.examples.map { $0.title.flatMap { $0.isEmpty ? nil : $0 } ?? $0.id }
      text +=
        "\n\(bucket.documents) share \(words.joined(separator: "-")): "
        + names.joined(separator: " | ") + (names.count < bucket.documents ? " | ..." : "")
    }
    return text
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

  /// How documents that were added later fare beside the first.
  private static func text(_ drift: DriftReport) -> String {
    func line(_ name: String, _ format: String, _ value: (DriftReport.Group) -> Double) -> String {
      "\n" + name.padded(to: 23)
        + [drift.first, drift.added].map { String(printf: format, value($0)) }.joined()
    }
    return "\n                          first  added since"
      + line("documents", "%8.0f   ") { Double($0.documents) }
      + line("collision rate, %", "%8.1f   ") { 100 * $0.collisionRate }
      + line("entropy, bits", "%8.1f   ") { $0.identifierEntropy }
      + line("identifiers of one, %", "%8.1f   ") { 100 * $0.singleDocumentShare }
      + line("largest bucket", "%8.0f   ") { Double($0.largestBucket) }
      + line("mean weight", "%8.2f   ") { $0.meanWeight }
      + (drift.weightMargin.map { String(printf: "\nweight margin          %+19.2f", $0) } ?? "")
  }

  private struct Row: Encodable {
    var id: String
    var tokens: [Int32]
    var weights: [Float]
  }
}

struct Verify: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "verify",
    abstract: "Check all files of an index and of its model against their checksums.")

  @Argument(help: "An index folder.") var index: String
  @Flag(help: "Print JSON.") var json = false

  func run() throws {
    try Retriever.verify(URL(fileURLWithPath: index))
    if json {
      try Console.json(["index": index, "state": "sound"])
    } else {
      Console.output("\(index) is sound")
    }
  }
}

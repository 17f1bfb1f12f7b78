import GLENPlatform

/// Reads files of generated queries: which document each is for.
///
/// The forms are told apart by the first line that is not blank:
/// - JSON lines, `{"doc_id": "7", "queries": ["...", "..."]}`: what `QueryGenerator` writes;
/// - a table with a header that names the columns `query` and `oldid` (or `doc_id`), in any place and with
///   others, and in which a value may stand in double quotes: the authors' `QG_NQ_top15.tsv`;
/// - a table of two columns, the document's id, a tab, and one query;
/// - one query a line, the first line for the corpus's first document, as docTTTTTquery's
///   predictions are published. Such a file has a line for every document; a blank one is no query.
public enum GeneratedQueries {
  /// A line of JSON.
  struct Line: Codable {
    // swift-format-ignore: AlwaysUseLowerCamelCase
    var doc_id: String
    var queries: [String]

    init(doc_id: String, queries: [String]) { (self.doc_id, self.queries) = (doc_id, queries) }

    /// A whole number is a name, as it is in a corpus.
    init(from decoder: any Decoder) throws {
      let values = try decoder.container(keyedBy: CodingKeys.self)
      if let number = try? values.decode(Int.self, forKey: .doc_id) {
        doc_id = String(number)
      } else {
        doc_id = try values.decode(String.self, forKey: .doc_id)
      }
      queries = try values.decode([String].self, forKey: .queries)
    }
  }

  /// A query and the position of its document.
  public struct Pair: Sendable, Equatable {
    /// The query.
    public var text: String
    /// The position of the document in the dataset.
    public var document: Int
  }

  private enum Form: Equatable {
    case json, lines, table
    case named(id: Int, query: Int, columns: Int)
  }

  /// Reads a file, plain or compressed.
  ///
  /// - Parameters:
  ///   - malformedLineLimit: how many malformed lines to leave out before failing.
  ///   - skipsUnknownDocuments: whether to leave out, and count, lines of documents that the dataset does
  ///     not have, instead of failing.
  /// - Throws: `TrainingError`, with file and line for a malformed line or an unknown document.
  public static func pairs(
    contentsOf url: URL, of dataset: RetrievalDataset, malformedLineLimit: Int = 0,
    skipsUnknownDocuments: Bool = false
  ) throws(TrainingError) -> (pairs: [Pair], skippedLines: [TrainingError], unknownLines: Int) {
    guard FileManager.default.fileExists(atPath: url.path) else {
      throw .fileNotFound(path: url.path, expected: "a file of generated queries")
    }
    var pairs: [Pair] = []
    var form: Form?
    var unknownLines = 0
    var file = DatasetFile(url, malformedLineLimit: malformedLineLimit)
    try file.forEachRow { line, _ throws(LineProblem) in
      if let form { return try Self.row(line, form) }
      let first = Self.form(of: line)
      form = first
      if case .named = first { return nil }
      return try Self.row(line, first)
    } _: { (row: (id: String?, queries: [String]), number) throws(TrainingError) in
      let position: Int?
      if let id = row.id {
        position = dataset.documentPosition(of: id)
      } else {
        // A line too many is refused with the number of them all.
        guard number <= dataset.documents.count else { return }
        position = number - 1
      }
      guard let position else {
        if skipsUnknownDocuments { return unknownLines += 1 }
        throw .unknownIdentifier(
          path: url.path, line: number, kind: "document", identifier: row.id ?? "")
      }
      pairs += row.queries.filter { !$0.allSatisfy(\.isWhitespace) }
        .map { Pair(text: $0, document: position) }
    }
    if form == .lines, file.lineCount != dataset.documents.count {
      throw .trainingData(
        reason:
          "the generated queries in \(url.path) have \(file.lineCount) lines; expected one for each of "
          + "\(dataset.documents.count) documents, blank where there is no query; take the file of this corpus"
      )
    }
    return (pairs, file.skippedLines, unknownLines)
  }

  private static func form(of line: [UInt8]) -> Form {
    if line.first(where: { $0 != 0x20 }) == UInt8(ascii: "{") { return .json }
    guard line.contains(0x09) else { return .lines }
    let names = ((try? LineColumns.quoted(line)) ?? []).map {
      $0.split(whereSeparator: \.isWhitespace).joined(separator: " ").lowercased()
    }
    if let query = names.firstIndex(of: "query"),
      let id = names.firstIndex(where: { $0 == "oldid" || $0 == "doc_id" })
    {
      return .named(id: id, query: query, columns: names.count)
    }
    return .table
  }

  private static func row(
    _ line: [UInt8], _ form: Form
  ) throws(LineProblem) -> (id: String?, queries: [String]) {
    switch form {
    case .json:
      guard let parsed = try? JSONDecoder().decode(Line.self, from: Data(line)) else {
        throw LineProblem(
          expected: "{\"doc_id\": \"...\", \"queries\": [\"...\"]}", got: "something else")
      }
      return (parsed.doc_id, parsed.queries)
    case .table:
      let columns = try LineColumns.tabbed(line)
      guard columns.count == 2, !columns[0].isEmpty, line.contains(0x09) else {
        throw LineProblem(
          expected: "a document's id, a tab and a query", got: "\(columns.count) columns or no id")
      }
      return (columns[0], [columns[1]])
    case .named(let id, let query, let count):
      let columns = try LineColumns.quoted(line)
      guard columns.count == count, !columns[id].isEmpty else {
        throw LineProblem(
          expected: "\(count) columns with a document's id",
          got: "\(columns.count) columns or no id")
      }
      return (columns[id], [columns[query]])
    case .lines:
      guard let text = String(validating: line, as: UTF8.self) else {
        throw LineProblem(expected: "UTF-8 text", got: "invalid UTF-8")
      }
      return (nil, [text])
    }
  }
}

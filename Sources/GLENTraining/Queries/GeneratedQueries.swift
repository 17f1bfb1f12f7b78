import Foundation

/// Reads files of generated queries: which document each is for.
///
/// Three forms are told apart by the first line that is not blank:
/// - JSON lines, `{"doc_id": "7", "queries": ["...", "..."]}`: what `QueryGenerator` writes;
/// - a table of two columns, the document's id, a tab, and one query;
/// - one query a line, the first line for the corpus's first document, as docTTTTTquery's
///   predictions are published. Such a file has a line for every document; a blank one is no query.
public enum GeneratedQueries {
  /// A line of JSON.
  struct Line: Codable {
    // swift-format-ignore: AlwaysUseLowerCamelCase
    var doc_id: String
    var queries: [String]
  }

  /// A query and the position of its document.
  public struct Pair: Sendable, Equatable {
    /// The query.
    public var text: String
    /// The position of the document in the dataset.
    public var document: Int
  }

  private enum Form {
    case json, table, lines
  }

  /// Reads a file, plain or compressed.
  ///
  /// - Parameter malformedLineLimit: how many malformed lines to leave out before failing.
  /// - Throws: `TrainingError`, with file and line for a malformed line or an unknown document.
  public static func pairs(
    contentsOf url: URL, of dataset: RetrievalDataset, malformedLineLimit: Int = 0
  ) throws(TrainingError) -> (pairs: [Pair], skippedLines: [TrainingError]) {
    guard FileManager.default.fileExists(atPath: url.path) else {
      throw .fileNotFound(path: url.path, expected: "a file of generated queries")
    }
    var pairs: [Pair] = []
    var form: Form?
    var lastLine = 0
    var file = DatasetFile(url, malformedLineLimit: malformedLineLimit)
    try file.forEachRow { line, number throws(LineProblem) in
      let current = form ?? Self.form(of: line)
      form = current
      return (number, try Self.row(line, current))
    } _: { (row: (Int, (id: String?, queries: [String])), number) throws(TrainingError) in
      lastLine = number
      let position: Int?
      if let id = row.1.id {
        position = dataset.documentPosition(of: id)
      } else {
        position = number <= dataset.documents.count ? number - 1 : nil
      }
      guard let position else {
        throw .unknownIdentifier(
          path: url.path, line: number, kind: "document",
          identifier: row.1.id ?? "number \(number)")
      }
      pairs += row.1.queries.filter { !$0.isEmpty }.map { Pair(text: $0, document: position) }
    }
    if form == .lines, lastLine != dataset.documents.count {
      throw .malformedLine(
        path: url.path, line: lastLine,
        expected: "a line for each of \(dataset.documents.count) documents",
        got: "the end of the file")
    }
    return (pairs, file.skippedLines)
  }

  private static func form(of line: [UInt8]) -> Form {
    if line.first(where: { $0 != 0x20 }) == UInt8(ascii: "{") { return .json }
    return line.contains(0x09) ? .table : .lines
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
    case .lines:
      guard let text = String(validating: line, as: UTF8.self) else {
        throw LineProblem(expected: "UTF-8 text", got: "invalid UTF-8")
      }
      return (nil, [text])
    }
  }
}

import GLENIndex
import GLENPlatform

/// Reads runs in TREC's format, plain or gzip-compressed, and ranks them as TREC's tools do.
///
/// The order is by score, read as a 32-bit float, the highest first, and among equal scores by the
/// bytes of the document identifier, the greatest first. The rank column does not matter.
public struct RunReader: Sendable {
  /// Creates a reader.
  public init() {}

  /// Reads a run.
  ///
  /// - Throws: `TrainingError`, with file and line where a line is at fault.
  public func read(contentsOf url: URL) throws(TrainingError) -> Run {
    guard FileManager.default.fileExists(atPath: url.path) else {
      throw .fileNotFound(
        path: url.path, expected: "a TREC run, lines of 'query Q0 document rank score tag'")
    }
    var file = DatasetFile(url, malformedLineLimit: 0)
    var rankings: [RankedList] = []
    var positions: [ExactText: Int] = [:]
    try file.forEachRow { line, _ throws(LineProblem) in
      try Self.row(of: line)
    } _: { row, _ throws(TrainingError) in
      if let position = positions[ExactText(row.query)] {
        rankings[position].documents.append(row.document)
      } else {
        positions[ExactText(row.query)] = rankings.count
        rankings.append(RankedList(query: row.query, documents: [row.document]))
      }
    }
    for position in rankings.indices {
      rankings[position].documents.sort {
        $0.score != $1.score
          ? $0.score > $1.score : ExactText($1.id) < ExactText($0.id)
      }
    }
    return try Run(rankings)
  }

  private static func row(
    of line: [UInt8]
  ) throws(LineProblem) -> (query: String, document: ScoredDocument)? {
    let columns = try LineColumns.spaced(line)
    guard columns.count == 6 else {
      throw LineProblem(
        expected: "'query Q0 document rank score tag'", got: "\(columns.count) columns")
    }
    guard let score = Double(columns[4]), score.isFinite else {
      throw LineProblem(expected: "a finite score in the fifth column", got: "'\(columns[4])'")
    }
    return (columns[0], ScoredDocument(id: columns[2], score: Float(score)))
  }
}

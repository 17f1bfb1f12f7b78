import GLENIndex
import GLENPlatform

/// One file of a dataset, read line by line with a limit on how many lines may be malformed.
struct DatasetFile {
  /// Where the file is.
  let url: URL
  /// How many malformed lines to pass over before reading fails.
  let malformedLineLimit: Int
  /// The malformed lines passed over so far.
  private(set) var skippedLines: [TrainingError] = []
  /// How many lines the file has, the blank ones too, once it has been read.
  private(set) var lineCount = 0

  /// Chooses a file to read.
  init(_ url: URL, malformedLineLimit: Int) {
    self.url = url
    self.malformedLineLimit = malformedLineLimit
  }

  /// A file of a folder, plain or, where only that exists, with `.gz` appended.
  static func url(named name: String, in folder: URL) -> URL? {
    [name, name + ".gz"].map { folder.appendingPathComponent($0) }
      .first { FileManager.default.fileExists(atPath: $0.path) }
  }

  /// Parses every line that is not blank and hands over the rows.
  ///
  /// - Parameters:
  ///   - parse: Turns a line into a row, or into nil where the line is no row. A `LineProblem`
  ///     counts as a malformed line.
  ///   - body: Takes a row and the number of its line, from 1.
  mutating func forEachRow<Row>(
    parse: (_ line: [UInt8], _ number: Int) throws(LineProblem) -> Row?,
    _ body: (_ row: Row, _ number: Int) throws(TrainingError) -> Void
  ) throws(TrainingError) {
    let reader = try LineReader(contentsOf: url)
    while try reader.next() {
      lineCount = reader.lineNumber
      if reader.lineIsBlank { continue }
      let row: Row?
      do throws(LineProblem) {
        row = try parse(reader.line, reader.lineNumber)
      } catch {
        let malformed = TrainingError.malformedLine(
          path: url.path, line: reader.lineNumber, expected: error.expected, got: error.got)
        guard skippedLines.count < malformedLineLimit else { throw malformed }
        skippedLines.append(malformed)
        continue
      }
      if let row { try body(row, reader.lineNumber) }
    }
  }

  /// Parses a file of entries, documents or queries.
  ///
  /// - Parameters:
  ///   - format: How a line is read.
  ///   - positions: Receives the position of every identifier.
  /// - Throws: `TrainingError` for a malformed line over the limit, for an identifier that comes
  ///   twice, and for a file without entries.
  mutating func forEachEntry(
    _ format: DatasetFormat, positions: inout [ExactText: Int], _ body: (DatasetEntry) -> Void
  ) throws(TrainingError) {
    let path = url.path
    try forEachRow(parse: format.entryParser()) { entry, number throws(TrainingError) in
      guard positions.updateValue(positions.count, forKey: ExactText(entry.id)) == nil else {
        throw .duplicateIdentifier(path: path, line: number, identifier: entry.id)
      }
      body(entry)
    }
    if positions.isEmpty {
      throw .emptyFile(
        path: path,
        expected: format == .beir
          ? "at least one line {\"_id\": ..., \"text\": ...}" : "at least one id and text")
    }
  }
}

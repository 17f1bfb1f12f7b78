/// Splits a line of a text table into its columns.
enum LineColumns {
  /// The columns between single tabs, where the line has a tab; otherwise those between spaces.
  static func tabbed(_ line: [UInt8]) throws(LineProblem) -> [String] {
    guard line.contains(0x09) else { return try spaced(line) }
    return try line.split(separator: 0x09, omittingEmptySubsequences: false).map(text)
  }

  /// The columns between runs of spaces and tabs.
  static func spaced(_ line: [UInt8]) throws(LineProblem) -> [String] {
    try line.split { $0 == 0x20 || $0 == 0x09 }.map(text)
  }

  /// The columns between tabs where a column that begins with a double quote goes on to the next
  /// single one; two in a row stand for one.
  static func quoted(_ line: [UInt8]) throws(LineProblem) -> [String] {
    let quote = UInt8(ascii: "\"")
    guard line.contains(quote) else { return try tabbed(line) }
    var columns: [String] = []
    var position = 0
    while position <= line.count {
      var column: [UInt8] = []
      if position < line.count, line[position] == quote {
        position += 1
        while true {
          guard position < line.count else {
            throw LineProblem(expected: "a closing '\"'", got: "the end of the line")
          }
          if line[position] == quote {
            position += 1
            guard position < line.count, line[position] == quote else { break }
          }
          column.append(line[position])
          position += 1
        }
      }
      while position < line.count, line[position] != 0x09 {
        column.append(line[position])
        position += 1
      }
      columns.append(try text(column[...]))
      position += 1
    }
    return columns
  }

  private static func text(_ column: ArraySlice<UInt8>) throws(LineProblem) -> String {
    guard let text = String(validating: column, as: UTF8.self) else {
      throw LineProblem(
        expected: "UTF-8 text", got: "invalid UTF-8 from column \(column.startIndex + 1) on")
    }
    return text
  }
}

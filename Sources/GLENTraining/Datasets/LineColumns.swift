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

  private static func text(_ column: ArraySlice<UInt8>) throws(LineProblem) -> String {
    guard let text = String(validating: column, as: UTF8.self) else {
      throw LineProblem(
        expected: "UTF-8 text", got: "invalid UTF-8 from column \(column.startIndex + 1) on")
    }
    return text
  }
}

/// One row of a judgement file: BEIR's three columns or TREC's four.
struct JudgementRow: Equatable {
  var query: String
  var document: String
  var grade: Int

  private static let expected = "'query document grade' or 'query 0 document grade'"

  /// A row of another kind of table.
  init(query: String, document: String, grade: Int) {
    (self.query, self.document, self.grade) = (query, document, grade)
  }

  /// Parses a row; columns are separated by tabs, or by spaces where a line has no tab.
  ///
  /// - Returns: nil for a header, which is a first row whose last column starts with a letter.
  init?(line: [UInt8], isFirst: Bool) throws(LineProblem) {
    let columns = try LineColumns.tabbed(line)
    guard columns.count == 3 || columns.count == 4, let last = columns.last else {
      throw LineProblem(expected: Self.expected, got: "\(columns.count) columns")
    }
    guard let grade = Int(last) else {
      if isFirst, last.first?.isLetter == true { return nil }
      throw LineProblem(expected: "an integer grade in the last column", got: "'\(last)'")
    }
    query = columns[0]
    document = columns[columns.count - 2]
    self.grade = grade
    guard !query.isEmpty, !document.isEmpty else {
      throw LineProblem(expected: Self.expected, got: "an empty column")
    }
  }
}

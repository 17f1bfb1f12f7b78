/// What is wrong with one line, before the file and the line number are added to it.
struct LineProblem: Error, Equatable {
  /// What the format asks for.
  var expected: String
  /// What the line has instead.
  var got: String
}

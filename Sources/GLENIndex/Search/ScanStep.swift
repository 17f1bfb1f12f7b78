/// A step's column and the log-probabilities of its codes; any code may be looked up.
struct ScanStep<Code: IdentifierCode> {
  private let codes: UnsafeBufferPointer<Code>
  private let values: UnsafeBufferPointer<Float>
  private let last: Int

  /// Takes a column, and as many log-probabilities as the step has codes, at least one.
  init(codes: UnsafeBufferPointer<Code>, values: UnsafeBufferPointer<Float>) {
    self.codes = codes
    self.values = values
    self.last = values.count - 1
  }

  /// The codes of some rows.
  @inline(__always)
  func codes(of rows: Range<Int>) -> UnsafeBufferPointer<Code> {
    UnsafeBufferPointer(rebasing: codes[rows])
  }

  /// The log-probability of a code; one that is too large, from a damaged file, counts as the last.
  @inline(__always)
  subscript(code: Code) -> Float { values[min(Int(code), last)] }

  /// The log-probability at a row.
  @inline(__always)
  subscript(row row: Int) -> Float { self[codes[row]] }
}

extension Array {
  /// A row's score: the sum of its log-probabilities in the order of the steps.
  @inline(__always)
  func score<Code>(_ row: Int) -> Float where Element == ScanStep<Code> {
    var score: Float = 0
    for step in self { score += step[row: row] }
    return score
  }
}

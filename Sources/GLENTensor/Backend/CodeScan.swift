/// A device that finds the rows with the largest scores, for many queries at once.
///
/// A row is a code for each step, and a query has a value for each code of each step; a row's score is
/// the sum of its values. A backend may be a `CodeScanner` too; one that is not is searched on the
/// processor.
public protocol CodeScanner: AnyObject, Sendable {
  /// Copies rows to the device, where they stay until the scan is given up.
  ///
  /// - Throws: `TensorError.outOfMemory`.
  func scan(of columns: CodeColumns) throws(TensorError) -> any CodeScan
}

/// Rows on a device.
public protocol CodeScan: AnyObject, Sendable {
  /// For each query all rows that score at least as much as its `count`-th best row, and perhaps some
  /// more, in no particular order.
  ///
  /// Scores are single precision sums in the order of the steps, which begin with the first step's
  /// value: the same bits on every device.
  ///
  /// - Parameters:
  ///   - count: how many of the best rows are wanted of each query, at least 1.
  ///   - values: `[queries, all codes]`: the queries' values, none of them NaN or +infinity.
  ///   - queries: how many queries there are.
  ///   - allowed: a bit for each row that may be found, the first row's lowest; nil for all rows.
  /// - Returns: nil for a query of which more rows score equally than a scan keeps.
  /// - Throws: `TensorError.outOfMemory`, `TensorError.backendFailure`.
  func largest(
    _ count: Int, of values: [Float], queries: Int, allowed: [UInt32]?
  ) throws(TensorError) -> [[ScoredRow]?]
}

/// A row with its score.
public struct ScoredRow: Sendable, Equatable {
  /// The row's number.
  public var row: Int
  /// The sum of the query's values at the row's codes.
  public var score: Float

  /// A row with its score.
  public init(row: Int, score: Float) {
    (self.row, self.score) = (row, score)
  }
}

/// Rows as they lie in host memory: a column for each step, which need only last for the call.
public struct CodeColumns {
  /// Each step's codes.
  ///
  /// A column is `rows` whole numbers of `codeWidth` bytes. A code that is too large counts as the
  /// step's last.
  public var columns: [UnsafeRawBufferPointer]
  /// The bytes of a code, 2 or 4.
  public var codeWidth: Int
  /// How many rows there are, at least 1.
  public var rows: Int
  /// How many different codes each step has, at least 1.
  public var codeCounts: [Int]

  /// Rows with their columns.
  public init(
    columns: [UnsafeRawBufferPointer], codeWidth: Int, rows: Int, codeCounts: [Int]
  ) {
    (self.columns, self.codeWidth) = (columns, codeWidth)
    (self.rows, self.codeCounts) = (rows, codeCounts)
  }
}

/// Answers which tokens may follow a prefix of an identifier.
///
/// The identifiers of a table are sorted, so those that begin with a prefix are a range of rows. The
/// trie is a view of that order: it has no nodes, costs no memory, and is made in no time.
public struct IdentifierTrie: Sendable {
  let table: IdentifierTable

  /// Views a table as a trie.
  ///
  /// - Complexity: O(1).
  public init(_ table: IdentifierTable) {
    self.table = table
  }

  /// The rows of the identifiers that begin with a prefix; all rows for the empty prefix.
  ///
  /// - Complexity: O(prefix length * log(identifiers)).
  public func rows(of prefix: [Int32]) -> Range<Int> {
    table.layout.codeWidth == 2 ? rows(of: prefix, UInt16.self) : rows(of: prefix, UInt32.self)
  }

  /// How many identifiers begin with a prefix.
  ///
  /// - Complexity: O(prefix length * log(identifiers)).
  public func count(of prefix: [Int32]) -> Int {
    rows(of: prefix).count
  }

  /// How many documents have an identifier that begins with a prefix.
  ///
  /// - Complexity: O(prefix length * log(identifiers)).
  public func documentCount(of prefix: [Int32]) -> Int {
    let rows = rows(of: prefix)
    return withExtendedLifetime(table) {
      Int(table.bucketOffsets[rows.upperBound] - table.bucketOffsets[rows.lowerBound])
    }
  }

  /// The tokens that may follow a prefix, in ascending order; none if nothing begins with it.
  ///
  /// - Complexity: O(prefix length * log(identifiers) + count of the result * log(identifiers)).
  public func tokens(after prefix: [Int32]) -> [Int32] {
    guard prefix.count < table.identifierLength else { return [] }
    let rows = rows(of: prefix)
    return withExtendedLifetime(table) {
      let tokens = table.levelTokens(prefix.count)
      var result: [Int32] = []
      if table.layout.codeWidth == 2 {
        Self.forEachChild(of: rows, in: table.column(prefix.count, as: UInt16.self)) { code, _ in
          result.append(Int32(bitPattern: tokens[code]))
        }
      } else {
        Self.forEachChild(of: rows, in: table.column(prefix.count, as: UInt32.self)) { code, _ in
          result.append(Int32(bitPattern: tokens[code]))
        }
      }
      return result
    }
  }

  private func rows<Code: IdentifierCode>(
    of prefix: [Int32], _ type: Code.Type
  ) -> Range<Int> {
    guard prefix.count <= table.identifierLength else { return 0..<0 }
    return withExtendedLifetime(table) {
      var rows = 0..<table.identifierCount
      for (step, token) in prefix.enumerated() {
        let tokens = table.levelTokens(step)
        let place = Self.firstIndex(in: 0..<tokens.count) { Int64(tokens[$0]) >= Int64(token) }
        guard place < tokens.count, Int64(tokens[place]) == Int64(token) else { return 0..<0 }
        let column = table.column(step, as: type)
        let code = Code(truncatingIfNeeded: place)
        let lower = Self.firstIndex(in: rows) { column[$0] >= code }
        rows = lower..<Self.firstIndex(in: lower..<rows.upperBound) { column[$0] > code }
      }
      return rows
    }
  }

  /// Calls `body` with each code that occurs in the rows, and with the rows that have it.
  ///
  /// The rows share all earlier steps, so the column ascends inside them.
  @inline(__always)
  static func forEachChild<Code: IdentifierCode>(
    of rows: Range<Int>, in column: UnsafeBufferPointer<Code>, _ body: (Int, Range<Int>) -> Void
  ) {
    var lower = rows.lowerBound
    while lower < rows.upperBound {
      let code = column[lower]
      // Gallop to a row behind the run, then halve.
      var (inside, leap) = (lower, 1)
      while inside + leap < rows.upperBound, column[inside + leap] == code {
        inside += leap
        leap *= 2
      }
      let bound = min(inside + leap, rows.upperBound)
      let upper = firstIndex(in: inside + 1..<bound) { column[$0] > code }
      body(Int(code), lower..<upper)
      lower = upper
    }
  }

  /// The first index at which a condition holds that stays true once it is; the end if none.
  @inline(__always)
  private static func firstIndex(in range: Range<Int>, where holds: (Int) -> Bool) -> Int {
    var (lower, upper) = (range.lowerBound, range.upperBound)
    while lower < upper {
      let middle = lower + (upper - lower) / 2
      if holds(middle) { upper = middle } else { lower = middle + 1 }
    }
    return lower
  }
}

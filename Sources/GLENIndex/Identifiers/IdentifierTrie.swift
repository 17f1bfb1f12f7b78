/// Answers which tokens may follow a prefix of an identifier.
///
/// The identifiers of a table are sorted, so those that begin with a prefix are a range of rows. The
/// trie is a view of that order: it has no nodes, costs no memory, and is made in no time. Over
/// several tables it is one trie. A prefix that leads to deleted documents alone is not in it.
public struct IdentifierTrie: Sendable {
  let index: IdentifierTables

  /// The documents that count; nil for all.
  let allowed: DocumentSet?

  /// Views tables as a trie.
  ///
  /// - Parameters:
  ///   - tables: The tables.
  ///   - isAllowed: The documents that count, or nil for all that live.
  /// - Complexity: O(1), or O(documents / 64) with a filter over deleted documents.
  public init(_ tables: IdentifierTables, isAllowed: DocumentSet? = nil) {
    self.index = tables
    self.allowed = tables.allowed(isAllowed)
  }

  /// Views a table as a trie.
  ///
  /// - Complexity: O(1).
  public init(_ table: IdentifierTable) {
    self.init(IdentifierTables(table))
  }

  /// How many distinct identifiers begin with a prefix.
  ///
  /// - Complexity: O(prefix length * log(identifiers)) in one table of living documents; otherwise
  ///   O(identifiers that begin with it * n).
  public func count(of prefix: [Int32]) -> Int {
    let rows = rows(of: prefix)
    if allowed == nil, rows.count == 1 { return rows[0].count }
    var count = 0
    forEachIdentifier(below: rows, step: prefix.count) { _ in count += 1 }
    return count
  }

  /// How many documents have an identifier that begins with a prefix.
  ///
  /// - Complexity: O(prefix length * log(identifiers)), and with deleted documents O(documents / 64).
  public func documentCount(of prefix: [Int32]) -> Int {
    documentCount(of: rows(of: prefix))
  }

  /// The tokens that may follow a prefix, in ascending order; none if nothing begins with it.
  ///
  /// - Complexity: O((prefix length + count of the result) * log(identifiers)) a table.
  public func tokens(after prefix: [Int32]) -> [Int32] {
    guard prefix.count < index.identifierLength else { return [] }
    var result: [Int32] = []
    forEachChild(of: rows(of: prefix), step: prefix.count) { token, _ in
      result.append(Int32(bitPattern: token))
    }
    return result
  }

  /// How many documents have each distinct identifier, in the order of the identifiers.
  ///
  /// - Complexity: O(identifiers * n).
  public func bucketSizes() -> [Int] {
    var sizes: [Int] = []
    forEachIdentifier(below: root, step: 0) { sizes.append(documentCount(of: $0)) }
    return sizes
  }
}

/// A prefix as the search for identifiers knows it: the rows that begin with it, a range for each table.
extension IdentifierTrie {
  /// All rows: those of the empty prefix.
  var root: [Range<Int>] { index.tables.map { 0..<$0.identifierCount } }

  /// The rows of a prefix.
  func rows(of prefix: [Int32]) -> [Range<Int>] {
    index.tables.map { rows(of: prefix, in: $0) }
  }

  /// The rows of a prefix in one of the tables.
  private func rows(of prefix: [Int32], in table: IdentifierTable) -> Range<Int> {
    guard prefix.count <= index.identifierLength else { return 0..<0 }
    return withExtendedLifetime(table) {
      var rows = 0..<table.identifierCount
      for (step, token) in prefix.enumerated() {
        let tokens = table.levelTokens(step)
        let code = Bisection.firstIndex(in: 0..<tokens.count) {
          Int64(tokens[$0]) >= Int64(token)
        }
        guard code < tokens.count, Int64(tokens[code]) == Int64(token) else { return 0..<0 }
        let lower = Bisection.firstIndex(in: rows) { table.code(step: step, row: $0) >= code }
        rows =
          lower..<Bisection.firstIndex(in: lower..<rows.upperBound) {
            table.code(step: step, row: $0) > code
          }
      }
      return rows
    }
  }

  /// As `IdentifierTables.rowsThatCount`, made now.
  func rowsThatCount() -> [[UInt8]?] {
    let tables = index.tables
    var marks = tables.indices.map { table -> [UInt8] in
      let rows = 0..<tables[table].identifierCount
      guard let allowed else { return [UInt8](repeating: 1, count: rows.count) }
      return rows.map { row in
        allowed.first(in: documents(of: row..<row + 1, table)) == nil ? 0 : 1
      }
    }
    for (number, table) in tables.enumerated().dropFirst() {
      for row in 0..<table.identifierCount where marks[number][row] == 1 {
        let tokens = table.tokens(ofIdentifier: row)
        for earlier in 0..<number {
          let found = rows(of: tokens, in: tables[earlier])
          guard let first = found.first else { continue }
          marks[earlier][first] = 1
          marks[number][row] = 0
          break
        }
      }
    }
    return marks.map { $0.contains(0) ? $0 : nil }
  }

  /// How many documents that count are in the rows.
  func documentCount(of rows: [Range<Int>]) -> Int {
    var count = 0
    for table in rows.indices {
      let documents = documents(of: rows[table], table)
      count += allowed?.count(in: documents) ?? documents.count
    }
    return count
  }

  /// The documents of some rows of a table, by all tables' numbers.
  func documents(of rows: Range<Int>, _ table: Int) -> Range<Int> {
    guard !rows.isEmpty else { return 0..<0 }
    return withExtendedLifetime(index) {
      let documents = index.tables[table].documents(ofRows: rows)
      let base = index.bases[table]
      return base + documents.lowerBound..<base + documents.upperBound
    }
  }

  /// Whether any document counts that is in the rows.
  func isAllowed(_ rows: [Range<Int>]) -> Bool {
    guard let allowed else { return true }
    return rows.indices.contains { allowed.first(in: documents(of: rows[$0], $0)) != nil }
  }

  /// Calls `body` with each token that may follow a prefix, in ascending order, and with the rows.
  func forEachChild(
    of rows: [Range<Int>], step: Int, _ body: (_ token: UInt32, _ rows: [Range<Int>]) -> Void
  ) {
    forEachPrefix(below: rows, step: step) { token, rows in
      if isAllowed(rows) { body(token, rows) }
    }
  }

  /// As `forEachChild`, with those prefixes too that lead to no document that counts.
  func forEachPrefix(
    below rows: [Range<Int>], step: Int, _ body: (_ token: UInt32, _ rows: [Range<Int>]) -> Void
  ) {
    withExtendedLifetime(index) {
      // In each table the run of rows that share their next token, the token first.
      var heads = rows.indices.map { table in
        Head(rows: rows[table], step: step, table: index.tables[table])
      }
      var child = [Range<Int>](repeating: 0..<0, count: rows.count)
      while let token = heads.lazy.compactMap(\.token).min() {
        for table in heads.indices {
          if heads[table].token == token {
            child[table] = heads[table].run
            heads[table].advance(step: step, table: index.tables[table])
          } else {
            child[table] = 0..<0
          }
        }
        body(token, child)
      }
    }
  }

  /// Calls `body` with the rows of each distinct identifier below a prefix, in order of the tokens: in
  /// each table one row or none.
  func forEachIdentifier(
    below rows: [Range<Int>], step: Int, _ body: (_ rows: [Range<Int>]) -> Void
  ) {
    if rows.count == 1 {
      var single = rows
      for row in rows[0] {
        single[0] = row..<row + 1
        if isAllowed(single) { body(single) }
      }
    } else if step == index.identifierLength {
      if isAllowed(rows), rows.contains(where: { !$0.isEmpty }) { body(rows) }
    } else {
      forEachChild(of: rows, step: step) { _, child in
        forEachIdentifier(below: child, step: step + 1, body)
      }
    }
  }

  /// Walks over the rows of a prefix in one table by runs with the same next token.
  private struct Head {
    private(set) var token: UInt32?
    private(set) var run: Range<Int>
    private let end: Int

    init(rows: Range<Int>, step: Int, table: IdentifierTable) {
      self.run = rows.lowerBound..<rows.lowerBound
      self.end = rows.upperBound
      advance(step: step, table: table)
    }

    mutating func advance(step: Int, table: IdentifierTable) {
      let lower = run.upperBound
      guard lower < end else {
        token = nil
        return
      }
      let code = table.code(step: step, row: lower)
      // Gallop to a row behind the run, then halve.
      var (inside, leap) = (lower, 1)
      while inside + leap < end, table.code(step: step, row: inside + leap) == code {
        inside += leap
        leap *= 2
      }
      let bound = min(inside + leap, end)
      run =
        lower..<Bisection.firstIndex(in: inside + 1..<bound) {
          table.code(step: step, row: $0) > code
        }
      token = table.levelTokens(step)[code]
    }
  }
}

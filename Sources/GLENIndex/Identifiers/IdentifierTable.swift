/// Every document's identifier and weights, sorted by identifier, ready to be searched.
///
/// Documents are numbered from 0 in the order in which they were given. The distinct identifiers are
/// *rows*, numbered from 0 in lexicographic order of their tokens; documents with the same identifier
/// share a row (they collide). A table is one immutable region of bytes with the layout of
/// `identifiers.bin`, in memory or mapped from a file, so a copy costs nothing.
///
/// Columns hold codes instead of tokens: the distinct tokens of a step, in ascending order, are
/// numbered from 0, which keeps the look-up table of a query as small as the index allows.
public struct IdentifierTable: Sendable {
  let memory: IndexMemory
  let layout: IdentifierLayout

  /// Adopts a region of bytes after checking every number in it.
  init(memory: IndexMemory, path: String) throws(IndexError) {
    self.memory = memory
    self.layout = try IdentifierLayout.read(memory, path: path)
    try validate(path: path)
  }

  /// How many documents the table holds.
  ///
  /// - Complexity: O(1).
  public var documentCount: Int { layout.documentCount }

  /// How many distinct identifiers the documents have.
  ///
  /// - Complexity: O(1).
  public var identifierCount: Int { layout.identifierCount }

  /// How many tokens an identifier has, the paper's n.
  ///
  /// - Complexity: O(1).
  public var identifierLength: Int { layout.identifierLength }

  /// How many tokens a query's score table must have at least.
  ///
  /// - Complexity: O(1).
  public var vocabularySize: Int { layout.vocabularySize }

  /// The tokens of the identifier in a row.
  ///
  /// - Precondition: `row` is in `0..<identifierCount`.
  /// - Complexity: O(n).
  public func tokens(ofIdentifier row: Int) -> [Int32] {
    precondition(row >= 0 && row < identifierCount, "No identifier has this row.")
    return withExtendedLifetime(memory) {
      (0..<identifierLength).map { step in
        Int32(bitPattern: levelTokens(step)[code(step: step, row: row)])
      }
    }
  }

  /// The documents that have the identifier in a row, in ascending order.
  ///
  /// - Precondition: `row` is in `0..<identifierCount`.
  /// - Complexity: O(documents in the row).
  public func documents(ofIdentifier row: Int) -> [Int] {
    precondition(row >= 0 && row < identifierCount, "No identifier has this row.")
    return withExtendedLifetime(memory) { members(ofRow: row).map { Int($0) } }
  }

  /// The row of a document's identifier.
  ///
  /// - Precondition: `document` is in `0..<documentCount`.
  /// - Complexity: O(1).
  public func identifier(ofDocument document: Int) -> Int {
    precondition(document >= 0 && document < documentCount, "No document has this number.")
    return withExtendedLifetime(memory) { Int(rows[document]) }
  }

  /// A document's weights: its own logit at each token of its identifier.
  ///
  /// - Precondition: `document` is in `0..<documentCount`.
  /// - Complexity: O(n).
  public func weights(ofDocument document: Int) -> [Float] {
    precondition(document >= 0 && document < documentCount, "No document has this number.")
    return withExtendedLifetime(memory) {
      (0..<identifierLength).map { weights[document * identifierLength + $0] }
    }
  }

  /// The distinct tokens that stand at a step of any identifier, in ascending order.
  ///
  /// A search needs a query's logits at these tokens and at no others.
  ///
  /// - Precondition: `step` is in `0..<identifierLength`.
  /// - Complexity: O(count of the result).
  public func tokens(atStep step: Int) -> [Int32] {
    precondition(step >= 0 && step < identifierLength, "No identifier has this step.")
    return withExtendedLifetime(memory) { levelTokens(step).map { Int32(bitPattern: $0) } }
  }

  /// The token at every step of every document, in document order.
  ///
  /// Together with ``allWeights()`` this is what a table is built from.
  ///
  /// - Complexity: O(documents * n).
  public func allIdentifiers() -> [Int32] {
    (0..<documentCount).flatMap { tokens(ofIdentifier: identifier(ofDocument: $0)) }
  }

  /// The weights of every document, in document order.
  ///
  /// - Complexity: O(documents * n).
  public func allWeights() -> [Float] {
    withExtendedLifetime(memory) { Array(weights) }
  }
}

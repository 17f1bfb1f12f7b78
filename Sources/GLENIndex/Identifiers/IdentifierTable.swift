/// The identifiers and weights of one segment's documents, sorted by identifier, ready to be searched.
///
/// The distinct identifiers are *rows*, numbered from 0 in lexicographic order of their tokens.
/// Documents are numbered in the order of their identifiers, so those with the same identifier (they
/// collide) have neighbouring numbers, and a row is a range of documents. A table is one immutable
/// region of bytes with the layout of an identifiers file, in memory or mapped, so a copy costs
/// nothing.
///
/// Columns hold codes instead of tokens: the distinct tokens of a step, in ascending order, are
/// numbered from 0, which keeps the look-up table of a query as small as the index allows.
///
/// A damaged file may give wrong answers, but every number in it is checked or clamped before it is
/// used as an index; `validate` finds what is wrong.
public struct IdentifierTable: Sendable {
  let memory: IndexMemory
  let layout: IdentifierLayout

  /// Adopts a region of bytes after checking its header and the tokens of its steps.
  ///
  /// - Complexity: O(distinct tokens of all steps).
  init(memory: IndexMemory, path: String) throws(IndexError) {
    self.memory = memory
    self.layout = try IdentifierLayout(reading: memory, path: path)
    try withExtendedLifetime(memory) { () throws(IndexError) in
      try validateLevels(path: path)
    }
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

  /// How the weights are stored.
  ///
  /// - Complexity: O(1).
  public var weightFormat: WeightFormat { layout.weightFormat }

  /// The tokens of the identifier in a row.
  ///
  /// - Precondition: `row` is in `0..<identifierCount`.
  /// - Complexity: O(n).
  public func tokens(ofIdentifier row: Int) -> [Int32] {
    precondition(row >= 0 && row < identifierCount, "No identifier has this row.")
    return withExtendedLifetime(memory) {
      (0..<identifierLength).map { Int32(bitPattern: token(step: $0, row: row)) }
    }
  }

  /// The documents that have the identifier in a row.
  ///
  /// - Precondition: `row` is in `0..<identifierCount`.
  /// - Complexity: O(1).
  public func documents(ofIdentifier row: Int) -> Range<Int> {
    precondition(row >= 0 && row < identifierCount, "No identifier has this row.")
    return withExtendedLifetime(memory) { documents(ofRows: row..<row + 1) }
  }

  /// The row of a document's identifier.
  ///
  /// - Precondition: `document` is in `0..<documentCount`.
  /// - Complexity: O(log(identifiers)).
  public func identifier(ofDocument document: Int) -> Int {
    precondition(document >= 0 && document < documentCount, "No document has this number.")
    return withExtendedLifetime(memory) {
      // The last row that begins at or before the document.
      let offsets = bucketOffsets
      return Bisection.firstIndex(in: 1..<identifierCount) { Int(offsets[$0]) > document } - 1
    }
  }

  /// A document's weights: its own logit at each token of its identifier.
  ///
  /// - Precondition: `document` is in `0..<documentCount`.
  /// - Complexity: O(n).
  public func weights(ofDocument document: Int) -> [Float] {
    precondition(document >= 0 && document < documentCount, "No document has this number.")
    let first = document * identifierLength
    return withExtendedLifetime(memory) {
      (first..<first + identifierLength).map { weight($0) }
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

  /// The token at every step of every document, `[documents, n]` in document order.
  ///
  /// Together with ``allWeights()`` this is what a table is built from.
  ///
  /// - Complexity: O(documents * (n + log(identifiers))).
  public func allIdentifiers() -> [Int32] {
    (0..<documentCount).flatMap { tokens(ofIdentifier: identifier(ofDocument: $0)) }
  }

  /// The weights of every document, `[documents, n]` in document order.
  ///
  /// - Complexity: O(documents * n).
  public func allWeights() -> [Float] {
    withExtendedLifetime(memory) { (0..<documentCount * identifierLength).map { weight($0) } }
  }
}

import Synchronization

/// The identifiers of an index: one table or several side by side, without the deleted documents.
///
/// The documents are numbered through, table after table. Two documents with the same identifier
/// collide, whichever tables they are in. All searches look through this; a table alone is the
/// simplest case.
public struct IdentifierTables: Sendable {
  /// The tables in the order of their documents' numbers.
  public let tables: [IdentifierTable]

  /// The documents that are not deleted, or nil if none is deleted.
  public let living: DocumentSet?

  /// How many tokens an identifier has, the paper's n.
  public let identifierLength: Int

  /// How many tokens a query's score table must have at least.
  public let vocabularySize: Int

  /// The number of each table's first document, and the number behind the last of all.
  let bases: [Int]

  /// What is found out of the tables once, when it is first asked for.
  private let countedRows = CountedRows()

  /// Takes a table alone.
  ///
  /// - Complexity: O(1).
  public init(_ table: IdentifierTable) {
    self.tables = [table]
    self.living = nil
    self.identifierLength = table.identifierLength
    self.vocabularySize = table.vocabularySize
    self.bases = [0, table.documentCount]
  }

  /// Puts tables side by side.
  ///
  /// - Parameters:
  ///   - tables: The tables, and which of each one's documents are deleted, or nil for none.
  ///   - identifierLength: The paper's n, which all tables share.
  ///   - vocabularySize: The size of the model's vocabulary; no table's is larger.
  /// - Throws: ``IndexError/invalidIdentifiers(_:)`` if the tables do not fit together.
  /// - Complexity: O(tables + documents / 64).
  init(
    _ tables: [(table: IdentifierTable, deleted: DocumentSet?)], identifierLength: Int,
    vocabularySize: Int
  ) throws(IndexError) {
    var bases = [0]
    for (table, _) in tables {
      guard table.identifierLength == identifierLength, table.vocabularySize <= vocabularySize
      else {
        throw .invalidIdentifiers(
          "join identifier tables: they are not of one model; expected \(identifierLength) tokens "
            + "below \(vocabularySize), got \(table.identifierLength) below \(table.vocabularySize); "
            + "index all documents with one model")
      }
      bases.append((bases.last ?? 0) + table.documentCount)
    }
    let count = bases.last ?? 0
    guard count < Int(UInt32.max) else {
      throw .invalidIdentifiers(
        "join identifier tables: there are too many documents; expected fewer than "
          + "\(UInt32.max), got \(count); compact the index, or split the corpus")
    }
    var living: DocumentSet?
    for (index, (_, deleted)) in tables.enumerated() {
      guard let deleted else { continue }
      var rest = living ?? DocumentSet(capacity: count, isFull: true)
      living = nil
      rest.subtract(deleted, movedBy: bases[index])
      living = rest
    }
    self.tables = tables.map(\.table)
    self.living = living
    self.identifierLength = identifierLength
    self.vocabularySize = vocabularySize
    self.bases = bases
  }

  /// The bound of the documents' numbers, which the deleted ones have too.
  ///
  /// - Complexity: O(1).
  public var documentCount: Int { bases.last ?? 0 }

  /// The table that a document is in, and its number there.
  ///
  /// - Precondition: `document` is in `0..<documentCount`.
  /// - Complexity: O(log(tables)).
  public func place(ofDocument document: Int) -> (table: Int, document: Int) {
    precondition(document >= 0 && document < documentCount, "No document has this number.")
    let table = Bisection.firstIndex(in: 1..<tables.count) { bases[$0] > document } - 1
    return (table, document - bases[table])
  }

  /// The tokens of a document's identifier.
  ///
  /// - Precondition: `document` is in `0..<documentCount`.
  /// - Complexity: O(n + log(identifiers)).
  public func tokens(ofDocument document: Int) -> [Int32] {
    let place = place(ofDocument: document)
    let table = tables[place.table]
    return table.tokens(ofIdentifier: table.identifier(ofDocument: place.document))
  }

  /// A document's weights: its own logit at each token of its identifier.
  ///
  /// - Precondition: `document` is in `0..<documentCount`.
  /// - Complexity: O(n + log(tables)).
  public func weights(ofDocument document: Int) -> [Float] {
    let place = place(ofDocument: document)
    return tables[place.table].weights(ofDocument: place.document)
  }

  /// For each table a 1 for each identifier that counts for all tables together, and else a 0; nil for a table
  /// whose identifiers all count.
  ///
  /// An identifier with a living document in any table counts once, in the first table that has it.
  ///
  /// - Complexity: at first O(identifiers), and of those of all tables but the first O(n * log(identifiers))
  ///   each; then O(1).
  var rowsThatCount: [[UInt8]?] {
    if tables.count == 1, living == nil { return [nil] }
    return countedRows.value { IdentifierTrie(self).rowsThatCount() }
  }

  /// A value that is made once.
  private final class CountedRows: Sendable {
    private let rows = Mutex<[[UInt8]?]?>(nil)

    func value(_ make: () -> [[UInt8]?]) -> [[UInt8]?] {
      rows.withLock { rows in
        if let rows { return rows }
        let made = make()
        rows = made
        return made
      }
    }
  }

  /// The documents that a search may return: the living ones that the filter allows; nil for all.
  func allowed(_ filter: DocumentSet?) -> DocumentSet? {
    guard let living else { return filter }
    guard var both = filter else { return living }
    both.formIntersection(living)
    return both
  }
}

/// Documents that were indexed together: their identifiers, their names, and which are deleted.
///
/// Immutable: deleting a document makes another segment over the same data.
public struct IndexSegment: Sendable {
  /// The documents' identifiers and weights.
  public let table: IdentifierTable

  /// The documents' own names, titles, and metadata.
  public let documents: DocumentCatalog

  /// The documents that are deleted, or nil if none is.
  public let deleted: DocumentSet?

  /// The keywords of the documents, or nil if the index keeps none.
  public let keywords: KeywordIndex?

  /// Puts together what belongs together; all of it has as many documents.
  init(
    table: IdentifierTable, documents: DocumentCatalog, deleted: DocumentSet? = nil,
    keywords: KeywordIndex? = nil
  ) throws(IndexError) {
    guard documents.count == table.documentCount,
      deleted?.capacity ?? documents.count == documents.count
    else {
      throw .invalidDocuments(
        "make index segment: the names do not match the table; expected \(table.documentCount) "
          + "names, got \(documents.count); name every document once")
    }
    if let keywords, keywords.documentCount != table.documentCount {
      throw .invalidDocuments(
        "make index segment: the keywords do not match the table; expected those of "
          + "\(table.documentCount) documents, got \(keywords.documentCount); index the keywords "
          + "again")
    }
    self.table = table
    self.documents = documents
    self.deleted = deleted.flatMap { $0.count == 0 ? nil : $0 }
    self.keywords = keywords
  }

  /// Sorts documents by their identifiers and makes a segment of them.
  ///
  /// - Parameters:
  ///   - records: The documents, whose names must differ.
  ///   - keywords: The keywords of the same documents in the same order, or nil to keep none.
  ///   - identifierLength: The paper's n.
  ///   - vocabularySize: The size of the model's vocabulary.
  ///   - weightFormat: How the weights are stored.
  /// - Throws: ``IndexError/invalidDocuments(_:)`` if two names are equal, and
  ///   ``IndexError/invalidIdentifiers(_:)`` for identifiers or weights that cannot be stored.
  /// - Complexity: O(documents * (n + log(documents)) + n * vocabulary).
  public init(
    _ records: DocumentRecords, keywords: KeywordIndex? = nil, identifierLength: Int,
    vocabularySize: Int, weightFormat: WeightFormat = .float32
  ) throws(IndexError) {
    let (table, order) = try IdentifierTable.sorting(
      identifiers: records.tokens, weights: records.weights, identifierLength: identifierLength,
      vocabularySize: vocabularySize, weightFormat: weightFormat)
    var sorted: KeywordIndex?
    if let keywords { sorted = try KeywordIndex.merged([keywords], order: order) }
    try self.init(
      table: table, documents: try records.ordered(order).catalog(), keywords: sorted)
  }

  /// The regions of bytes that make the segment's files.
  var regions: [(kind: IndexManifest.Kind, memory: IndexMemory)] {
    let optional: [(IndexManifest.Kind, IndexMemory?)] = [
      (.deleted, deleted?.deletionMemory()), (.keywords, keywords?.memory),
    ]
    return [(.identifiers, table.memory), (.documents, documents.memory)]
      + optional.compactMap { kind, memory in memory.map { (kind, $0) } }
  }

  /// How many documents are not deleted.
  ///
  /// - Complexity: O(documents / 64).
  public var livingCount: Int { table.documentCount - (deleted?.count ?? 0) }

  /// Whether a document is not deleted.
  ///
  /// - Complexity: O(1).
  func isLiving(_ document: Int) -> Bool { deleted?.contains(document) != true }

  /// The same segment with more documents deleted.
  func deleting(_ documents: [Int]) throws(IndexError) -> IndexSegment {
    guard !documents.isEmpty else { return self }
    var deleted = self.deleted ?? DocumentSet(capacity: table.documentCount)
    for document in documents { deleted.insert(document) }
    return try IndexSegment(
      table: table, documents: self.documents, deleted: deleted, keywords: keywords)
  }

  /// One segment of the living documents of several, identifiers and weights as they are.
  ///
  /// It keeps keywords if all of them do.
  static func merging(
    _ segments: [IndexSegment], identifierLength: Int, vocabularySize: Int
  ) throws(IndexError) -> IndexSegment {
    var records = DocumentRecords()
    for segment in segments { records.append(livingOf: segment) }
    let isExact = segments.contains { $0.table.weightFormat == .float32 }
    let keywords = segments.compactMap(\.keywords)
    var living: KeywordIndex?
    if keywords.count == segments.count {
      var (order, base) = ([Int](), 0)
      for segment in segments {
        for document in 0..<segment.documents.count where segment.isLiving(document) {
          order.append(base + document)
        }
        base += segment.documents.count
      }
      living = try KeywordIndex.merged(keywords, order: order)
    }
    return try IndexSegment(
      records, keywords: living, identifierLength: identifierLength,
      vocabularySize: vocabularySize, weightFormat: isExact ? .float32 : .float16)
  }
}

/// What an index holds at one moment: the segments of its documents, and the model they belong to.
///
/// Immutable. The data files stay mapped for as long as a snapshot lives, so a later commit to the
/// same folder changes nothing here. The documents of all segments are numbered through; deleted ones
/// keep their numbers until a commit merges their segment, so numbers mean nothing in another
/// snapshot.
public struct IndexSnapshot: Sendable {
  /// The segments, oldest first.
  public let segments: [IndexSegment]

  /// The identifiers of all segments: what is searched.
  public let tables: IdentifierTables

  /// Names the model that made the identifiers.
  public let modelFingerprint: String

  /// How many times the folder was committed to; 0 for what is not from a folder.
  public let generation: Int

  /// Makes a snapshot of segments.
  ///
  /// - Parameters:
  ///   - segments: The segments, oldest first. No two living documents may have the same name; this
  ///     is not checked here.
  ///   - identifierLength: The paper's n.
  ///   - vocabularySize: The size of the model's vocabulary.
  ///   - modelFingerprint: Names the model that made the identifiers.
  /// - Throws: ``IndexError/invalidIdentifiers(_:)`` if the segments do not fit together.
  /// - Complexity: O(segments + documents / 64).
  public init(
    _ segments: [IndexSegment], identifierLength: Int, vocabularySize: Int,
    modelFingerprint: String
  ) throws(IndexError) {
    try self.init(
      segments, identifierLength: identifierLength, vocabularySize: vocabularySize,
      modelFingerprint: modelFingerprint, generation: 0)
  }

  init(
    _ segments: [IndexSegment], identifierLength: Int, vocabularySize: Int,
    modelFingerprint: String, generation: Int
  ) throws(IndexError) {
    self.segments = segments
    self.tables = try IdentifierTables(
      segments.map { ($0.table, $0.deleted) }, identifierLength: identifierLength,
      vocabularySize: vocabularySize)
    self.modelFingerprint = modelFingerprint
    self.generation = generation
  }

  /// BM25 over the keywords of all segments, or nil if one of them keeps none.
  ///
  /// The documents have the snapshot's numbers.
  ///
  /// - Complexity: O(segments).
  public var keywords: KeywordSearch? {
    let keywords = segments.compactMap(\.keywords)
    return keywords.count == segments.count ? KeywordSearch(keywords) : nil
  }

  /// How many tokens an identifier has, the paper's n.
  ///
  /// - Complexity: O(1).
  public var identifierLength: Int { tables.identifierLength }

  /// How many tokens a query's score table must have at least.
  ///
  /// - Complexity: O(1).
  public var vocabularySize: Int { tables.vocabularySize }

  /// The bound of the documents' numbers, which deleted ones have too.
  ///
  /// - Complexity: O(1).
  public var documentCount: Int { tables.documentCount }

  /// How many documents are not deleted.
  ///
  /// - Complexity: O(documents / 64) if some are deleted.
  public var livingCount: Int { tables.living?.count ?? documentCount }

  /// Whether a document is not deleted.
  ///
  /// - Complexity: O(1).
  public func isLiving(_ document: Int) -> Bool {
    tables.living?.contains(document) ?? (document >= 0 && document < documentCount)
  }

  /// A document's own name.
  ///
  /// - Precondition: `document` is in `0..<documentCount`.
  /// - Complexity: O(length of the name + log(segments)).
  public func id(ofDocument document: Int) -> String {
    let place = tables.place(ofDocument: document)
    return segments[place.table].documents.identifier(ofDocument: place.document)
  }

  /// A document's title, or nil if its segment keeps no titles.
  ///
  /// - Precondition: `document` is in `0..<documentCount`.
  /// - Complexity: O(length of the title + log(segments)).
  public func title(ofDocument document: Int) -> String? {
    let place = tables.place(ofDocument: document)
    return segments[place.table].documents.title(ofDocument: place.document)
  }

  /// A document's metadata, empty if it has none.
  ///
  /// - Precondition: `document` is in `0..<documentCount`.
  /// - Complexity: O(length of the metadata + log(segments)).
  public func metadata(ofDocument document: Int) -> [String: MetadataValue] {
    let place = tables.place(ofDocument: document)
    return segments[place.table].documents.metadata(ofDocument: place.document)
  }

  /// The number of the document that has a name and is not deleted, or nil if there is none.
  ///
  /// - Complexity: O(segments * log(documents)) comparisons of names.
  public func document(withID id: String) -> Int? {
    for (index, segment) in segments.enumerated().reversed() {
      if let document = segment.documents.document(withIdentifier: id), segment.isLiving(document) {
        return tables.bases[index] + document
      }
    }
    return nil
  }
}

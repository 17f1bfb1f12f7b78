/// The documents of one snapshot that may be hits: a predicate that has been asked once for each.
///
/// Document numbers mean nothing outside the snapshot, so a filter is good for the retriever that
/// made it and for its copies; with another one a search throws.
public struct DocumentFilter: Sendable {
  /// The allowed documents by number.
  public let documents: DocumentSet

  fileprivate let identity: SnapshotIdentity
}

/// Tells a snapshot of an index from others.
final class SnapshotIdentity: Sendable {}

/// What an index knows about one of its documents.
public struct IndexedDocument: Sendable {
  let number: Int
  let snapshot: IndexSnapshot

  /// The document's own name.
  public var id: String { snapshot.id(ofDocument: number) }

  /// The document's title, or nil if it has none.
  public var title: String? {
    snapshot.title(ofDocument: number).flatMap { $0.isEmpty ? nil : $0 }
  }

  /// What the index keeps about the document beyond its title.
  public var metadata: [String: MetadataValue] {
    snapshot.metadata(ofDocument: number)
  }
}

extension Retriever {
  /// The documents for which a predicate holds, as a filter for any number of searches.
  ///
  /// ```swift
  /// let recent = retriever.filter { $0.metadata["year"] == 2025 }
  /// let hits = try await retriever.search("Who guards the hive?", options: .init(filter: recent))
  /// ```
  ///
  /// - Complexity: one call of the predicate for each document, here and never again; searching with
  ///   the filter costs about as much as without, and less if it allows few.
  public func filter(
    where isAllowed: (IndexedDocument) throws -> Bool
  ) rethrows -> DocumentFilter {
    var allowed = DocumentSet(capacity: snapshot.documentCount)
    for number in 0..<snapshot.documentCount where snapshot.isLiving(number) {
      if try isAllowed(IndexedDocument(number: number, snapshot: snapshot)) {
        allowed.insert(number)
      }
    }
    return filter(allowed)
  }

  /// The documents of an access list, as a filter; ids that no document has are left out.
  ///
  /// - Complexity: O(ids * segments * log(documents)).
  public func filter(ids: some Sequence<String>) -> DocumentFilter {
    filter(
      DocumentSet(
        ids.lazy.compactMap { snapshot.document(withID: $0) }, capacity: snapshot.documentCount))
  }

  /// A set of this retriever's document numbers as a filter, for instance where two filters meet.
  ///
  /// - Complexity: O(1).
  public func filter(_ documents: DocumentSet) -> DocumentFilter {
    DocumentFilter(documents: documents, identity: identity)
  }

  /// The set of a filter, which must be of this snapshot.
  func allowedDocuments(_ filter: DocumentFilter?) throws(IndexError) -> DocumentSet? {
    guard let filter else { return nil }
    guard filter.identity === identity else {
      throw .invalidSearch(
        "search: the filter belongs to another snapshot; expected one that this retriever made, "
          + "got one in which the same numbers are other documents; make it again")
    }
    return filter.documents
  }
}

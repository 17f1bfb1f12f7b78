/// Documents on their way into an index: names, titles, metadata, identifiers, weights.
public struct DocumentRecords: Sendable {
  /// The documents' own names.
  public private(set) var ids: [String] = []

  private(set) var titles: [String] = []
  private(set) var metadata: [[String: MetadataValue]] = []
  private(set) var tokens: [Int32] = []
  private(set) var weights: [Float] = []
  private var hasTitles = false
  private var hasMetadata = false

  /// Makes an empty list.
  ///
  /// - Complexity: O(1).
  public init() {}

  /// Appends a document.
  ///
  /// - Parameters:
  ///   - id: The document's own name.
  ///   - title: The document's title, or nil; a list keeps titles if any document has one.
  ///   - metadata: What else is known about it.
  ///   - tokens: Its identifier, n tokens.
  ///   - weights: Its own logits at those tokens.
  /// - Complexity: O(n) on average.
  public mutating func append(
    id: String, title: String? = nil, metadata: [String: MetadataValue] = [:],
    tokens: some Collection<Int32>, weights: some Collection<Float>
  ) {
    ids.append(id)
    titles.append(title ?? "")
    self.metadata.append(metadata)
    self.tokens.append(contentsOf: tokens)
    self.weights.append(contentsOf: weights)
    if title != nil { hasTitles = true }
    if !metadata.isEmpty { hasMetadata = true }
  }

  /// Appends one document of another list.
  mutating func append(_ other: DocumentRecords, _ place: Int) {
    let n = other.tokens.count / max(other.ids.count, 1)
    let own = place * n..<(place + 1) * n
    append(
      id: other.ids[place], title: other.hasTitles ? other.titles[place] : nil,
      metadata: other.metadata[place], tokens: other.tokens[own], weights: other.weights[own])
  }

  /// Appends the documents of a segment that are not deleted.
  mutating func append(livingOf segment: IndexSegment) {
    let (table, catalog) = (segment.table, segment.documents)
    for document in 0..<table.documentCount where segment.isLiving(document) {
      append(
        id: catalog.identifier(ofDocument: document), title: catalog.title(ofDocument: document),
        metadata: catalog.metadata(ofDocument: document),
        tokens: table.tokens(ofIdentifier: table.identifier(ofDocument: document)),
        weights: table.weights(ofDocument: document))
    }
  }

  /// The documents in another order, or some of them.
  func ordered(_ places: [Int]) -> DocumentRecords {
    var result = DocumentRecords()
    for place in places { result.append(self, place) }
    return result
  }

  /// The catalog of the documents.
  func catalog() throws(IndexError) -> DocumentCatalog {
    try DocumentCatalog(
      identifiers: ids, titles: hasTitles ? titles : nil, metadata: hasMetadata ? metadata : nil)
  }
}

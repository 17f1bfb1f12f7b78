/// One document of a corpus.
public struct Document: Sendable, Equatable {
  /// The identifier that judgements and runs use.
  public var id: String
  /// The title; empty where the corpus has none.
  public var title: String
  /// The body.
  public var text: String
  /// What else is known about the document; kept in the index, and not read by the model.
  public var metadata: [String: MetadataValue]

  /// Creates a document.
  public init(
    id: String, title: String = "", text: String, metadata: [String: MetadataValue] = [:]
  ) {
    self.id = id
    self.title = title
    self.text = text
    self.metadata = metadata
  }

  /// The title, one space and the body; the body alone where the title is empty.
  public var fullText: String { title.isEmpty ? text : title + " " + text }
}

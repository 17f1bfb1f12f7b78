/// One document of a corpus.
public struct Document: Sendable, Equatable {
  /// The identifier that judgements and runs use.
  public var id: String
  /// The title; empty where the corpus has none.
  public var title: String
  /// The body.
  public var text: String

  /// Creates a document.
  public init(id: String, title: String = "", text: String) {
    self.id = id
    self.title = title
    self.text = text
  }

  /// The title, one space and the body; the body alone where the title is empty.
  public var fullText: String { title.isEmpty ? text : title + " " + text }
}

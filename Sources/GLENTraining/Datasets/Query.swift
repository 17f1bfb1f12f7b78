/// One query of a dataset.
public struct Query: Sendable, Equatable {
  /// The identifier that judgements and runs use.
  public var id: String
  /// The question.
  public var text: String

  /// Creates a query.
  public init(id: String, text: String) {
    self.id = id
    self.text = text
  }
}

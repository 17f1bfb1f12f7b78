/// How relevant one document is to one query, by their positions in a dataset.
public struct Judgement: Sendable, Hashable {
  /// The position of the query in the dataset's queries.
  public var query: Int
  /// The position of the document in the dataset's documents.
  public var document: Int
  /// The grade: above 0 is relevant, 0 is judged not relevant.
  public var grade: Int

  /// Creates a judgement.
  public init(query: Int, document: Int, grade: Int) {
    self.query = query
    self.document = document
    self.grade = grade
  }

  /// Whether the document answers the query, to whatever degree.
  public var isPositive: Bool { grade > 0 }
}

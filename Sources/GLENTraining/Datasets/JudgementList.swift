/// The judgements of one split, with what was passed over to read them.
public struct JudgementList: Sendable, Equatable {
  /// The judgements in the order of the file; grades of 0 and below are among them.
  public var judgements: [Judgement] = []
  /// The number of rows whose query or document the dataset lacks.
  public var unknownRows = 0
  /// Those of its queries whose document it lacks: nothing to train on, but judged all the same.
  public var unknownDocuments: [UnknownDocument] = []
  /// The malformed lines that were left out.
  public var skippedLines: [TrainingError] = []

  /// A judgement of a document that the dataset does not have.
  public struct UnknownDocument: Sendable, Hashable {
    /// The query's position in the dataset.
    public var query: Int
    /// The document's id.
    public var document: String
    /// The grade.
    public var grade: Int
  }

  /// Creates an empty list.
  public init() {}
}

/// The judgements of one split, with what was passed over to read them.
public struct JudgementList: Sendable, Equatable {
  /// The judgements in the order of the file; grades of 0 and below are among them.
  public var judgements: [Judgement] = []
  /// The number of rows left out because the dataset lacks their query or document.
  public var unknownRows = 0
  /// The malformed lines that were left out.
  public var skippedLines: [TrainingError] = []

  /// Creates an empty list.
  public init() {}
}

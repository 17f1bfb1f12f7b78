/// The metrics of one query.
public struct QueryEvaluation: Sendable, Equatable {
  /// The identifier of the query.
  public let query: String
  /// The values, in the order of the evaluation's metrics.
  public let values: [Double]
}

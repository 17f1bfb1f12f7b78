import GLENIndex

/// The rankings of a set of queries, each query once and no document twice for a query.
public struct Run: Sendable, Equatable {
  /// The rankings in the order they were given.
  public let rankings: [RankedList]
  private let positions: [ExactText: Int]

  /// Creates a run.
  ///
  /// - Throws: `TrainingError.invalidRun` when a query has two rankings, or a ranking has a
  ///   document twice.
  public init(_ rankings: [RankedList]) throws(TrainingError) {
    var positions: [ExactText: Int] = [:]
    positions.reserveCapacity(rankings.count)
    for (position, ranking) in rankings.enumerated() {
      guard positions.updateValue(position, forKey: ExactText(ranking.query)) == nil else {
        throw .invalidRun(
          problem: "a query is ranked twice", expected: "one ranking a query",
          got: "query '\(ranking.query)' again")
      }
      var seen: Set<ExactText> = []
      for document in ranking.documents where !seen.insert(ExactText(document.id)).inserted {
        throw .invalidRun(
          problem: "query '\(ranking.query)' ranks a document twice",
          expected: "every document once", got: "document '\(document.id)' again")
      }
    }
    self.rankings = rankings
    self.positions = positions
  }

  /// The ranking of a query, if the run has one.
  public subscript(query: String) -> RankedList? {
    positions[ExactText(query)].map { rankings[$0] }
  }
}

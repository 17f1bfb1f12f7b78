/// A document's place in a ranking, with the two numbers that put it there.
public struct RankedDocument: Sendable, Equatable {
  /// The document's number in the tables that were searched.
  public let document: Int

  /// The sum of the log-probabilities of the identifier's tokens; never NaN.
  ///
  /// It is -infinity if a token of the identifier is masked; such documents come last.
  public let score: Float

  /// The cosine of the query's and the document's weights; never NaN.
  ///
  /// It is 0 if either side is all zero, or if a token of the identifier is masked.
  public let similarity: Float

  /// Makes a ranked document from its parts.
  ///
  /// - Complexity: O(1).
  public init(document: Int, score: Float, similarity: Float) {
    self.document = document
    self.score = score
    self.similarity = similarity
  }
}

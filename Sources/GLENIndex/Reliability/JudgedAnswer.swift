/// A retriever's best hit for a question whose right answers are known.
public struct JudgedAnswer: Sendable, Codable, Hashable {
  /// The best hit's probability among the corpus; 0 where there was no hit.
  public var probability: Double
  /// Whether the best hit is right.
  public var isCorrect: Bool
  /// Whether the corpus has a right answer at all.
  public var isAnswerable: Bool

  /// Makes a judged answer of its parts.
  public init(probability: Double, isCorrect: Bool, isAnswerable: Bool = true) {
    self.probability = probability
    self.isCorrect = isCorrect
    self.isAnswerable = isAnswerable
  }

  /// Judges the hits of a search with probabilities.
  ///
  /// - Parameters:
  ///   - hits: best first.
  ///   - correct: the ids of the documents that answer the question; none for a question that the
  ///     corpus does not answer.
  public init(_ hits: [SearchHit], correct: Set<ExactText>) {
    self.init(
      probability: hits.first?.probability ?? 0,
      isCorrect: hits.first.map { correct.contains(ExactText($0.id)) } ?? false,
      isAnswerable: !correct.isEmpty)
  }
}

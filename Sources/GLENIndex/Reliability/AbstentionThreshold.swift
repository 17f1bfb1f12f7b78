/// From which probability of its best hit a retriever should answer rather than say that it has no
/// good answer, and what came of that on the questions that decided it.
public struct AbstentionThreshold: Sendable, Codable, Hashable {
  /// What a threshold is chosen for.
  public enum Goal: Sendable, Hashable {
    /// The greatest harmonic mean of precision and recall.
    case bestF1
    /// The most answers of which at least this share is right.
    case precision(Double)
  }

  /// The value for ``SearchOptions/minimumProbability``.
  public var minimumProbability: Double
  /// The share of the questions that were answered.
  public var coverage: Double
  /// The share of the answers that were right.
  public var precision: Double
  /// The share of the answerable questions that were answered right.
  public var recall: Double

  /// The harmonic mean of precision and recall; 0 if both are.
  public var f1: Double {
    precision + recall == 0 ? 0 : 2 * precision * recall / (precision + recall)
  }

  /// Chooses a threshold by questions that were judged, among them some without a good answer.
  ///
  /// Use questions that the model was not trained on, and others to report what comes of it. Of
  /// thresholds that are equally good the highest is chosen.
  ///
  /// - Returns: nil if no threshold reaches the goal: no answer is right, or never so large a share.
  /// - Complexity: O(answers * log(answers)).
  public static func calibrated(
    on answers: [JudgedAnswer], for goal: Goal = .bestF1
  ) -> AbstentionThreshold? {
    let answerable = answers.count { $0.isAnswerable }
    var best: AbstentionThreshold?
    forEach(cutOf: answers) { threshold, answered, correct in
      let precision = Double(correct) / Double(answered)
      let candidate = AbstentionThreshold(
        minimumProbability: threshold, coverage: Double(answered) / Double(answers.count),
        precision: precision, recall: Double(correct) / Double(max(answerable, 1)))
      guard correct > 0 else { return }
      switch goal {
      case .bestF1: if candidate.f1 > best?.f1 ?? 0 { best = candidate }
      case .precision(let wanted): if precision >= wanted { best = candidate }
      }
    }
    return best
  }

  /// Calls `body` with every threshold that changes who is answered, from the highest.
  ///
  /// With it come how many questions are answered and how many of them right. A question without a
  /// hit never is. A threshold lies halfway to the next lower probability, because the same question has
  /// other last digits when it is asked alone.
  static func forEach(
    cutOf answers: [JudgedAnswer],
    _ body: (_ threshold: Double, _ answered: Int, _ correct: Int) -> Void
  ) {
    let sorted = answers.filter { $0.probability > 0 }.sorted { $0.probability > $1.probability }
    var correct = 0
    for (index, answer) in sorted.enumerated() {
      if answer.isCorrect { correct += 1 }
      let isLast = index + 1 == sorted.count
      if isLast || sorted[index + 1].probability < answer.probability {
        // Beyond the last answer nothing is known.
        let next = isLast ? answer.probability * (1 - 1e-4) : sorted[index + 1].probability
        let middle = (answer.probability + next) / 2
        body(middle > next ? middle : answer.probability, index + 1, correct)
      }
    }
  }
}

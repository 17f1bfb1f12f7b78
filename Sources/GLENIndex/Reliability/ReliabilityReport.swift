/// Whether the probabilities of best hits mean what they say, and what abstention would bring.
public struct ReliabilityReport: Sendable, Codable, Hashable {
  /// The answers whose probability lies in a range, without its upper end but for the last.
  public struct Bin: Sendable, Codable, Hashable {
    /// The range's lower end.
    public var lower: Double
    /// The range's upper end.
    public var upper: Double
    /// How many answers lie in it.
    public var count: Int
    /// Their mean probability; 0 if there are none.
    public var meanProbability: Double
    /// The share of them that is right; 0 if there are none.
    public var accuracy: Double
  }

  /// What is right if only the most probable answers are given.
  public struct Coverage: Sendable, Codable, Hashable {
    /// The share of the questions that are answered.
    public var coverage: Double
    /// From which probability on is answered: halfway to the next that is not.
    public var minimumProbability: Double
    /// The share of the answers that is right.
    public var accuracy: Double
  }

  /// How many answers were judged.
  public var count: Int
  /// The share that is right.
  public var accuracy: Double
  /// The expected calibration error: the mean distance between probability and accuracy of the bins,
  /// each weighted by its answers.
  public var expectedCalibrationError: Double
  /// Ten bins of equal width.
  public var bins: [Bin]
  /// The best tenth of the answers, the best two tenths, and so on; equally probable answers are
  /// given together, so that a row may hold more than its share, and questions without a hit are
  /// never answered, so that there may be fewer than ten rows.
  public var coverages: [Coverage]
  /// The threshold with the best F1; nil if no answer is right.
  public var bestF1: AbstentionThreshold?

  /// Judges some answers.
  ///
  /// - Complexity: O(answers * log(answers)).
  public init(_ answers: [JudgedAnswer]) {
    let total = Double(max(answers.count, 1))
    let binCount = 10
    var members = [[JudgedAnswer]](repeating: [], count: binCount)
    for answer in answers {
      let place = (answer.probability * Double(binCount)).rounded(.down)
      // A probability that is not one (NaN, or out of range) counts at the end it is nearest to.
      members[place >= 0 ? Int(min(place, Double(binCount - 1))) : 0].append(answer)
    }
    bins = members.enumerated().map { index, members in
      let count = Double(max(members.count, 1))
      return Bin(
        lower: Double(index) / Double(binCount), upper: Double(index + 1) / Double(binCount),
        count: members.count,
        meanProbability: members.reduce(0) { $0 + $1.probability } / count,
        accuracy: Double(members.count { $0.isCorrect }) / count)
    }
    count = answers.count
    accuracy = Double(answers.count { $0.isCorrect }) / total
    expectedCalibrationError = bins.reduce(0) {
      $0 + abs($1.accuracy - $1.meanProbability) * Double($1.count) / total
    }
    var coverages: [Coverage] = []
    AbstentionThreshold.forEach(cutOf: answers) { threshold, answered, correct in
      guard 10 * answered >= (coverages.count + 1) * answers.count else { return }
      let row = Coverage(
        coverage: Double(answered) / total, minimumProbability: threshold,
        accuracy: Double(correct) / Double(answered))
      let tenths = 10 * answered / answers.count
      coverages += repeatElement(row, count: tenths - coverages.count)
    }
    self.coverages = coverages
    bestF1 = AbstentionThreshold.calibrated(on: answers)
  }
}

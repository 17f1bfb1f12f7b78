/// Where a phase stands, after an update.
public struct TrainingProgress: Sendable {
  /// The phase's name.
  public var phase: String
  /// Updates made, and updates to make.
  public var step: Int, steps: Int
  /// The losses of this update; the first is the whole.
  public var losses: [LossPart]
  /// The learning rate of encoder and table.
  public var learningRate: Float
  /// The gradients' norm before clipping.
  public var gradientNorm: Float
  /// Updates a second, lately.
  public var stepsPerSecond: Double
  /// Tokens a second that went through the encoder, lately; 0 where a phase does not count them.
  public var tokensPerSecond = 0.0
  /// The share of the time, lately, that went to choosing negatives and to remembering identifiers.
  public var samplingShare = 0.0
  /// What else the validation measured, if this update was followed by one.
  public var measurements: [LossPart] = []
  /// The latest validation's value, if this update was followed by one.
  public var validation: Double?
  /// The validation's value of the model that the phase began with, if this was its first update.
  public var validationBefore: Double?
  /// What these values are, and the best one is chosen by.
  public var measure = Recipe.ValidationMeasure.meanReciprocalRank
  /// After how many updates validation was best, if this one was followed by a validation; 0 if it
  /// was before the first.
  public var bestStep: Int?

  /// Why the phase has ended, if this was its last update.
  public var ending: Ending?
  /// The mean of its first and its last model that the phase has ended with, if it did better in
  /// validation than every model before.
  public var mixture: Mixture?

  /// A mean of a phase's first and last model.
  public struct Mixture: Sendable, Equatable {
    /// How much of the last model is in it; the rest is of the first.
    public var share: Float
    /// Its validation's value.
    public var validation: Double
  }

  /// Why a phase has ended.
  public enum Ending: Sendable, Equatable {
    /// All its updates were made.
    case allUpdates
    /// So many validations in turn were no better than the best one: the recipe's patience.
    case noImprovement(validations: Int)
  }

  /// What to say of a phase that has ended before its last update.
  public var earlyEnding: String? {
    guard case .noImprovement(let validations) = ending else { return nil }
    return "\(measure.rawValue) was best after \(bestStep ?? 0) updates and not better in "
      + "\(validations) validation\(validations == 1 ? "" : "s") since"
  }

  /// What to say of a phase that has ended with a mixture.
  public var mixing: String? {
    guard let mixture else { return nil }
    let tenths = Int((mixture.validation * 1000).rounded())
    return
      "\(Int((mixture.share * 100).rounded())) % of the last model and the rest of the first did "
      + "better than any before: \(measure.rawValue) \(tenths / 10).\(tenths % 10) on dev"
  }

  /// Whether the phase has ended without an update that did better than none: its model is the one
  /// that it began with.
  public var hasKeptStart: Bool { ending != nil && bestStep == 0 && mixture == nil }

  /// The seconds that the phase still needs at this rate, if it goes on to its last update.
  public var secondsLeft: Double {
    ending == nil ? Double(steps - step) / max(stepsPerSecond, 1e-9) : 0
  }
}

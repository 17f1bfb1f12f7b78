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
  /// After how many updates validation was best, if this one was followed by a validation; 0 if it
  /// was before the first.
  public var bestStep: Int?

  /// Whether the phase has ended without an update that did better than none: its model is the one
  /// that it began with.
  public var hasKeptStart: Bool { step == steps && bestStep == 0 }

  /// The seconds that the phase still needs at this rate.
  public var secondsLeft: Double { Double(steps - step) / max(stepsPerSecond, 1e-9) }
}

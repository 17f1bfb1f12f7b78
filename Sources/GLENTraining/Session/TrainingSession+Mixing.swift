import GLENModel
import GLENTensor

extension TrainingSession {
  /// How much of the last model is in the means that are tried.
  static let mixtureShares: [Float] = [0.9, 0.75, 0.5]

  /// The best mean of a phase's first and last model, if it does better than what the phase would keep.
  ///
  /// What fine-tuning gains on questions like those of training it loses on others; between the two ends
  /// lie networks that have most of both (Wortsman et al., "Robust fine-tuning of zero-shot models",
  /// 2022).
  static func mixture(
    of beginning: T5Model, and last: T5Model, betterThan kept: Double,
    measure: (T5Model) throws -> Double
  ) throws -> PhaseTrainer.Mixture? {
    var best: PhaseTrainer.Mixture?
    for share in mixtureShares {
      let model = try beginning.mixed(with: last, share: share)
      let value = try measure(model)
      guard value > best?.value ?? kept else { continue }
      best = PhaseTrainer.Mixture(model: model, share: share, value: value)
    }
    return best
  }
}

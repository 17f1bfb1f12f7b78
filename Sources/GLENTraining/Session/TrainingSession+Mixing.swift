import GLENModel
import GLENTensor
import Logging

extension TrainingSession {
  /// How much of the last model is in the means that are tried.
  private static let shares: [Float] = [0.9, 0.75, 0.5]

  /// Puts a mean of a phase's first and last model in the place of the one that it kept, if the mean does
  /// better in validation.
  ///
  /// What fine-tuning gains on questions like those of training it loses on others; between the two ends
  /// lie networks that have most of both (Wortsman et al., "Robust fine-tuning of zero-shot models",
  /// 2022). A phase that ended before it was resumed has no last model, and its kept one stays.
  func mix(
    _ model: inout T5Model, beginning: T5Model, _ trainer: inout PhaseTrainer,
    _ validator: Validator
  ) throws {
    guard let last = trainer.last, let kept = trainer.bestValue else { return }
    let measure = recipe.keywords.optimization.bestBy
    var best = (value: kept, share: Float(0))
    for share in Self.shares {
      let candidate = try beginning.mixed(with: last, share: share)
      let value = try validator.measure(candidate, by: measure).value
      guard value > best.value else { continue }
      best = (value, share)
      model = candidate
    }
    guard best.share > 0 else { return }
    trainer.keep(model, value: best.value)
    func percent(_ value: Double) -> Double { (1000 * value).rounded() / 10 }
    logger.info(
      """
      \(percent(Double(best.share))) % of the last model and the rest of the first do better: dev \
      \(measure.rawValue) \(percent(best.value)), before \(percent(kept))
      """)
  }
}

/// One line of `metrics.jsonl`: what training reported after an update.
public struct MetricsRecord: Sendable, Codable, Equatable {
  /// The phase's name.
  public var phase: String
  /// Updates made in the phase, 0 for what was measured before the first, and updates to make.
  public var step: Int, steps: Int
  /// When, in seconds since 1970.
  public var time: Double
  /// The numbers by name; a slash separates a group from its members.
  public var values: [String: Double]
  /// Which of them the best validation is chosen by, if this update was followed by one.
  public var bestBy: String?
  /// Why the phase ended before its last update, if it did so here.
  public var ending: String?
  /// What the phase ended with, if that was a mean of its first and its last model.
  public var mixing: String?

  /// What there is to keep of the model that a phase began with, if its first update reports it: update 0.
  init?(before progress: TrainingProgress, time: Double) {
    guard let value = progress.validationBefore else { return nil }
    (phase, step, steps, self.time) = (progress.phase, 0, progress.steps, time)
    bestBy = progress.measure.metricName
    values = [progress.measure.metricName: value]
  }

  /// What there is to keep of a progress report; numbers that are not finite are left out.
  init(_ progress: TrainingProgress, time: Double) {
    (phase, step, steps, self.time) = (progress.phase, progress.step, progress.steps, time)
    var values: [String: Double] = [
      "learning_rate": Double(progress.learningRate),
      "gradient_norm": Double(progress.gradientNorm),
      "speed/updates_per_second": progress.stepsPerSecond,
      "speed/tokens_per_second": progress.tokensPerSecond,
    ]
    if progress.samplingShare > 0 { values["speed/sampling_share"] = progress.samplingShare }
    for part in progress.losses {
      let group = part.name == "loss" || part.name == "temperature" ? "" : "loss/"
      values[group + part.name] = Double(part.value)
    }
    for measurement in progress.measurements {
      values[measurement.name] = Double(measurement.value)
    }
    if let validation = progress.validation {
      bestBy = progress.measure.metricName
      values[progress.measure.metricName] = validation
    }
    (ending, mixing) = (progress.earlyEnding, progress.mixing)
    self.values = values.filter { $0.value.isFinite }
  }
}

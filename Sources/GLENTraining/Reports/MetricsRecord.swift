/// One line of `metrics.jsonl`: what training reported after an update.
public struct MetricsRecord: Sendable, Codable, Equatable {
  /// The phase's name.
  public var phase: String
  /// Updates made in the phase, and updates to make.
  public var step: Int, steps: Int
  /// When, in seconds since 1970.
  public var time: Double
  /// The numbers by name; a slash separates a group from its members.
  public var values: [String: Double]

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
    if let validation = progress.validation { values["validation/MRR@10"] = validation }
    for measurement in progress.measurements {
      values[measurement.name] = Double(measurement.value)
    }
    self.values = values.filter { $0.value.isFinite }
  }
}

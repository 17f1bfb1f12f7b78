import GLENModel
import GLENPlatform
import GLENTensor

/// Runs one phase: batches, gradients, clipping, AdamW, checkpoints, validation.
public struct PhaseTrainer {
  /// The optimiser with its moments.
  public var optimizer = AdamW()
  /// The number of updates made.
  public internal(set) var step = 0
  /// Where checkpoints go; nil writes none.
  public var checkpointURL: URL?
  /// What a checkpoint must agree on before it is resumed, by name: the data, say.
  ///
  /// The numbers of a recipe, as JSON, are called `recipe`.
  public var fingerprint: [String: String] = [:]
  /// The recipe as JSON, which a checkpoint keeps to say later what has changed.
  public var recipe = Data()
  /// Measures a model, higher is better; used every `validationInterval` updates.
  public var validate: ((T5Model) throws -> Double)?
  /// Receives every update's progress.
  public var report: (TrainingProgress) -> Void = { _ in }
  /// Asked before every step; true saves a checkpoint and stops with `CancellationError`.
  public var shouldStop: () -> Bool = { Task.isCancelled }

  /// The model that the phase began with, for `mix`; nil once that was asked.
  ///
  /// A checkpoint has it: who resumes may have come to this phase with another.
  var beginning: T5Model?
  /// Asked after the last update for a mean of the first and the last model that does better than the
  /// best validation; nil if none does.
  var mix: ((_ beginning: T5Model, _ last: T5Model, _ best: Double) throws -> Mixture?)?

  /// A mean of a phase's first and last model.
  struct Mixture {
    var model: T5Model
    /// How much of the last model is in it.
    var share: Float
    /// What validation says of it.
    var value: Double
  }

  let key: RandomKey
  /// The best validation so far, the updates before it, and the model that it measured.
  var best: (value: Double, step: Int, model: T5Model)?
  /// How many validations have come after the best one.
  var validationsSinceBest = 0
  /// Whether the phase is over, whatever the recipe now says of its length.
  var hasEnded = false

  /// A trainer before its first update.
  public init(key: RandomKey) {
    self.key = key
  }

  /// Trains to the last step of the objective's schedule.
  ///
  /// With validation, the model ends as it was at its best value, or as the mixture that does better, and
  /// the phase before its last step if the objective's patience is exhausted. A checkpoint is written once the
  /// losses and gradients of its model are known to be sound: one that has diverged never replaces
  /// one that had not.
  ///
  /// - Throws: `TrainingError.diverged` if a loss or the gradients' norm is not a number or beyond
  ///   the recipe's limit (the model is as before that update), or what a validation computes;
  ///   `CancellationError`; `TensorError`.
  public mutating func train(
    _ model: inout T5Model, _ objective: inout some TrainingObjective
  ) throws {
    let o = objective.optimization
    optimizer.decay = o.weightDecay
    let schedule = LearningRateSchedule(
      warmupSteps: o.warmupSteps, steps: o.steps, shape: o.schedule)
    let clock = ContinuousClock()
    var recent = [Moment(clock.now, objective)]
    let firstStep = step
    // The file that it came from would otherwise stay mapped beside the copies, until the last of them.
    if step < o.steps, !hasEnded {
      try model.makeUnique()
      try optimizer.makeMoments(for: model)
    }
    while step < o.steps, !hasEnded {
      let stops = shouldStop()
      let isDue = o.checkpointInterval > 0 && step > firstStep && step % o.checkpointInterval == 0
      let memory = stops || isDue ? objective.memory : nil
      let (losses, gradients, norm) = try soundGradients(of: model, &objective, update: step)
      if let memory { try saveCheckpoint(model, objective, memory: memory) }
      if stops { throw CancellationError() }
      let share = 1 / Float(o.accumulation)
      if step == 0, let validate, o.validationInterval > 0 {
        // A phase that never does better than what it began with changes nothing.
        best = (try sound(objective) { try validate(model) }, 0, model)
      }
      let before = step == 0 ? best?.value : nil
      let factor = schedule.factor(at: step)
      let clipping = o.clippingNorm > 0 && norm > o.clippingNorm ? o.clippingNorm / norm : 1
      try optimizer.update(&model, gradients, gradientScale: share * clipping) { name in
        factor * (name.hasPrefix("decoder.") ? o.decoderLearningRate : o.learningRate)
      }
      step += 1

      var progress = TrainingProgress(
        phase: objective.name, step: step, steps: o.steps, losses: losses,
        learningRate: factor * o.learningRate, gradientNorm: norm, stepsPerSecond: 0)
      (progress.validationBefore, progress.measure) = (before, o.bestBy)
      if let validate, o.validationInterval > 0,
        step % o.validationInterval == 0 || step == o.steps
      {
        let value = try sound(objective) { try validate(model) }
        progress.validation = value
        if value > best?.value ?? -.infinity {
          best = (value, step, model)
          validationsSinceBest = 0
        } else {
          validationsSinceBest += 1
        }
        progress.bestStep = best?.step
        if o.patience > 0, validationsSinceBest >= o.patience {
          progress.ending = .noImprovement(validations: validationsSinceBest)
        }
      }
      if step == o.steps { progress.ending = .allUpdates }
      recent = recent.suffix(49) + [Moment(clock.now, objective)]
      Moment.addRates(over: recent, to: &progress)
      hasEnded = progress.ending != nil
      if hasEnded { progress.mixture = try mixBeginning(with: model, objective) }
      report(progress)
    }
    if let best {
      model = best.model
    } else if step > firstStep {
      // No loss and no validation has seen what the last update made.
      var copy = objective
      _ = try soundGradients(of: model, &copy, update: step - 1)
    }
    hasEnded = true
  }

  /// Puts a mixture in the place of the best model, if one does better.
  private mutating func mixBeginning(
    with last: T5Model, _ objective: some TrainingObjective
  ) throws -> TrainingProgress.Mixture? {
    guard let beginning, let mix, let best else { return nil }
    self.beginning = nil
    guard let mixture = try sound(objective, { try mix(beginning, last, best.value) }) else {
      return nil
    }
    self.best = (mixture.value, best.step, mixture.model)
    return TrainingProgress.Mixture(share: mixture.share, validation: mixture.value)
  }

  /// What rates are computed from.
  private struct Moment {
    var time: ContinuousClock.Instant
    var tokens: Int
    var sampling: Duration

    init(_ time: ContinuousClock.Instant, _ objective: some TrainingObjective) {
      (self.time, tokens, sampling) = (time, objective.tokenCount, objective.samplingDuration)
    }

    static func addRates(over moments: [Moment], to progress: inout TrainingProgress) {
      let (first, last) = (moments[0], moments[moments.count - 1])
      let seconds = max((last.time - first.time) / .seconds(1), 1e-9)
      progress.stepsPerSecond = Double(moments.count - 1) / seconds
      progress.tokensPerSecond = Double(last.tokens - first.tokens) / seconds
      progress.samplingShare = (last.sampling - first.sampling) / .seconds(1) / seconds
    }
  }
}

import GLENModel
import GLENTensor

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// Runs one phase: batches, gradients, clipping, AdamW, checkpoints, validation.
public struct PhaseTrainer {
  /// The optimiser with its moments.
  public var optimizer = AdamW()
  /// The number of updates made.
  public private(set) var step = 0
  /// Where checkpoints go; nil writes none.
  public var checkpointURL: URL?
  /// What a checkpoint must agree on before it is resumed: the resolved recipe, say.
  public var fingerprint = ""
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
  private var best: (value: Double, step: Int, model: T5Model)?

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
  ///   the recipe's limit (the model is as before that update); `CancellationError`; `TensorError`.
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
    if step < o.steps {
      try model.makeUnique()
      try optimizer.makeMoments(for: model)
    }
    while step < o.steps, !isExhausted(o) {
      let stops = shouldStop()
      let isDue = o.checkpointInterval > 0 && step > firstStep && step % o.checkpointInterval == 0
      let memory = stops || isDue ? objective.memory : nil
      let (losses, gradients, norm) = try soundGradients(of: model, &objective)
      if let memory { try saveCheckpoint(model, objective, memory: memory) }
      if stops { throw CancellationError() }
      let share = 1 / Float(o.accumulation)
      if step == 0, let validate, o.validationInterval > 0 {
        // A phase that never does better than what it began with changes nothing.
        best = (try validate(model), 0, model)
      }
      let factor = schedule.factor(at: step)
      let clipping = o.clippingNorm > 0 && norm > o.clippingNorm ? o.clippingNorm / norm : 1
      try optimizer.update(&model, gradients, gradientScale: share * clipping) { name in
        factor * (name.hasPrefix("decoder.") ? o.decoderLearningRate : o.learningRate)
      }
      step += 1

      var progress = TrainingProgress(
        phase: objective.name, step: step, steps: o.steps, losses: losses,
        learningRate: factor * o.learningRate, gradientNorm: norm, stepsPerSecond: 0)
      if let validate, o.validationInterval > 0,
        step % o.validationInterval == 0 || step == o.steps
      {
        let value = try validate(model)
        (progress.validation, progress.measure) = (value, o.bestBy)
        if value > best?.value ?? -.infinity { best = (value, step, model) }
        progress.bestStep = best?.step
      }
      if step == o.steps {
        progress.ending = .allUpdates
      } else if isExhausted(o) {
        progress.ending = .noImprovement(validations: o.patience)
      }
      recent.append(Moment(clock.now, objective))
      if recent.count > 50 { recent.removeFirst() }
      let (first, last) = (recent[0], recent[recent.count - 1])
      let seconds = max((last.time - first.time) / .seconds(1), 1e-9)
      progress.stepsPerSecond = Double(recent.count - 1) / seconds
      progress.tokensPerSecond = Double(last.tokens - first.tokens) / seconds
      progress.samplingShare = (last.sampling - first.sampling) / .seconds(1) / seconds
      if progress.ending != nil { progress.mixture = try mixBeginning(with: model) }
      report(progress)
    }
    if let best { model = best.model }
  }

  /// Puts a mixture in the place of the best model, if one does better.
  private mutating func mixBeginning(with last: T5Model) throws -> TrainingProgress.Mixture? {
    guard let beginning, let mix, let best else { return nil }
    self.beginning = nil
    guard let mixture = try mix(beginning, last, best.value) else { return nil }
    // When the phase has ended follows from the step of the best validation, which stays.
    self.best = (mixture.value, best.step, mixture.model)
    return TrainingProgress.Mixture(share: mixture.share, validation: mixture.value)
  }

  /// Whether as many validations as the patience allows have come after the best one.
  ///
  /// They follow from the step and the best one's, which a checkpoint has, so that a phase that has
  /// ended early has also ended when it is resumed.
  private func isExhausted(_ o: Recipe.Optimization) -> Bool {
    guard o.patience > 0, o.validationInterval > 0, let best else { return false }
    return step / o.validationInterval - best.step / o.validationInterval >= o.patience
  }

  /// What rates are computed from.
  private struct Moment {
    var time: ContinuousClock.Instant
    var tokens: Int
    var sampling: Duration

    init(_ time: ContinuousClock.Instant, _ objective: some TrainingObjective) {
      (self.time, tokens, sampling) = (time, objective.tokenCount, objective.samplingDuration)
    }
  }
}

extension PhaseTrainer {
  /// Writes everything that the run needs to go on, in one file that is replaced at once.
  ///
  /// - Parameter memory: the objective's, as it was before it computed gradients of this model.
  /// - Throws: `TrainingError.notFinite` for a model that no run can go on from.
  func saveCheckpoint(
    _ model: T5Model, _ objective: some TrainingObjective, memory: [Int32]
  ) throws {
    guard let checkpointURL else { return }
    if let name = try model.nameOfNonFiniteParameter() {
      throw TrainingError.notFinite(weight: name)
    }
    var contents: [(name: String, content: SafetensorsFile.Content)] = []
    for (name, tensor) in model.parameters { contents.append((name, .float(tensor))) }
    for (name, moments) in optimizer.moments.sorted(by: { $0.key < $1.key }) {
      contents.append(("first/" + name, .float(moments.first)))
      contents.append(("second/" + name, .float(moments.second)))
    }
    if let best {
      for (name, tensor) in best.model.parameters {
        contents.append(("best/" + name, .float(tensor)))
      }
    }
    if let beginning {
      for (name, tensor) in beginning.parameters {
        contents.append(("beginning/" + name, .float(tensor)))
      }
    }
    contents.append(("memory", .integers(memory, shape: [memory.count])))
    try SafetensorsFile.write(
      contents,
      metadata: [
        "phase": objective.name, "step": String(step), "updates": String(optimizer.step),
        "moments": String(optimizer.moments.count), "fingerprint": fingerprint,
        "best": best.map { String($0.value.bitPattern) } ?? "",
        "bestStep": best.map { String($0.step) } ?? "",
      ], to: checkpointURL)
  }

  /// Goes on from a checkpoint of the same phase and recipe.
  ///
  /// - Returns: false if the checkpoint belongs to another phase; nothing is changed then.
  /// - Throws: `TrainingError.checkpoint` if it belongs to another recipe or is damaged.
  mutating func resume(
    _ model: inout T5Model, _ objective: inout some TrainingObjective, from url: URL
  ) throws -> Bool {
    let file = try SafetensorsFile(contentsOf: url)
    guard file.metadata["phase"] == objective.name else { return false }
    guard file.metadata["fingerprint"] == fingerprint else {
      throw TrainingError.checkpoint(
        path: url.path,
        reason: "belongs to another recipe, corpus or start; resume with the same ones")
    }
    guard let step = file.metadata["step"].flatMap({ Int($0) }),
      let updates = file.metadata["updates"].flatMap({ Int($0) }),
      (0...max(objective.optimization.steps, 0)).contains(step), updates >= 0
    else { throw TrainingError.checkpoint(path: url.path, reason: "does not say its step") }
    func load(_ prefix: String) throws -> T5Model {
      var copy = model
      try copy.visitParameters { name, tensor in
        guard file.shape(of: prefix + name) == tensor.shape else {
          throw TrainingError.checkpoint(
            path: url.path, reason: "\(prefix)\(name) is missing or has another shape")
        }
        tensor = try file.tensor(prefix + name, on: tensor.backend)
      }
      return copy
    }
    let loaded = try load("")
    var moments: [String: AdamW.Moments] = [:]
    for (name, tensor) in loaded.parameters where file.shape(of: "first/" + name) != nil {
      guard file.shape(of: "first/" + name) == tensor.shape,
        file.shape(of: "second/" + name) == tensor.shape
      else {
        throw TrainingError.checkpoint(path: url.path, reason: "the moments of \(name) do not fit")
      }
      moments[name] = AdamW.Moments(
        first: try file.tensor("first/" + name, on: tensor.backend),
        second: try file.tensor("second/" + name, on: tensor.backend))
    }
    guard file.metadata["moments"] == String(moments.count) else {
      throw TrainingError.checkpoint(path: url.path, reason: "lacks moments of the optimiser")
    }
    var best: (value: Double, step: Int, model: T5Model)?
    if let text = file.metadata["best"], !text.isEmpty {
      guard let value = UInt64(text), let step = file.metadata["bestStep"].flatMap({ Int($0) })
      else {
        throw TrainingError.checkpoint(path: url.path, reason: "does not say its best value")
      }
      best = (Double(bitPattern: value), step, try load("best/"))
    }
    // A phase that has ended has none, nor one that nothing was to be mixed in.
    let hasBeginning = file.names.contains { $0.hasPrefix("beginning/") }
    let beginning = hasBeginning ? try load("beginning/") : nil
    let memory = try file.integers("memory").values
    guard memory.count == objective.memory.count else {
      throw TrainingError.checkpoint(
        path: url.path,
        reason: "remembers \(memory.count) numbers; expected \(objective.memory.count)")
    }
    // Nothing can fail from here on.
    self.best = best
    self.beginning = beginning
    objective.memory = memory
    model = loaded
    optimizer.moments = moments
    optimizer.step = updates
    self.step = step
    return true
  }
}

import GLENModel
import GLENPlatform
import GLENTensor

extension PhaseTrainer {
  /// Writes everything that the run needs to go on, in one file that is replaced at once; the one before it
  /// stays beside it.
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
    var metadata = [
      "phase": objective.name, "step": String(step), "updates": String(optimizer.step),
      "moments": String(optimizer.moments.count),
      "recipe": String(decoding: recipe, as: UTF8.self), "ended": hasEnded ? "yes" : "",
      "best": best.map { String($0.value.bitPattern) } ?? "",
      "bestStep": best.map { String($0.step) } ?? "",
      "validationsSinceBest": String(validationsSinceBest),
    ]
    for (name, part) in fingerprint { metadata[Checkpoint.fingerprintPrefix + name] = part }
    try Checkpoint.write(contents, metadata: metadata, to: checkpointURL)
  }

  /// Goes on from a checkpoint of the same phase, data and fixed part of the recipe.
  ///
  /// - Returns: false if the checkpoint belongs to another phase; nothing is changed then.
  /// - Throws: `TrainingError.checkpoint` if it belongs to another recipe or lacks something.
  mutating func resume(
    _ model: inout T5Model, _ objective: inout some TrainingObjective, from checkpoint: Checkpoint
  ) throws -> Bool {
    let (file, url) = (checkpoint.file, checkpoint.url)
    guard checkpoint.phase == objective.name else { return false }
    guard !checkpoint.fingerprint.isEmpty || fingerprint.isEmpty else {
      throw TrainingError.checkpoint(
        path: url.path,
        reason:
          "is of another version of glen; end the run with that one, or delete its files checkpoint.* "
          + "to begin anew")
    }
    let others = checkpoint.fingerprint.merging(fingerprint) { $0 == $1 ? "" : $1 }
      .filter { !$0.value.isEmpty }.keys.sorted()
    guard others.isEmpty else {
      func numbers(_ parts: [String: String]) -> Data { Data((parts["recipe"] ?? "").utf8) }
      let changes = Recipe.differences(
        from: numbers(checkpoint.fingerprint), to: numbers(fingerprint))
      throw TrainingError.checkpoint(
        path: url.path,
        reason:
          "belongs to a run with another \(others.joined(separator: ", another ")); resume with the "
          + "same" + (changes.isEmpty ? "" : " (\(changes.joined(separator: "; ")))"))
    }
    guard let step = file.metadata["step"].flatMap({ Int($0) }),
      let updates = file.metadata["updates"].flatMap({ Int($0) }),
      step >= 0, updates >= 0
    else { throw TrainingError.checkpoint(path: url.path, reason: "does not say its step") }
    guard checkpoint.hasEnded || step < objective.optimization.steps else {
      throw TrainingError.checkpoint(
        path: url.path,
        reason:
          "has \(step) updates of the \(objective.name) phase; expected fewer than the recipe's "
          + "steps, \(objective.optimization.steps)")
    }
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
    // Who validates no more keeps the last model.
    if let text = file.metadata["best"], !text.isEmpty,
      objective.optimization.validationInterval > 0
    {
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
    hasEnded = checkpoint.hasEnded
    validationsSinceBest = best == nil ? 0 : Int(file.metadata["validationsSinceBest"] ?? "") ?? 0
    objective.memory = memory
    model = loaded
    optimizer.moments = moments
    optimizer.step = updates
    self.step = step
    return true
  }
}

import GLENIndex
import GLENModel
import GLENTensor

extension PhaseTrainer {
  /// The mean losses, the sum of the gradients and the norm of their mean, over the batches of one update,
  /// counted from 0.
  ///
  /// - Throws: `TrainingError.diverged` that names the batch: the one whose loss is not a number or
  ///   beyond the limit, or all of the update's where their gradients are.
  func soundGradients(
    of model: T5Model, _ objective: inout some TrainingObjective, update: Int
  ) throws -> (losses: [LossPart], gradients: Gradients, norm: Float) {
    let o = objective.optimization
    let batches = Self.batches(ofUpdate: update, o)
    var losses: [LossPart] = []
    var gradients = Gradients()
    for batch in batches {
      let own = try objective.gradients(of: model, batch: batch, key: key.split(batch))
      let loss = own.losses.first?.value ?? .nan
      guard Self.isSound(loss, limit: o.largestLoss) else {
        throw diverged(objective, "a loss of \(loss)", batches: batch..<batch + 1)
      }
      if batch == batches.lowerBound {
        (losses, gradients) = own
      } else {
        try gradients.add(own.gradients)
        for index in losses.indices { losses[index].value += own.losses[index].value }
      }
    }
    let share = 1 / Float(o.accumulation)
    for index in losses.indices { losses[index].value *= share }
    let norm = try gradients.norm() * share
    guard Self.isSound(norm, limit: o.largestGradientNorm) else {
      throw diverged(objective, "gradients of norm \(norm)", batches: batches)
    }
    return (losses, gradients, norm)
  }

  /// What a validation computes; numbers that overflow there, and were sound in the last update's losses,
  /// are a divergence of that update.
  func sound<Value>(
    _ objective: some TrainingObjective, _ measure: () throws -> Value
  ) throws -> Value {
    func diverged() -> TrainingError {
      self.diverged(
        objective, "numbers that overflow in validation",
        batches: Self.batches(ofUpdate: max(step - 1, 0), objective.optimization))
    }
    do {
      return try measure()
    } catch IndexError.invalidIdentifiers {
      throw diverged()
    } catch IndexError.invalidScores {
      throw diverged()
    }
  }

  private static func batches(ofUpdate update: Int, _ o: Recipe.Optimization) -> Range<Int> {
    update * o.accumulation..<(update + 1) * o.accumulation
  }

  private static func isSound(_ value: Float, limit: Float) -> Bool {
    value.isFinite && (limit == 0 || value <= limit)
  }

  /// The error for some batches, with the names of their first examples.
  private func diverged(
    _ objective: some TrainingObjective, _ what: String, batches: Range<Int>
  ) -> TrainingError {
    let names = batches.flatMap { objective.exampleNames(inBatch: $0) }
    let shown = names.prefix(6).joined(separator: ", ")
    let rest = names.count > 6 ? " and \(names.count - 6) more" : ""
    let numbers =
      batches.count == 1
      ? "batch \(batches.lowerBound)" : "batches \(batches.lowerBound) to \(batches.upperBound - 1)"
    return .diverged(
      phase: objective.name, step: step, what: what,
      examples: names.isEmpty ? numbers : "\(numbers) (\(shown)\(rest))")
  }
}

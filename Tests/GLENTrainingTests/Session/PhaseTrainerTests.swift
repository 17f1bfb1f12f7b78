import Foundation
import GLENModel
import GLENTensor
import Testing

@testable import GLENTraining

@Suite("Training a phase") struct PhaseTrainerTests {
  private static func recipe(_ edit: (inout Recipe.Optimization) -> Void) -> Recipe {
    var recipe = ToyCorpus.recipe
    edit(&recipe.keywords.optimization)
    edit(&recipe.refinement.optimization)
    return recipe
  }

  private static func meanLosses(
    _ objective: inout some TrainingObjective, part: String
  ) throws -> (first: Float, last: Float) {
    var model = try ToyCorpus.model()
    var trainer = PhaseTrainer(key: RandomKey(seed: 1))
    var losses: [Float] = []
    trainer.report = { progress in
      losses.append(progress.losses.first { $0.name == part }?.value ?? .nan)
      #expect(progress.step == losses.count)
      #expect(progress.stepsPerSecond > 0)
      #expect(progress.secondsLeft >= 0)
    }
    try trainer.train(&model, &objective)
    return (losses.prefix(5).reduce(0, +) / 5, losses.suffix(5).reduce(0, +) / 5)
  }

  @Test func theKeywordLossFalls() throws {
    let recipe = Self.recipe {
      ($0.steps, $0.batchSize, $0.accumulation, $0.dropout) = (60, 32, 1, 0)
      ($0.learningRate, $0.decoderLearningRate) = (0.02, 0.02)
    }
    var objective = try ToyCorpus.keywords(recipe)
    let (first, last) = try Self.meanLosses(&objective, part: "loss")
    #expect(last < 0.75 * first, "from \(first) to \(last)")
  }

  @Test func theRefinementLossFalls() throws {
    var recipe = Self.recipe {
      ($0.steps, $0.batchSize, $0.accumulation, $0.dropout) = (60, 20, 1, 0)
      ($0.learningRate, $0.decoderLearningRate) = (0.01, 0.01)
    }
    recipe.refinement.anneals = false
    recipe.refinement.lowestTemperature = 0.5
    var objective = try ToyCorpus.refinement(recipe)
    let (first, last) = try Self.meanLosses(&objective, part: "loss")
    #expect(last < 0.9 * first, "from \(first) to \(last)")
  }

  // MARK: Gradients

  /// A batch of 16 in two halves is the batch of 16.
  @Test func accumulationIsALargerBatch() throws {
    func run(_ batchSize: Int, _ accumulation: Int) throws -> (TrainingProgress?, PhaseTrainer) {
      var recipe = Self.recipe {
        ($0.steps, $0.batchSize, $0.accumulation) = (1, batchSize, accumulation)
        ($0.dropout, $0.clippingNorm) = (0, 0)
      }
      // Only questions, whose examples follow from the order alone.
      (recipe.keywords.documentWeight, recipe.keywords.chunkWeight) = (0, 0)
      recipe.keywords.tokenDropRate = 0
      var objective = try ToyCorpus.keywords(recipe)
      var model = try ToyCorpus.model()
      var trainer = PhaseTrainer(key: RandomKey(seed: 1))
      var progress: TrainingProgress?
      trainer.report = { progress = $0 }
      try trainer.train(&model, &objective)
      return (progress, trainer)
    }
    let (whole, parts) = (try run(16, 1), try run(8, 2))
    let (a, b) = (try #require(whole.0), try #require(parts.0))
    #expect(abs(a.losses[0].value - b.losses[0].value) < 1e-5 * a.losses[0].value)
    #expect(abs(a.gradientNorm - b.gradientNorm) < 1e-4 * a.gradientNorm)
    #expect(whole.1.optimizer.moments.count == parts.1.optimizer.moments.count)
    for (name, moments) in whole.1.optimizer.moments {
      let other = try parts.1.optimizer.moments[name]?.first.values() ?? []
      #expect(relativeDifference(other, try moments.first.values()) < 1e-3, "\(name)")
    }
  }

  /// An objective with gradients of the test's choice.
  private struct Given: TrainingObjective {
    var name = "given"
    var optimization: Recipe.Optimization
    var memory: [Int32] = []
    var loss: (Int) -> Float = { _ in 1 }
    var gradient: (Int) -> Float = { _ in 1 }
    var calls = 0

    init(_ edit: (inout Recipe.Optimization) -> Void = { _ in }) {
      optimization =
        PhaseTrainerTests.recipe {
          ($0.steps, $0.accumulation) = (4, 1)
          edit(&$0)
        }.keywords.optimization
    }

    mutating func gradients(
      of model: T5Model, batch: Int, key: RandomKey
    ) throws -> (losses: [LossPart], gradients: Gradients) {
      calls += 1
      var gradients = Gradients()
      gradients["shared.weight"] = try Tensor(repeating: gradient(batch), shape: model.table.shape)
      return ([LossPart(name: "loss", value: loss(batch))], gradients)
    }
  }

  @Test(arguments: [(0, 1), (1, 1), (10_000, 1), (1, 3)] as [(Float, Int)])
  func gradientsAreClippedToTheirNorm(limit: Float, accumulation: Int) throws {
    var objective = Given {
      ($0.steps, $0.accumulation, $0.clippingNorm) = (1, accumulation, limit)
    }
    var model = try ToyCorpus.model()
    var trainer = PhaseTrainer(key: RandomKey(seed: 1))
    var norm: Float = 0
    trainer.report = { norm = $0.gradientNorm }
    try trainer.train(&model, &objective)
    #expect(objective.calls == accumulation)
    // 128 x 16 ones.
    let expected = Float(2048).squareRoot()
    #expect(abs(norm - expected) < 1e-3)
    let scale = limit > 0 ? min(1, limit / expected) : 1
    let moments = try #require(trainer.optimizer.moments["shared.weight"])
    #expect(try moments.first.values().allSatisfy { abs($0 - 0.1 * scale) < 1e-5 })
  }

  @Test(arguments: [Float.nan, .infinity])
  func whatIsNotFiniteStopsBeforeTheUpdate(value: Float) throws {
    for isLoss in [true, false] {
      var objective = Given()
      if isLoss {
        objective.loss = { $0 == 2 ? value : 1 }
      } else {
        objective.gradient = { $0 == 2 ? value : 1 }
      }
      var model = try ToyCorpus.model()
      var trainer = PhaseTrainer(key: RandomKey(seed: 1))
      var seen: [String: [UInt32]] = [:]
      // The last that validation sees is the model after the second update.
      objective.optimization.validationInterval = 1
      trainer.validate = { model in
        seen = try bits(of: model)
        return 0
      }
      #expect(
        throws: TrainingError.diverged(
          phase: "given", step: 2,
          what: isLoss ? "a loss of \(value)" : "gradients of norm \(value)",
          examples: "batch 2")
      ) { try trainer.train(&model, &objective) }
      #expect(trainer.step == 2)
      #expect(try bits(of: model) == seen, "the model changed")
    }
  }

  @Test func weightsThatAreNoNumbersAreAnErrorAndStay() throws {
    for name in [
      "shared.weight", "encoder.final_layer_norm.weight", "decoder.final_layer_norm.weight",
    ] {
      var model = try ToyCorpus.model()
      try model.visitParameters { other, tensor in
        guard other == name else { return }
        var values = try tensor.values()
        values[values.count / 2] = .nan
        tensor = try Tensor(values, shape: tensor.shape)
      }
      let before = try bits(of: model)
      var trainer = PhaseTrainer(key: RandomKey(seed: 1))
      var keywords = try ToyCorpus.keywords()
      var error = #expect(throws: TrainingError.self) { try trainer.train(&model, &keywords) }
      #expect(error?.description.contains("the keywords phase diverged at step 0;") == true)
      var refinement = try ToyCorpus.refinement()
      error = #expect(throws: TrainingError.self) { try trainer.train(&model, &refinement) }
      #expect(error?.description.contains("the refine phase diverged at step 0;") == true)
      #expect(try bits(of: model) == before, "the model changed")
    }
  }

  @Test func theDecoderHasItsOwnRate() throws {
    let recipe = Self.recipe {
      ($0.steps, $0.warmupSteps, $0.weightDecay) = (1, 0, 0)
      ($0.learningRate, $0.decoderLearningRate) = (0.01, 0.001)
    }
    var objective = try ToyCorpus.keywords(recipe)
    var model = try ToyCorpus.model()
    let before = Dictionary(uniqueKeysWithValues: model.parameters.map { ($0.name, $0.tensor) })
    var trainer = PhaseTrainer(key: RandomKey(seed: 1))
    try trainer.train(&model, &objective)
    for (name, tensor) in model.parameters {
      let moved = zip(try tensor.values(), try before[name]?.values() ?? []).map { abs($0 - $1) }
      // The first step of Adam is the rate itself, wherever there is a gradient.
      let expected: Float = name.hasPrefix("decoder.") ? 0.001 : 0.01
      #expect(abs((moved.max() ?? 0) - expected) < 0.02 * expected, "\(name)")
    }
  }

  @Test func theBestModelIsKept() throws {
    var objective = Given {
      ($0.steps, $0.validationInterval) = (7, 2)
    }
    var model = try ToyCorpus.model()
    var trainer = PhaseTrainer(key: RandomKey(seed: 1))
    var seen: [[String: [UInt32]]] = []
    trainer.validate = { model in
      seen.append(try bits(of: model))
      return [0.05, 0.2, 0.9, 0.9, 0.1][seen.count - 1]
    }
    var reported: [Int] = []
    trainer.report = { if $0.validation != nil { reported.append($0.step) } }
    try trainer.train(&model, &objective)
    #expect(reported == [2, 4, 6, 7])
    // The first of two equals; the very first is the model before its first step.
    #expect(try bits(of: model) == seen[2])
    #expect(Set(seen).count == 5)
  }

  /// Validations before the first update, and after each second one.
  @Test(
    arguments: [
      (0, 8, 2), (1, 4, 2), (2, 8, 2), (3, 8, 2), (9, 8, 2),
    ] as [(Int, Int, Int)])
  func patienceEndsAPhase(patience: Int, last: Int, best: Int) throws {
    var objective = Given {
      ($0.steps, $0.validationInterval, $0.patience) = (8, 2, patience)
    }
    var model = try ToyCorpus.model()
    var trainer = PhaseTrainer(key: RandomKey(seed: 1))
    var seen: [[String: [UInt32]]] = []
    let values = patience == 2 ? [0.1, 0.5, 0.4, 0.6, 0.6] : [0.1, 0.5, 0.5, 0.4, 0.3]
    trainer.validate = { model in
      seen.append(try bits(of: model))
      return values[seen.count - 1]
    }
    var reports: [TrainingProgress] = []
    trainer.report = { reports.append($0) }
    try trainer.train(&model, &objective)
    #expect(trainer.step == last)
    let endings = reports.map(\.ending)
    #expect(endings.dropLast().allSatisfy { $0 == nil })
    // At the very last update, all are made.
    #expect(
      endings.last == (last == 8 ? .allUpdates : .noImprovement(validations: patience)))
    #expect(reports.last?.secondsLeft == 0)
    let expected = "MRR@10 was best after 2 updates and not better in 1 validation since"
    #expect(reports.last?.earlyEnding == (last == 8 ? nil : expected))
    let isBest = try bits(of: model) == seen[patience == 2 ? 3 : best / 2]
    #expect(isBest)
    // Once ended, it stays ended.
    try trainer.train(&model, &objective)
    #expect(trainer.step == last && reports.count == last)
  }

  @Test func aPhaseThatOnlyHarmsChangesNothing() throws {
    var objective = Given {
      ($0.steps, $0.validationInterval) = (4, 2)
    }
    var model = try ToyCorpus.model()
    let before = try bits(of: model)
    var trainer = PhaseTrainer(key: RandomKey(seed: 1))
    var value = 1.0
    trainer.validate = { _ in
      value /= 2
      return value
    }
    try trainer.train(&model, &objective)
    #expect(try bits(of: model) == before)
  }

  @Test func noStepsLeaveTheModel() throws {
    var objective = Given { $0.steps = 0 }
    var model = try ToyCorpus.model()
    let before = try bits(of: model)
    var trainer = PhaseTrainer(key: RandomKey(seed: 1))
    try trainer.train(&model, &objective)
    #expect(try bits(of: model) == before, "the model changed")
  }
}

import Foundation
import GLENIndex
import GLENModel
import GLENTensor
import Testing

@testable import GLENTraining

/// Training that goes wrong stops, says where, and leaves what was right.
@Suite("Divergence") struct DivergenceTests {
  /// Trains with a checkpoint after every update and returns the error that ends it.
  private static func error(
    _ objective: inout some TrainingObjective, _ model: inout T5Model, checkpoint: URL
  ) -> TrainingError? {
    var trainer = PhaseTrainer(key: RandomKey(seed: 1))
    trainer.checkpointURL = checkpoint
    return #expect(throws: TrainingError.self) { try trainer.train(&model, &objective) }
  }

  private static func recipe(rate: Float, _ edit: (inout Recipe.Optimization) -> Void) -> Recipe {
    var recipe = ToyCorpus.recipe
    for path in [\Recipe.keywords.optimization, \.refinement.optimization] {
      (recipe[keyPath: path].learningRate, recipe[keyPath: path].decoderLearningRate) = (rate, rate)
      (recipe[keyPath: path].steps, recipe[keyPath: path].accumulation) = (400, 2)
      (recipe[keyPath: path].schedule, recipe[keyPath: path].checkpointInterval) = (.constant, 1)
      edit(&recipe[keyPath: path])
    }
    return recipe
  }

  /// An absurd rate, which no recipe may have: the loss passes the limit within some steps, the error
  /// names step and batch, and the checkpoint is of a model whose loss is below the limit.
  @Test(arguments: ["keywords", "refine"])
  func anAbsurdRateStopsAndLeavesAGoodCheckpoint(phase: String) throws {
    let folder = try TemporaryFolder()
    let url = folder.url.appendingPathComponent("checkpoint.safetensors")
    let recipe = Self.recipe(rate: 100) {
      ($0.warmupSteps, $0.batchSize, $0.largestGradientNorm) = (400, 8, 0)
    }
    func run(_ objective: some TrainingObjective) throws {
      var (model, objective) = (try ToyCorpus.model(), objective)
      let error = Self.error(&objective, &model, checkpoint: url)
      guard case .diverged(phase, let step, let what, let examples)? = error else {
        Issue.record("unexpected error: \(String(describing: error))")
        return
      }
      #expect(step > 0 && what.hasPrefix("a loss of "))
      // One of the two batches of that step, with ids of six of its examples.
      let batch = try #require(
        (2 * step...2 * step + 1).first { examples.hasPrefix("batch \($0) (") })
      let names = objective.exampleNames(inBatch: batch)
      #expect(names.count > 6 && Set(names).count > 1)
      #expect(examples.contains("(" + names.prefix(6).joined(separator: ", ")))
      #expect(examples.hasSuffix(" and \(names.count - 6) more)"))
      #expect(error?.description.contains("step \(step)") == true)

      let file = try SafetensorsFile(contentsOf: url)
      let saved = try #require(file.metadata["step"].flatMap { Int($0) })
      #expect(saved < step)
      var (trainer, resumed) = (PhaseTrainer(key: RandomKey(seed: 1)), try ToyCorpus.model(seed: 9))
      #expect(try trainer.resume(&resumed, &objective, from: Checkpoint(contentsOf: url)))
      _ = try trainer.soundGradients(of: resumed, &objective, update: trainer.step)
    }
    if phase == "keywords" {
      try run(try ToyCorpus.keywords(recipe))
    } else {
      try run(try ToyCorpus.refinement(recipe))
    }
  }

  /// Weights that turn into NaN after some updates: the checkpoint is the last with numbers.
  @Test func plantedNaNLeavesTheLastGoodCheckpoint() throws {
    let folder = try TemporaryFolder()
    let url = folder.url.appendingPathComponent("checkpoint.safetensors")
    let recipe = Self.recipe(rate: 1e-3) { _ in }
    var objective = Poisoned(inner: try ToyCorpus.keywords(recipe), batch: 7)
    var model = try ToyCorpus.model()
    let error = Self.error(&objective, &model, checkpoint: url)
    guard case .diverged("keywords", 4, let what, let examples)? = error else {
      Issue.record("unexpected error: \(String(describing: error))")
      return
    }
    // The second batch of the fourth update gave the weights; the next batch shows them.
    #expect(what == "a loss of nan" && examples.hasPrefix("batch 8 ("))
    let file = try SafetensorsFile(contentsOf: url)
    #expect(file.metadata["step"] == "3")
    for name in file.names where !["memory", "checksum"].contains(name) {
      #expect(try file.tensor(name).values().allSatisfy { $0.isFinite }, "\(name)")
    }
  }

  /// The last update's batches gave the weights, and no later batch shows them.
  @Test func aModelRuinedByTheLastUpdateIsNotReturned() throws {
    let folder = try TemporaryFolder()
    let url = folder.url.appendingPathComponent("checkpoint.safetensors")
    let recipe = Self.recipe(rate: 1e-3) { $0.steps = 4 }
    // With 8 batches, the ninth is that of the check.
    var objective = Poisoned(inner: try ToyCorpus.keywords(recipe), batch: 5, calls: 8)
    var model = try ToyCorpus.model()
    let error = Self.error(&objective, &model, checkpoint: url)
    guard case .diverged("keywords", 4, "a loss of nan", let examples)? = error else {
      Issue.record("unexpected error: \(String(describing: error))")
      return
    }
    #expect(examples.hasPrefix("batch 6 ("))
    #expect(try SafetensorsFile(contentsOf: url).metadata["step"] == "3")
  }

  /// Weights with which losses are numbers and a long document's states are not.
  @Test(arguments: [0, 1, 3]) func whatOverflowsInValidationNamesTheUpdateBefore(step: Int) throws {
    let folder = try TemporaryFolder()
    let url = folder.url.appendingPathComponent("checkpoint.safetensors")
    let recipe = Self.recipe(rate: 1e-3) { $0.validationInterval = 1 }
    var (objective, model) = (try ToyCorpus.keywords(recipe), try ToyCorpus.model())
    var trainer = PhaseTrainer(key: RandomKey(seed: 1))
    trainer.checkpointURL = url
    var validations = 0
    trainer.validate = { model in
      validations += 1
      guard validations > step else { return 0 }
      var large = model
      large.table = try Tensor(repeating: 3e38, shape: model.table.shape)
      let generator = try IdentifierGenerator(model: large, settings: ToyCorpus.settings())
      _ = try generator.identifiers(of: [[3, 4, 1]])
      return 0
    }
    let error = #expect(throws: TrainingError.self) { try trainer.train(&model, &objective) }
    guard case .diverged("keywords", step, let what, let examples)? = error else {
      Issue.record("unexpected error: \(String(describing: error))")
      return
    }
    #expect(what == "numbers that overflow in validation")
    let first = 2 * max(step - 1, 0)
    #expect(examples.hasPrefix("batches \(first) to \(first + 1) ("))
  }

  /// Asks for the gradients of a model whose table a bad batch has made NaN.
  private struct Poisoned: TrainingObjective {
    var inner: KeywordObjective
    let batch: Int
    /// The calls that are sound whatever the batch.
    var calls = 0
    var name: String { inner.name }
    var optimization: Recipe.Optimization { inner.optimization }
    var memory: [Int32] = []

    init(inner: KeywordObjective, batch: Int, calls: Int = 0) {
      (self.inner, self.batch, self.calls) = (inner, batch, calls)
    }

    mutating func gradients(
      of model: T5Model, batch: Int, key: RandomKey
    ) throws -> (losses: [LossPart], gradients: Gradients) {
      var model = model
      calls -= 1
      if batch > self.batch, calls < 0 {
        var values = try model.table.values()
        values[40] = .nan
        model.table = try Tensor(values, shape: model.table.shape)
      }
      return try inner.gradients(of: model, batch: batch, key: key)
    }

    func exampleNames(inBatch batch: Int) -> [String] { inner.exampleNames(inBatch: batch) }
  }

  @Test func gradientsBeyondTheLimitStop() throws {
    let folder = try TemporaryFolder()
    var recipe = Self.recipe(rate: 1e-3) { $0.largestGradientNorm = 1e-6 }
    var (objective, model) = (try ToyCorpus.keywords(recipe), try ToyCorpus.model())
    let url = folder.url.appendingPathComponent("checkpoint.safetensors")
    guard
      case .diverged("keywords", 0, let what, let examples)? = Self.error(
        &objective, &model, checkpoint: url)
    else {
      Issue.record("training went on")
      return
    }
    #expect(what.hasPrefix("gradients of norm ") && examples.hasPrefix("batches 0 to 1 ("))
    // Without a limit nothing stops.
    recipe.keywords.optimization.largestGradientNorm = 0
    recipe.keywords.optimization.steps = 1
    objective = try ToyCorpus.keywords(recipe)
    var trainer = PhaseTrainer(key: RandomKey(seed: 1))
    try trainer.train(&model, &objective)
  }

  /// No checkpoint is ever written of weights that are not numbers.
  @Test func aModelOfNaNIsNotSaved() throws {
    let folder = try TemporaryFolder()
    var trainer = PhaseTrainer(key: RandomKey(seed: 1))
    trainer.checkpointURL = folder.url.appendingPathComponent("checkpoint.safetensors")
    var model = try ToyCorpus.model()
    model.table = try Tensor(repeating: .infinity, shape: model.table.shape)
    let objective = try ToyCorpus.keywords()
    #expect(throws: TrainingError.notFinite(weight: "shared.weight")) {
      try trainer.saveCheckpoint(model, objective, memory: [])
    }
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.url.path).isEmpty)
  }
}

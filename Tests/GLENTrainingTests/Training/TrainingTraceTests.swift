import GLENModel
import GLENTensor
import Testing

@testable import GLENTraining

/// Twenty updates of each phase, beside PyTorch's on the same data in the same order.
@Suite("Training trace") struct TrainingTraceTests {
  struct Trace: Decodable {
    struct Phase<Batch: Decodable>: Decodable {
      var optimization: Numbers
      var batches: [Batch]
      /// Of each update, the whole loss first.
      var losses: [[Float]]
    }
    struct Numbers: Decodable {
      var batchSize: Int, accumulation: Int, warmupSteps: Int
      var learningRate: Float, decoderLearningRate: Float, weightDecay: Float, clippingNorm: Float
    }
    struct KeywordBatch: Decodable {
      var inputs: [[Int32]]
      var targets: [[Int32]]
    }
    struct RefinementBatch: Decodable {
      var queries: [[Int32]]
      var documents: [[Int32]]
    }

    var steps: Int
    var contrastWeight: Float, pointwiseWeight: Float, distanceWeight: Float
    var identifierLength: Int
    var maskedTokens: [Int32]
    var queriesOfAnEpoch: Int
    var keywords: Phase<KeywordBatch>
    var refinement: Phase<RefinementBatch>

    func optimization(_ numbers: Numbers) -> Recipe.Optimization {
      var o = Recipe.Optimization(
        steps: steps, batchSize: numbers.batchSize, learningRate: numbers.learningRate,
        decoderLearningRate: numbers.decoderLearningRate)
      (o.accumulation, o.warmupSteps) = (numbers.accumulation, numbers.warmupSteps)
      (o.weightDecay, o.clippingNorm) = (numbers.weightDecay, numbers.clippingNorm)
      (o.checkpointInterval, o.validationInterval) = (0, 0)
      return o
    }
  }

  /// An objective whose batches were drawn elsewhere.
  private struct Given: TrainingObjective {
    let name = "trace"
    var optimization: Recipe.Optimization
    var memory: [Int32] = []
    var compute: (T5Model, Int) throws -> (losses: [Tensor], gradients: Gradients)

    func gradients(
      of model: T5Model, batch: Int, key: RandomKey
    ) throws -> (losses: [LossPart], gradients: Gradients) {
      let (losses, gradients) = try compute(model, batch)
      return (try losses.map { LossPart(name: "", value: try $0.scalar()) }, gradients)
    }
  }

  private static func train(
    _ model: inout T5Model, _ optimization: Recipe.Optimization,
    _ compute: @escaping (T5Model, Int) throws -> (losses: [Tensor], gradients: Gradients)
  ) throws -> [[Float]] {
    var trainer = PhaseTrainer(key: RandomKey(seed: 1))
    var losses: [[Float]] = []
    trainer.report = { losses.append($0.losses.map(\.value)) }
    var objective = Given(optimization: optimization, compute: compute)
    try trainer.train(&model, &objective)
    return losses
  }

  @Test(arguments: [RefinementLoss.Chunks(), .init(queries: 3, documents: 5)])
  func everyLossIsPyTorchs(chunks: RefinementLoss.Chunks) throws {
    let trace = try TrainingFixture.decoded(Trace.self, "trace.json")
    var model = try TrainingFixture.model()
    let size = model.configuration.vocabularySize

    var keywordLoss = KeywordLoss()
    keywordLoss.contrastWeight = trace.contrastWeight
    let first = try Self.train(&model, trace.optimization(trace.keywords.optimization)) {
      let batch = trace.keywords.batches[$1]
      let packed = try TokenBatch(batch.inputs, vocabularySize: size)
      var found: KeywordLoss.Parts?
      let (total, gradients) = try valueAndGradient(of: $0) { model in
        let parts = try keywordLoss.parts(model, packed, targets: batch.targets)
        found = parts
        return parts.total
      }
      let parts = try #require(found)
      return ([total, parts.keywords, try #require(parts.contrast)], gradients)
    }
    Self.expect(first, trace.keywords.losses, "keywords")

    let settings = IdentifierSettings(
      identifierLength: trace.identifierLength, maskedTokens: trace.maskedTokens)
    let mask = try settings.mask(vocabularySize: size, on: model.backend)
    var loss = RefinementLoss()
    (loss.pointwiseWeight, loss.distanceWeight) = (trace.pointwiseWeight, trace.distanceWeight)
    let optimization = trace.optimization(trace.refinement.optimization)
    let second = try Self.train(&model, optimization) { model, number in
      let batch = trace.refinement.batches[number]
      loss.temperature = TemperatureSchedule().temperature(
        epoch: Double(number * optimization.batchSize) / Double(trace.queriesOfAnEpoch))
      let (parts, gradients) = try loss.gradients(
        of: model, queries: batch.queries, documents: batch.documents, settings: settings,
        mask: mask, chunks: chunks)
      return ([parts.total, parts.pairwise, parts.retrieval, parts.distance], gradients)
    }
    Self.expect(second, trace.refinement.losses, "refinement")
  }

  private static func expect(_ got: [[Float]], _ expected: [[Float]], _ phase: String) {
    #expect(got.count == 20 && expected.count == 20)
    for (step, (got, expected)) in zip(got, expected).enumerated() {
      #expect(got.count == expected.count)
      for (got, expected) in zip(got, expected) {
        #expect(abs(got - expected) < 1e-4, "\(phase), step \(step): \(got), not \(expected)")
      }
    }
  }
}

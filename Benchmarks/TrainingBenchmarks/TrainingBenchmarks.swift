import Benchmark
import GLENModel
import GLENTensor
import GLENTraining
import Support

/// A step of each phase with AdamW, T5-small, n = 3, without dropout.
let benchmarks: @Sendable () -> Void = {
  add("step of phase 1, T5-small, 16 x 63") { model in
    let size = model.configuration.vocabularySize
    let batch = try TokenBatch(
      randomTexts(Array(repeating: 63, count: 16)), vocabularySize: size)
    let targets = randomTexts(Array(repeating: 3, count: 16), seed: 2)
    return {
      try valueAndGradient(of: $0) { try KeywordLoss.value($0, batch, targets: targets) }.gradients
    }
  }
  for chunks in [RefinementLoss.Chunks(), .init(queries: 4, documents: 8)] {
    let suffix = chunks == .init() ? "" : ", chunks of 4 and 8"
    add("step of phase 2, T5-small, 4 questions of 12, 5 x 63 each\(suffix)") { model in
      let size = model.configuration.vocabularySize
      let settings = IdentifierSettings(
        identifierLength: 3,
        maskedTokens: IdentifierSettings.maskedTokens(pieceCount: 32_000, vocabularySize: size))
      let mask = try settings.mask(vocabularySize: size, on: model.backend)
      let queries = randomTexts(Array(repeating: 12, count: 4))
      let documents = randomTexts(Array(repeating: 63, count: 20), seed: 2)
      return {
        try RefinementLoss().gradients(
          of: $0, queries: queries, documents: documents, settings: settings, mask: mask,
          chunks: chunks
        ).gradients
      }
    }
  }
}

private func add(
  _ name: String, _ gradients: @escaping (T5Model) throws -> (T5Model) throws -> Gradients
) {
  Benchmark.ofTensors(
    name, seconds: 3,
    setup: {
      let model = try T5Model(random: T5Configuration(), key: RandomKey(seed: 1))
      return Training(model: model, gradients: try gradients(model))
    },
    { try $0.step() })
}

/// A model that is trained in place.
private final class Training {
  private var model: T5Model
  private var optimizer = AdamW()
  private let gradients: (T5Model) throws -> Gradients

  init(model: T5Model, gradients: @escaping (T5Model) throws -> Gradients) {
    (self.model, self.gradients) = (model, gradients)
  }

  func step() throws {
    let found = try gradients(model)
    try optimizer.update(&model, found) { _ in 1e-4 }
  }
}

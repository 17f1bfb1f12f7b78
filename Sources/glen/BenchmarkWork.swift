import GLENModel
import GLENTensor
import GLENTraining

/// Random tokens, encoded, rolled out and scored, or trained on.
struct BenchmarkWork {
  /// Sequences in a batch, and tokens of each.
  var batch: Int, length: Int
  /// Tokens of an identifier.
  var identifierLength: Int
  /// Whether a step of phase 1 is run: forward, backward and AdamW.
  var trains: Bool

  /// The milliseconds of each run, the least first, after two runs to warm up.
  func times(_ model: inout T5Model, runs: Int) throws -> [Double] {
    let backend = model.backend
    let size = model.configuration.vocabularySize
    var random = SeededGenerator(RandomKey(seed: 2))
    let texts = (0..<batch).map { _ in
      (0..<length).map { _ in Int32.random(in: 3..<Int32(min(size, 32000)), using: &random) }
    }
    let targets = (0..<batch).map { _ in
      (0..<identifierLength).map { _ in Int32.random(in: 3..<Int32(size), using: &random) }
    }
    let packed = try TokenBatch(texts, vocabularySize: size, on: backend)
    var optimizer = AdamW()
    var times: [Double] = []
    let clock = ContinuousClock()
    for run in 0..<runs + 2 {
      let begin = clock.now
      if trains {
        let (_, gradients) = try valueAndGradient(of: model) {
          try KeywordLoss.value($0, packed, targets: targets)
        }
        try optimizer.update(&model, gradients) { _ in 1e-4 }
      } else {
        let states = try model.rollout(packed, steps: identifierLength)
        _ = try model.logits(states)
      }
      try backend.synchronize()
      if run >= 2 { times.append((clock.now - begin) / .milliseconds(1)) }
    }
    return times.sorted()
  }
}

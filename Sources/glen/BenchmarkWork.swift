import Foundation
import GLENModel
import GLENTensor
import GLENTraining
import Synchronization

/// Random tokens, encoded, rolled out and scored, or trained on.
struct BenchmarkWork {
  /// Sequences in a batch, and tokens of each.
  var batch: Int, length: Int
  /// Tokens of an identifier.
  var identifierLength: Int
  /// How many threads each answer a batch in a run.
  var callers = 1
  /// Whether a step of phase 1 is run: forward, backward and AdamW.
  var trains: Bool

  /// The milliseconds of each run, the least first, after some to warm up.
  func times(_ model: inout T5Model, warmUpRuns: Int = 2, runs: Int) throws -> [Double] {
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
    for run in 0..<runs + warmUpRuns {
      let begin = clock.now
      if trains {
        let (_, gradients) = try valueAndGradient(of: model) {
          try KeywordLoss.value($0, packed, targets: targets)
        }
        try optimizer.update(&model, gradients) { _ in 1e-4 }
      } else if callers > 1 {
        try answerAtOnce(model, packed)
      } else {
        try answer(model, packed)
      }
      try backend.synchronize()
      if run >= warmUpRuns { times.append((clock.now - begin) / .milliseconds(1)) }
    }
    return times.sorted()
  }

  private func answer(_ model: T5Model, _ packed: TokenBatch) throws {
    _ = try model.logits(model.rollout(packed, steps: identifierLength))
  }

  /// Every caller answers once, in a thread of its own.
  private func answerAtOnce(_ model: T5Model, _ packed: TokenBatch) throws {
    let failure = Mutex<(any Error)?>(nil)
    let group = DispatchGroup()
    for _ in 0..<callers {
      group.enter()
      Thread.detachNewThread {
        defer { group.leave() }
        do {
          try answer(model, packed)
        } catch {
          failure.withLock { $0 = error }
        }
      }
    }
    group.wait()
    if let error = failure.withLock({ $0 }) { throw error }
  }
}

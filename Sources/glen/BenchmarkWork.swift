import Dispatch
import GLENModel
import GLENPlatform
import GLENTensor
import GLENTraining
import Synchronization

/// Random tokens, encoded, rolled out and scored, or trained on.
struct BenchmarkWork {
  /// What is done with them.
  enum Task {
    /// Encoding, rollout and scores.
    case inference
    /// A step of phase 1: forward, backward and AdamW.
    case keywords
    /// A step of phase 2, each query with its documents.
    case refinement(
      loss: RefinementLoss, queries: LengthList, documentsPerQuery: Int,
      chunks: RefinementLoss.Chunks)

    var trains: Bool {
      if case .inference = self { false } else { true }
    }
  }

  var task: Task
  /// Sequences in a batch, or queries of phase 2.
  var batch: Int
  /// Their lengths, or those of the documents of phase 2.
  var lengths: LengthList
  /// Tokens of an identifier.
  var identifierLength: Int
  /// Runs that are not timed.
  var warmUps: Int
  /// How many threads each answer a batch in a run of inference.
  var callers = 1

  /// The milliseconds of each run, the least first, and the tokens of a run.
  func times(_ model: inout T5Model, runs: Int) throws -> (milliseconds: [Double], tokens: Int) {
    let backend = model.backend
    var random = SeededGenerator(RandomKey(seed: 2))
    let step = try step(for: model, using: &random)
    var optimizer = AdamW()
    if task.trains {
      // As training does.
      try model.makeUnique()
      try optimizer.makeMoments(for: model)
    }
    var times: [Double] = []
    let clock = ContinuousClock()
    for run in 0..<runs + warmUps {
      let begin = clock.now
      if let gradients = try step.run(model) {
        try optimizer.update(&model, gradients) { _ in 1e-4 }
      }
      try backend.synchronize()
      if run >= warmUps { times.append((clock.now - begin) / .milliseconds(1)) }
    }
    return (times.sorted(), step.tokens)
  }

  private struct Step {
    var tokens: Int
    /// The gradients, if there are any.
    var run: (T5Model) throws -> Gradients?
  }

  private func step(for model: T5Model, using random: inout SeededGenerator) throws -> Step {
    let size = model.configuration.vocabularySize
    func text(_ length: Int, below bound: Int) -> [Int32] {
      (0..<length).map { _ in Int32.random(in: 3..<Int32(bound), using: &random) }
    }
    let n = identifierLength
    let words = min(size, 32000)
    switch task {
    case .inference, .keywords:
      let texts = (0..<batch).map { text(lengths[$0], below: words) }
      let targets = (0..<batch).map { _ in text(n, below: size) }
      let packed = try TokenBatch(texts, vocabularySize: size, on: model.backend)
      if case .keywords = task {
        return Step(tokens: packed.tokens.count) { model in
          try valueAndGradient(of: model) { try KeywordLoss.value($0, packed, targets: targets) }
            .gradients
        }
      }
      // As a retriever answers, of the model that is timed.
      let rollouts = RecordedRollouts(of: model, steps: n)
      return Step(tokens: packed.tokens.count) { model in
        try callers > 1
          ? answerAtOnce(model, rollouts, texts) : answer(model, rollouts, texts)
        return nil
      }
    case .refinement(let loss, let queryLengths, let each, let chunks):
      let queries = (0..<batch).map { text(queryLengths[$0], below: words) }
      let documents = (0..<batch * each).map { text(lengths[$0], below: words) }
      let settings = IdentifierSettings(
        identifierLength: n,
        maskedTokens: IdentifierSettings.maskedTokens(pieceCount: words, vocabularySize: size))
      let mask = try settings.mask(vocabularySize: size, on: model.backend)
      let tokens = (queries + documents).reduce(0) { $0 + $1.count }
      return Step(tokens: tokens) { model in
        try loss.gradients(
          of: model, queries: queries, documents: documents, settings: settings, mask: mask,
          chunks: chunks
        ).gradients
      }
    }
  }

  private func answer(
    _ model: T5Model, _ rollouts: RecordedRollouts, _ texts: [[Int32]]
  ) throws {
    _ = try model.logits(rollouts.states(of: texts))
  }

  /// Every caller answers once, on a queue of its own, which has a thread while it works.
  private func answerAtOnce(
    _ model: T5Model, _ rollouts: RecordedRollouts, _ texts: [[Int32]]
  ) throws {
    let failure = Mutex<(any Error)?>(nil)
    let group = DispatchGroup()
    for _ in 0..<callers {
      group.enter()
      DispatchQueue(label: "caller").async {
        defer { group.leave() }
        do {
          try answer(model, rollouts, texts)
        } catch {
          failure.withLock { $0 = error }
        }
      }
    }
    group.wait()
    if let error = failure.withLock({ $0 }) { throw error }
  }
}

import GLENTensor
import Synchronization

/// Rollouts of few texts, which a device that can repeat recorded work does as one piece.
///
/// A question is some seven hundred small operations, and to ask a device for one takes longer than it
/// takes: together they are one request. A recording serves texts of the same lengths.
public final class RecordedRollouts: Sendable {
  private struct Entry {
    let work: any RecordedWork
    let batch: TokenBatch
    var lastUse: Int
  }

  private struct State {
    var entries: [[Int]: Entry] = [:]
    /// Lengths that were asked for once: what is made once and kept is there now.
    var seen: Set<[Int]> = []
    var uses = 0
    var isUseless = false
  }

  /// The tokens of a batch that are still few.
  private static let mostTokens = 128
  /// The recordings that are kept; each has memory of its own.
  private static let mostRecordings = 32

  private let state = Mutex(State())
  private let model: T5Model
  private let steps: Int
  private let feedback: T5Model.Feedback

  /// Recordings of one model, whose weights they keep.
  ///
  /// - Parameters:
  ///   - steps: the identifier's length n.
  ///   - feedback: what each step hands to the next.
  public init(of model: T5Model, steps: Int, feedback: T5Model.Feedback = .states) {
    (self.model, self.steps, self.feedback) = (model, steps, feedback)
  }

  /// The decoder's states of texts, `[texts, n, width]`, recorded or not.
  ///
  /// - Throws: `ModelError.input`, `TensorError`.
  public func states(of texts: [[Int32]]) throws -> Tensor {
    try recorded(texts)
      ?? model.rollout(
        TokenBatch(
          texts, vocabularySize: model.configuration.vocabularySize, on: model.backend),
        steps: steps, feedback: feedback)
  }

  private func recorded(_ texts: [[Int32]]) throws -> Tensor? {
    let lengths = texts.map(\.count)
    guard lengths.reduce(0, +) <= Self.mostTokens else { return nil }
    guard let entry = try entry(for: lengths, texts) else { return nil }
    try TokenBatch.check(texts, vocabularySize: model.configuration.vocabularySize)
    let states = try entry.work.result(
      for: Array(texts.joined()), in: entry.batch.tokens.region)
    if states == nil { state.withLock { $0.entries[lengths] = nil } }
    return states
  }

  private func entry(for lengths: [Int], _ texts: [[Int32]]) throws -> Entry? {
    try state.withLock { state in
      if state.isUseless { return nil }
      state.uses += 1
      if let found = state.entries[lengths] {
        state.entries[lengths]?.lastUse = state.uses
        return found
      }
      // A thousand lengths seen once are as good as none.
      if state.seen.count > 1000 { state.seen = [] }
      guard !state.seen.insert(lengths).inserted else { return nil }
      let batch = try TokenBatch(
        texts, vocabularySize: model.configuration.vocabularySize, on: model.backend)
      let work = model.backend.recording {
        try model.rollout(batch, steps: steps, feedback: feedback)
      }
      guard let work else {
        state.isUseless = true
        return nil
      }
      if state.entries.count >= Self.mostRecordings,
        let oldest = state.entries.min(by: { $0.value.lastUse < $1.value.lastUse })
      {
        state.entries[oldest.key] = nil
      }
      let entry = Entry(work: work, batch: batch, lastUse: state.uses)
      state.entries[lengths] = entry
      return entry
    }
  }
}

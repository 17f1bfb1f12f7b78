import Dispatch
import Synchronization

/// A model at work for many callers at once: joins their questions to batches, and ranks, all on
/// threads of its own, so that the callers' tasks block nothing while they wait.
final class QueryBatcher: Sendable {
  /// A caller who waits; whoever takes it out of the table of requests ends its wait, once.
  private struct Request: Sendable {
    var questions: [String]
    /// Computes the answer and returns what hands it to the caller.
    var answer: @Sendable ([QueryScores]) -> @Sendable () -> Void
    var fail: @Sendable (any Error) -> Void
  }

  private struct State: Sendable {
    var queue: BatchQueue
    var requests: [BatchQueue.ID: Request] = [:]
    var lastID: BatchQueue.ID = 0
  }

  /// What reads the questions.
  let scoring: any QueryScoring
  /// The most questions that are encoded together.
  let limit: Int
  /// The most threads that rank at once.
  let threadCount: Int

  private let state: Mutex<State>
  private let worker = DispatchQueue(label: "glen.retriever", qos: .userInitiated)

  init(scoring: any QueryScoring, limit: Int, threadCount: Int, latency: Duration) {
    self.scoring = scoring
    self.limit = limit
    self.threadCount = threadCount
    state = Mutex(State(queue: BatchQueue(limit: limit, latency: latency)))
  }

  /// How many callers wait, or are about to be answered.
  var callerCount: Int { state.withLock { $0.requests.count } }

  /// The scores of questions, made now on the caller's own thread.
  func scores(of questions: [String]) throws -> [QueryScores] {
    let scores = try scoring.scores(of: questions)
    guard scores.count == questions.count else {
      throw IndexError.invalidScores(
        "score questions: some have no scores; expected \(questions.count) tables, got "
          + "\(scores.count); let the scoring answer every question")
    }
    return scores
  }

  /// A longer time limit is none: instants that far away cannot be counted.
  private static let longestTimeLimit = Duration.seconds(10 * 365 * 86_400)

  /// What `body` makes of the scores of some questions, which are encoded with those of others.
  ///
  /// `body` runs on the batcher's threads. The caller is answered, or told that it is cancelled or
  /// late, at once and exactly once; a batch goes on for its other callers.
  ///
  /// - Throws: What the scoring or `body` throws; `IndexError.timedOut`; `CancellationError`.
  func value<Value: Sendable>(
    of questions: [String], timeLimit: Duration?, since begin: ContinuousClock.Instant = .now,
    _ body: @escaping @Sendable ([QueryScores]) throws -> Value
  ) async throws -> Value {
    try Task.checkCancellation()
    let timeLimit = timeLimit.flatMap { $0 < Self.longestTimeLimit ? $0 : nil }
    let deadline = timeLimit.map { begin + $0 }
    let id = state.withLock { state in
      state.lastID += 1
      return state.lastID
    }
    @Sendable func failIfLate() {
      if let deadline, let timeLimit, deadline <= .now {
        fail(id, with: IndexError.timedOut(limit: timeLimit))
      }
    }
    let timer = deadline.map { deadline in
      Task {
        // Piece by piece: the system keeps a sleep that was cancelled until it would have ended.
        while deadline > .now {
          try await Task.sleep(until: min(deadline, .now + .seconds(1)), clock: .continuous)
        }
        failIfLate()
      }
    }
    defer { timer?.cancel() }
    return try await withTaskCancellationHandler {
      try await Parallel.handedOver { answer in
        let request = Request(
          questions: questions,
          answer: { scores in
            let result = Result { try body(scores) }
            return { answer(result) }
          }, fail: { answer(.failure($0)) })
        let action = state.withLock { state in
          state.requests[id] = request
          return state.queue.enqueue(id, count: questions.count, at: .now)
        }
        perform(action)
        // Either may have happened before the request was there to fail.
        if Task.isCancelled { fail(id, with: CancellationError()) }
        failIfLate()
      }
    } onCancel: {
      fail(id, with: CancellationError())
    }
  }

  /// Ends a caller's wait with an error, if it still waits.
  private func fail(_ id: BatchQueue.ID, with error: any Error) {
    let request = state.withLock { state in
      state.queue.remove(id)
      return state.requests.removeValue(forKey: id)
    }
    request?.fail(error)
  }

  private func perform(_ action: BatchQueue.Action) {
    switch action {
    case .none: break
    case .start(let batch): worker.async { self.run(batch) }
    case .wait(let time):
      let seconds = (time - .now) / .seconds(1)
      worker.asyncAfter(deadline: .now() + max(seconds, 0)) {
        self.perform(self.state.withLock { $0.queue.wake(at: .now) })
      }
    }
  }

  /// Encodes the questions of a batch and answers its callers.
  private func run(_ batch: [BatchQueue.ID]) {
    // Who has given up meanwhile is not encoded.
    let requests = state.withLock { state in
      batch.compactMap { id in state.requests[id].map { (id: id, request: $0) } }
    }
    if !requests.isEmpty {
      let scores = Result { try self.scores(of: requests.flatMap(\.request.questions)) }
      state.withLock { $0.queue.willAnswer() }
      switch scores {
      case .failure(let error): for (id, _) in requests { fail(id, with: error) }
      case .success(let scores): answer(requests, scores)
      }
    }
    perform(state.withLock { $0.queue.finish(at: .now) })
  }

  private func answer(
    _ requests: [(id: BatchQueue.ID, request: Request)], _ scores: [QueryScores]
  ) {
    var first = 0
    let parts = requests.map { _, request in
      defer { first += request.questions.count }
      return Array(scores[first..<first + request.questions.count])
    }
    Parallel.forEach(requests.count, threads: threadCount) { index in
      let (id, request) = requests[index]
      guard state.withLock({ $0.requests[id] != nil }) else { return }
      let deliver = request.answer(parts[index])
      if state.withLock({ $0.requests.removeValue(forKey: id) }) != nil { deliver() }
    }
  }
}

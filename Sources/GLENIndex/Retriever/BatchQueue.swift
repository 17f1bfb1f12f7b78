/// Decides which waiting questions are encoded together, and when: a state machine without clock,
/// thread or lock.
///
/// An idle model takes a question at once. Questions that come while it works go together when it
/// is free again. Callers who ask again as soon as they are answered would then fall into two groups
/// that take turns, so after a batch the model waits a moment for those it has just answered; a
/// caller who is alone is expected back alone, and never waits.
struct BatchQueue {
  typealias Instant = ContinuousClock.Instant
  typealias ID = UInt64

  /// What is to be done after a change.
  enum Action: Equatable {
    case none
    /// Encode these; the queue is busy until `finish`.
    case start([ID])
    /// Call `wake` at that time.
    case wait(until: Instant)
  }

  /// The most questions of a batch; a caller with more goes alone.
  let limit: Int
  /// How long the callers of a batch are expected back after it.
  let latency: Duration

  private var waiting: [(id: ID, count: Int)] = []
  private var waitingCount = 0
  private var isBusy = false
  private var batchCount = 0
  /// How many questions are worth waiting for.
  private var expectedCount = 0
  /// How long they are.
  private var expectedUntil: Instant?
  private var isWakeUpSet = false

  init(limit: Int, latency: Duration) {
    self.limit = max(limit, 1)
    self.latency = latency
  }

  /// Takes in a caller with some questions.
  mutating func enqueue(_ id: ID, count: Int, at now: Instant) -> Action {
    waiting.append((id, count))
    waitingCount += count
    return next(at: now)
  }

  /// Forgets a caller that still waits.
  mutating func remove(_ id: ID) {
    guard let place = waiting.firstIndex(where: { $0.id == id }) else { return }
    waitingCount -= waiting.remove(at: place).count
  }

  /// The batch is encoded and its callers are about to be answered.
  ///
  /// Those who wait now are not among them, so both are expected.
  mutating func willAnswer() {
    expectedCount = min(batchCount + waitingCount, limit)
  }

  /// The batch is done with.
  mutating func finish(at now: Instant) -> Action {
    isBusy = false
    expectedUntil = now + latency
    return next(at: now)
  }

  /// The time has come that `wait` named.
  mutating func wake(at now: Instant) -> Action {
    isWakeUpSet = false
    return next(at: now)
  }

  private mutating func next(at now: Instant) -> Action {
    guard !isBusy, !waiting.isEmpty else { return .none }
    if waitingCount < expectedCount, let expectedUntil, now < expectedUntil {
      guard !isWakeUpSet else { return .none }
      isWakeUpSet = true
      return .wait(until: expectedUntil)
    }
    var batch: [ID] = []
    batchCount = 0
    for (id, count) in waiting {
      guard batch.isEmpty || batchCount + count <= limit else { break }
      batch.append(id)
      batchCount += count
    }
    waiting.removeFirst(batch.count)
    waitingCount -= batchCount
    expectedCount = 0
    isBusy = true
    return .start(batch)
  }
}

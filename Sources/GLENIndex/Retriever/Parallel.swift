import Dispatch
import Synchronization

/// Work on some threads; the calling thread is one of them.
enum Parallel {
  /// Calls `body` with every number below `count`.
  static func forEach(_ count: Int, threads: Int, _ body: @Sendable (Int) -> Void) {
    let parts = min(count, max(threads, 1))
    guard parts > 1 else { return (0..<count).forEach(body) }
    DispatchQueue.concurrentPerform(iterations: parts) { part in
      for index in stride(from: part, to: count, by: parts) { body(index) }
    }
  }

  /// What `body` makes of every number below `count`, in order.
  ///
  /// - Throws: The error of the lowest number that has one.
  static func map<Value: Sendable, Failure: Error>(
    _ count: Int, threads: Int, _ body: @Sendable (Int) throws(Failure) -> Value
  ) throws(Failure) -> [Value] {
    let results = Mutex([Result<Value, Failure>?](repeating: nil, count: count))
    forEach(count, threads: threads) { index in
      let result = Result { () throws(Failure) in try body(index) }
      results.withLock { $0[index] = result }
    }
    var values: [Value] = []
    for case let result? in results.withLock({ $0 }) { values.append(try result.get()) }
    return values
  }

  /// Runs `body` on a thread outside the pool of Swift's tasks, which it would block.
  static func detached<Value: Sendable>(
    _ body: @escaping @Sendable () throws -> Value
  ) async throws -> Value {
    try await handedOver { answer in
      DispatchQueue.global(qos: .userInitiated).async { answer(Result { try body() }) }
    }
  }

  /// What `begin`, or a thread that it starts, answers with, once.
  ///
  /// The answer passes through a lock and not through the continuation: of the two only a lock's order
  /// between threads is known to the thread sanitizer.
  static func handedOver<Value: Sendable>(
    _ begin: (_ answer: @escaping @Sendable (Result<Value, any Error>) -> Void) -> Void
  ) async throws -> Value {
    let slot = Slot<Value>()
    await withCheckedContinuation { continuation in
      begin { result in
        slot.result.withLock { $0 = result }
        continuation.resume()
      }
    }
    guard let result = slot.result.withLock({ $0 }) else { throw CancellationError() }
    return try result.get()
  }

  private final class Slot<Value: Sendable>: Sendable {
    let result = Mutex<Result<Value, any Error>?>(nil)
  }
}

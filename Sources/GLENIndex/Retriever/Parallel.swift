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
  static func map<Value: Sendable>(
    _ count: Int, threads: Int, _ body: @Sendable (Int) throws -> Value
  ) throws -> [Value] {
    guard count > 1, threads > 1 else { return try (0..<count).map(body) }
    let results = Mutex([Result<Value, any Error>?](repeating: nil, count: count))
    forEach(count, threads: threads) { index in
      let result = Result { try body(index) }
      results.withLock { $0[index] = result }
    }
    return try results.withLock { $0 }.compactMap { try $0?.get() }
  }

  /// Runs `body` on a thread outside the pool of Swift's tasks, which it would block.
  static func detached<Value: Sendable>(
    _ body: @escaping @Sendable () throws -> Value
  ) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
      DispatchQueue.global(qos: .userInitiated).async {
        continuation.resume(with: Result { try body() })
      }
    }
  }
}

import Dispatch
import Synchronization
import Testing

@testable import GLENIndex

/// A scoring that remembers what it was asked, can be held up, and can fail.
final class ProbeScoring: QueryScoring {
  struct Failure: Error {}

  private let base: any QueryScoring
  private let recorded = Mutex<[[String]]>([])
  private let gate = Mutex<DispatchSemaphore?>(nil)

  init(_ base: any QueryScoring) { self.base = base }

  /// What was asked together, in order.
  var batches: [[String]] { recorded.withLock { $0 } }

  /// Makes every call wait until `release`.
  func hold() { gate.withLock { $0 = DispatchSemaphore(value: 0) } }

  func release() {
    let semaphore = gate.withLock { gate in
      defer { gate = nil }
      return gate
    }
    for _ in 0..<1000 { semaphore?.signal() }
  }

  func scores(of questions: [String]) throws -> [QueryScores] {
    recorded.withLock { $0.append(questions) }
    gate.withLock { $0 }?.wait()
    if questions.contains("fail") { throw Failure() }
    return try base.scores(of: questions)
  }

  func piece(_ token: Int32) -> String { base.piece(token) }
}

extension ToyModel {
  /// A retriever over a toy model whose calls are watched.
  static func probed(
    _ configuration: RetrieverConfiguration = .init()
  ) throws -> (retriever: Retriever, probe: ProbeScoring) {
    let retriever = try withTemporaryFolder { try ToyModel.retriever(in: $0) }
    let probe = ProbeScoring(retriever.scoring)
    return (
      try Retriever(
        model: probe, snapshot: retriever.snapshot, configuration: configuration), probe
    )
  }
}

/// Waits until something holds; records an issue if it does not.
///
/// It counts its own turns, not seconds: while other tests block the pool of tasks, it waits too.
func eventually(
  _ condition: () -> Bool, sourceLocation: SourceLocation = #_sourceLocation
) async throws {
  for _ in 0..<30_000 {
    if condition() { return }
    try await Task.sleep(for: .milliseconds(1))
  }
  Issue.record("this did not come true", sourceLocation: sourceLocation)
}

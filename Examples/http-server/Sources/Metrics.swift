import Synchronization

/// Counts answers and their times, and says so in Prometheus' text format.
final class Metrics: Sendable {
  private struct Key: Hashable {
    var path: String
    var status: Int
  }

  private struct State {
    var requests: [Key: Int] = [:]
    var buckets = [Int](repeating: 0, count: Metrics.bounds.count)
    var count = 0
    var seconds = 0.0
  }

  private static let bounds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10]
  private let state = Mutex(State())

  /// Takes in an answer; `path` is that of the route, without what stands for its parameters.
  func count(path: String, status: Int, seconds: Double) {
    state.withLock { state in
      state.requests[Key(path: path, status: status), default: 0] += 1
      for (place, bound) in Self.bounds.enumerated() where seconds <= bound {
        state.buckets[place] += 1
      }
      state.count += 1
      state.seconds += seconds
    }
  }

  /// All numbers so far.
  func text(documents: Int) -> String {
    let state = state.withLock { $0 }
    var lines = ["# TYPE glen_requests_total counter"]
    lines += state.requests.map { key, count in
      "glen_requests_total{path=\"\(key.path)\",status=\"\(key.status)\"} \(count)"
    }.sorted()
    lines.append("# TYPE glen_request_seconds histogram")
    for (bound, count) in zip(Self.bounds, state.buckets) {
      lines.append("glen_request_seconds_bucket{le=\"\(bound)\"} \(count)")
    }
    lines += [
      "glen_request_seconds_bucket{le=\"+Inf\"} \(state.count)",
      "glen_request_seconds_sum \(state.seconds)", "glen_request_seconds_count \(state.count)",
      "# TYPE glen_documents gauge", "glen_documents \(documents)",
    ]
    return lines.joined(separator: "\n") + "\n"
  }
}

import Synchronization

/// How long kernels and products took, by their names.
///
/// A backend with a profile waits before and after each of them, so that the times are their own; the
/// whole takes longer than without.
public final class CUDAProfile: Sendable {
  /// What all calls of one name took.
  public struct Entry: Sendable {
    /// The kernel, or the product with its extents.
    public let name: String
    /// How often it was called.
    public internal(set) var count: Int
    /// How long all calls took together, with some microseconds of waiting each.
    public internal(set) var milliseconds: Double
  }

  private struct State {
    var entries: [String: Entry] = [:]
    var begin = ContinuousClock.now
  }

  private let state = Mutex(State())

  /// The entries since the last `reset`, the longest first.
  public var entries: [Entry] {
    state.withLock { $0.entries.values.sorted { $0.milliseconds > $1.milliseconds } }
  }

  /// Forgets all entries.
  public func reset() { state.withLock { $0.entries = [:] } }

  func begin() { state.withLock { $0.begin = .now } }

  func end(_ name: String) {
    state.withLock { state in
      let milliseconds = (ContinuousClock.now - state.begin) / .milliseconds(1)
      var entry = state.entries[name] ?? Entry(name: name, count: 0, milliseconds: 0)
      entry.count += 1
      entry.milliseconds += milliseconds
      state.entries[name] = entry
    }
  }
}

import CGLENCUDA
import Synchronization

/// How long kernels and products took on the device, by their names.
///
/// A backend with a profile has the device take the time before and after each of them; nobody waits, so
/// the device is as busy as ever, but for a microsecond or two each.
public final class CUDAProfile: Sendable {
  /// What all calls of one name took.
  public struct Entry: Sendable {
    /// The kernel, or the product with its extents.
    public let name: String
    /// How often it was called.
    public internal(set) var count: Int
    /// How long all calls took together.
    public internal(set) var milliseconds: Double
  }

  /// A time that the device takes.
  ///
  /// `@unchecked Sendable`: a handle, which every thread may name.
  struct Event: @unchecked Sendable {
    fileprivate let handle: UnsafeMutableRawPointer
  }

  private struct State {
    var entries: [String: Entry] = [:]
    var idle = 0.0
    var lost = 0
    /// Calls whose times have not been asked for, in their order.
    var calls: [(name: String, begin: Event, end: Event)] = []
    var lastEnd: Event?
    var spare: [Event] = []
  }

  /// So many calls are kept before their times are asked for.
  private static let mostCalls = 1 << 14

  private let state = Mutex(State())
  private nonisolated(unsafe) let driver: UnsafePointer<glen_cuda_driver>
  private nonisolated(unsafe) let context: UnsafeMutableRawPointer

  init(_ driver: UnsafePointer<glen_cuda_driver>, context: UnsafeMutableRawPointer) {
    (self.driver, self.context) = (driver, context)
  }

  /// The entries since the last `reset`, the longest first; waits for the calls to end.
  public var entries: [Entry] {
    state.withLock { state in
      settle(&state)
      return state.entries.values.sorted { $0.milliseconds > $1.milliseconds }
    }
  }

  /// How long the device did nothing, or nothing that is counted, from the first call since the last
  /// `reset` to the last one.
  public var idleMilliseconds: Double {
    state.withLock { state in
      settle(&state)
      return state.idle
    }
  }

  /// The calls whose times have not been asked for yet.
  var pendingCallCount: Int { state.withLock { $0.calls.count } }

  /// The calls since the last `reset` whose times the device did not tell.
  public var lostCallCount: Int {
    state.withLock { state in
      settle(&state)
      return state.lost
    }
  }

  /// Forgets all entries.
  public func reset() {
    state.withLock { state in
      settle(&state)
      if let last = state.lastEnd { state.spare.append(last) }
      (state.entries, state.idle, state.lost, state.lastEnd) = ([:], 0, 0, nil)
    }
  }

  /// Takes the time on a stream.
  func begin(on stream: UnsafeMutableRawPointer) -> Event? {
    state.withLock { recorded(on: stream, &$0) }
  }

  /// Takes it again, and keeps both for what was called in between.
  func end(_ name: String, since begin: Event?, on stream: UnsafeMutableRawPointer) {
    state.withLock { state in
      guard let begin, let end = recorded(on: stream, &state) else {
        if let begin { state.spare.append(begin) }
        return state.lost += 1
      }
      state.calls.append((name, begin, end))
      if state.calls.count >= Self.mostCalls { settle(&state) }
    }
  }

  private func recorded(on stream: UnsafeMutableRawPointer, _ state: inout State) -> Event? {
    var event = state.spare.popLast()
    if event == nil {
      var handle: UnsafeMutableRawPointer?
      guard driver.pointee.cuEventCreate(&handle, 0) == 0, let handle else { return nil }
      event = Event(handle: handle)
    }
    guard let event else { return nil }
    if driver.pointee.cuEventRecord(event.handle, stream) == 0 { return event }
    state.spare.append(event)
    return nil
  }

  /// Asks the device for the times of all calls.
  private func settle(_ state: inout State) {
    guard let last = state.calls.last else { return }
    // Whoever asks may be a thread that has not used the device.
    _ = driver.pointee.cuCtxSetCurrent(context)
    _ = driver.pointee.cuEventSynchronize(last.end.handle)
    func milliseconds(_ first: Event, _ second: Event) -> Double? {
      var value: Float = 0
      let status = driver.pointee.cuEventElapsedTime(&value, first.handle, second.handle)
      return status == 0 ? Double(value) : nil
    }
    for call in state.calls {
      if let time = milliseconds(call.begin, call.end) {
        var entry =
          state.entries[call.name] ?? Entry(name: call.name, count: 0, milliseconds: 0)
        entry.count += 1
        entry.milliseconds += time
        state.entries[call.name] = entry
      } else {
        state.lost += 1
      }
      if let before = state.lastEnd {
        state.idle += milliseconds(before, call.begin) ?? 0
        state.spare.append(before)
      }
      state.spare.append(call.begin)
      state.lastEnd = call.end
    }
    state.calls = []
  }

  /// Ends with the device's context: the entries stay.
  func close() {
    state.withLock { state in
      settle(&state)
      for event in state.spare + [state.lastEnd].compactMap(\.self) {
        _ = driver.pointee.cuEventDestroy_v2(event.handle)
      }
      (state.spare, state.lastEnd) = ([], nil)
    }
  }
}

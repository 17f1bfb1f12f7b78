import Synchronization

/// Memory blocks that are kept for reuse: fresh memory costs more to get and to touch than most
/// operations cost to compute.
///
/// Sizes are rounded up to eight classes an octave, so that a little-different batch finds the
/// blocks of the last one.
public final class MemoryPool: Sendable {
  private struct Block: @unchecked Sendable {
    let address: UnsafeMutableRawPointer
  }
  private struct State {
    var free: [Int: [Block]] = [:]
    var freeByteCount = 0
    var usedByteCount = 0
    var peakByteCount = 0
  }

  private let state = Mutex(State())
  private let limit: Int
  private let budget: Int
  private let obtain: @Sendable (Int) -> UnsafeMutableRawPointer?
  private let release: @Sendable (UnsafeMutableRawPointer) -> Void

  /// A pool over a source of memory, which is asked for whole sizes and gives nil where it has none.
  ///
  /// Blocks beyond `limit` unused bytes are released at once. Used and unused blocks together never
  /// exceed `budget`.
  public init(
    keeping limit: Int, budget: Int = .max,
    obtain: @escaping @Sendable (Int) -> UnsafeMutableRawPointer?,
    release: @escaping @Sendable (UnsafeMutableRawPointer) -> Void
  ) {
    (self.limit, self.budget) = (limit, budget)
    (self.obtain, self.release) = (obtain, release)
  }

  /// The size that a request is rounded up to.
  static func roundedSize(_ byteCount: Int) -> Int {
    if byteCount <= 1024 { return max(64, (byteCount + 63) & ~63) }
    let step = 1 << (Int.bitWidth - 1 - (byteCount - 1).leadingZeroBitCount - 3)
    return (byteCount + step - 1) & ~(step - 1)
  }

  /// A block of at least `byteCount` bytes, or nil where there is none.
  public func allocate(byteCount: Int) -> UnsafeMutableRawPointer? {
    guard byteCount >= 0, byteCount <= 1 << 46 else { return nil }
    let size = Self.roundedSize(byteCount)
    enum Answer { case kept(Block), fresh(mustReleaseFirst: Bool), none }
    let answer = state.withLock { state -> Answer in
      guard state.usedByteCount + size <= budget else { return .none }
      state.usedByteCount += size
      state.peakByteCount = max(state.peakByteCount, state.usedByteCount)
      guard let block = state.free[size]?.popLast() else {
        return .fresh(mustReleaseFirst: state.usedByteCount + state.freeByteCount > budget)
      }
      state.freeByteCount -= size
      return .kept(block)
    }
    switch answer {
    case .kept(let block): return block.address
    case .none: return nil
    case .fresh(let mustReleaseFirst):
      if mustReleaseFirst { releaseUnused() }
      if let address = obtain(size) { return address }
      // What is kept in other sizes may be what is missing.
      releaseUnused()
      if let address = obtain(size) { return address }
      state.withLock { $0.usedByteCount -= size }
      return nil
    }
  }

  /// Keeps a block for the next request of its size.
  public func free(_ address: UnsafeMutableRawPointer, byteCount: Int) {
    let size = Self.roundedSize(byteCount)
    let block = Block(address: address)
    let isKept = state.withLock { state -> Bool in
      state.usedByteCount -= size
      guard state.freeByteCount + size <= limit else { return false }
      state.freeByteCount += size
      state.free[size, default: []].append(block)
      return true
    }
    if !isKept { release(address) }
  }

  /// The number of bytes that are in use.
  public var usedByteCount: Int { state.withLock { $0.usedByteCount } }

  /// The greatest number of bytes that were in use at once.
  public var peakByteCount: Int { state.withLock { $0.peakByteCount } }

  /// Releases all blocks that are not in use.
  public func releaseUnused() {
    let blocks = state.withLock { state in
      defer {
        state.free = [:]
        state.freeByteCount = 0
      }
      return state.free.values.flatMap { $0 }
    }
    for block in blocks { release(block.address) }
  }

  deinit { releaseUnused() }
}

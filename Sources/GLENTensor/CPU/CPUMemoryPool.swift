import Synchronization

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// Memory blocks that are kept for reuse: fresh pages cost more to touch than most operations cost
/// to compute.
///
/// Sizes are rounded up to eight classes an octave, so that a little-different batch finds the
/// blocks of the last one.
final class CPUMemoryPool: Sendable {
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
  /// Blocks beyond this many unused bytes go back to the system.
  private let limit = 1 << 30

  /// The size that a request is rounded up to.
  static func roundedSize(_ byteCount: Int) -> Int {
    if byteCount <= 1024 { return max(64, (byteCount + 63) & ~63) }
    let step = 1 << (Int.bitWidth - 1 - (byteCount - 1).leadingZeroBitCount - 3)
    return (byteCount + step - 1) & ~(step - 1)
  }

  /// A block of at least `byteCount` bytes, aligned to 64, or nil if the system has none.
  func allocate(byteCount: Int) -> UnsafeMutableRawPointer? {
    guard byteCount >= 0, byteCount <= 1 << 46 else { return nil }
    let size = Self.roundedSize(byteCount)
    let kept = state.withLock { state -> Block? in
      state.usedByteCount += size
      state.peakByteCount = max(state.peakByteCount, state.usedByteCount)
      guard let block = state.free[size]?.popLast() else { return nil }
      state.freeByteCount -= size
      return block
    }
    if let kept { return kept.address }
    var address: UnsafeMutableRawPointer?
    guard posix_memalign(&address, 64, size) == 0, let address else {
      state.withLock { $0.usedByteCount -= size }
      return nil
    }
    return address
  }

  /// Keeps a block for the next request of its size.
  func free(_ address: UnsafeMutableRawPointer, byteCount: Int) {
    let size = Self.roundedSize(byteCount)
    let block = Block(address: address)
    let isKept = state.withLock { state -> Bool in
      state.usedByteCount -= size
      guard state.freeByteCount + size <= limit else { return false }
      state.freeByteCount += size
      state.free[size, default: []].append(block)
      return true
    }
    if !isKept { Self.release(address) }
  }

  /// The greatest number of bytes that were in use at once.
  var peakByteCount: Int { state.withLock { $0.peakByteCount } }

  private static func release(_ address: UnsafeMutableRawPointer) {
    #if canImport(Glibc)
      Glibc.free(address)
    #elseif canImport(Darwin)
      Darwin.free(address)
    #endif
  }

  deinit {
    state.withLock { state in
      for block in state.free.values.joined() { Self.release(block.address) }
    }
  }
}

import Synchronization

/// Memory blocks that are kept for reuse: fresh memory costs more to get and to touch than most
/// operations cost to compute.
///
/// Small blocks are kept by size, in eight classes an octave. Large ones are cut from segments and joined
/// again (`BlockArena`), so that a batch of other lengths uses the memory of the last one.
public final class MemoryPool: Sendable {
  private struct State {
    /// Small blocks that are not in use, by size.
    var free: [Int: [Int]] = [:]
    var arena = BlockArena(smallestRest: MemoryPool.largestSmall)
    /// Where no large block has been since the memory was obtained or discarded; kept up if it can be discarded.
    var untouched = RangeSet<Int>()
    /// What has been obtained and not released.
    var heldByteCount = 0
    var usedByteCount = 0
    var peakByteCount = 0

    var freeByteCount: Int { heldByteCount - usedByteCount }

    mutating func use(_ size: Int) {
      usedByteCount += size
      peakByteCount = max(peakByteCount, usedByteCount)
    }
  }

  /// The size up to which blocks are kept by size.
  private static let largestSmall = 1 << 14
  /// How much is obtained at once for large blocks; more if one alone is larger, or by `growth`.
  private static let segmentSize = 1 << 25

  /// How many bytes are discarded at a time at most.
  private static let discardedAtOnce = 1 << 23

  private let state = Mutex(State())
  private let limit: Int
  private let growth: Double
  private let budget: Int
  private let obtain: @Sendable (Int) -> UnsafeMutableRawPointer?
  private let giveBack: @Sendable (UnsafeMutableRawPointer) -> Void
  private let discard: (@Sendable (UnsafeMutableRawPointer, Int) -> Void)?

  /// A pool over a source of memory, which is asked for whole sizes and gives nil where it has none.
  ///
  /// Beyond `limit` unused bytes, and as many as are used, segments none of which is in use are released at
  /// once. Used and unused memory together never exceeds `budget`. All three functions are called under the
  /// pool's lock.
  ///
  /// - Parameters:
  ///   - growth: what is obtained at once is at least this share of what is held. Where memory
  ///     costs nothing before it is touched, few large segments are better: the gap at the end of each
  ///     is lost.
  ///   - discard: takes an address and a number of bytes, whose contents are lost, and gives that memory
  ///     back until it is next touched; nil where the source cannot do that.
  public init(
    keeping limit: Int, budget: Int = .max, growth: Double = 0,
    obtain: @escaping @Sendable (Int) -> UnsafeMutableRawPointer?,
    release: @escaping @Sendable (UnsafeMutableRawPointer) -> Void,
    discard: (@Sendable (UnsafeMutableRawPointer, Int) -> Void)? = nil
  ) {
    (self.limit, self.budget, self.growth) = (limit, budget, growth)
    (self.obtain, giveBack, self.discard) = (obtain, release, discard)
  }

  /// The size that a request is rounded up to: to one of eight classes an octave, and a large one to
  /// whole pages.
  static func roundedSize(_ byteCount: Int) -> Int {
    if byteCount <= 1024 { return max(64, (byteCount + 63) & ~63) }
    if byteCount > largestSmall { return (byteCount + 4095) & ~4095 }
    let step = 1 << (Int.bitWidth - 1 - (byteCount - 1).leadingZeroBitCount - 3)
    return (byteCount + step - 1) & ~(step - 1)
  }

  /// A block of at least `byteCount` bytes, or nil where there is none.
  public func allocate(byteCount: Int) -> UnsafeMutableRawPointer? {
    guard byteCount >= 0, byteCount <= 1 << 46 else { return nil }
    let size = Self.roundedSize(byteCount)
    let address = state.withLock { state in
      size <= Self.largestSmall ? allocateSmall(size, &state) : allocateLarge(size, &state)
    }
    return address.flatMap { UnsafeMutableRawPointer(bitPattern: $0) }
  }

  private func allocateSmall(_ size: Int, _ state: inout State) -> Int? {
    guard let address = state.free[size]?.popLast() ?? obtained(size, &state) else { return nil }
    state.use(size)
    return address
  }

  private func allocateLarge(_ size: Int, _ state: inout State) -> Int? {
    var block = state.arena.allocate(size)
    if block == nil {
      // A segment for others too, or at least one for this.
      let share = Self.roundedSize(Int(growth * Double(state.heldByteCount)))
      let segment = max(size, Self.segmentSize, share)
      for wanted in [segment, size] {
        guard let address = obtained(wanted, &state) else { continue }
        state.arena.add(segment: address, size: wanted)
        if discard != nil { state.untouched.insert(contentsOf: address..<address + wanted) }
        block = state.arena.allocate(size)
        break
      }
    }
    guard let block else { return nil }
    state.use(block.size)
    if discard != nil {
      state.untouched.remove(contentsOf: block.address..<block.address + block.size)
    }
    return block.address
  }

  /// Fresh memory, if need be in place of what is kept.
  private func obtained(_ size: Int, _ state: inout State) -> Int? {
    if state.heldByteCount > budget - size {
      release(state.heldByteCount - (budget - size), &state)
      if state.heldByteCount > budget - size { return nil }
    }
    var address = obtain(size)
    if address == nil, state.freeByteCount > 0 {
      // What is kept in other sizes may be what is missing.
      release(.max, &state)
      address = obtain(size)
    }
    guard let address else { return nil }
    state.heldByteCount += size
    return Int(bitPattern: address)
  }

  /// Keeps a block for other requests.
  public func free(_ address: UnsafeMutableRawPointer, byteCount: Int) {
    let size = Self.roundedSize(byteCount)
    state.withLock { state in
      if size <= Self.largestSmall {
        state.free[size, default: []].append(Int(bitPattern: address))
        state.usedByteCount -= size
      } else {
        state.usedByteCount -= state.arena.release(Int(bitPattern: address))
      }
      let kept = max(limit, state.usedByteCount)
      if state.freeByteCount > kept { release(state.freeByteCount - kept, &state) }
    }
  }

  /// The number of bytes that are in use.
  public var usedByteCount: Int { state.withLock { $0.usedByteCount } }

  /// The greatest number of bytes that were in use at once.
  public var peakByteCount: Int { state.withLock { $0.peakByteCount } }

  /// Gives memory between large blocks back to the system until it is used again, the smallest gaps first, 8 MB
  /// at most.
  ///
  /// For work in equal parts, after each. The next part finds room in what this one leaves, if it is large;
  /// what is small fits none of its requests. The system clears such memory before it is used again; the limit
  /// keeps whole areas, which the next work fills, from that.
  public func discardIdle() {
    guard let discard else { return }
    state.withLock { state in
      var rest = Self.discardedAtOnce
      for gap in state.arena.freeRanges where rest > 0 {
        for range in RangeSet(gap).subtracting(state.untouched).ranges where rest > 0 {
          let start = range.upperBound - min(range.count, rest)
          guard let address = UnsafeMutableRawPointer(bitPattern: start) else { continue }
          rest -= range.upperBound - start
          discard(address, range.upperBound - start)
          state.untouched.insert(contentsOf: start..<range.upperBound)
        }
      }
    }
  }

  /// Releases what is not in use, as far as it is not in one segment with something that is.
  public func releaseUnused() { state.withLock { release(.max, &$0) } }

  /// Releases unused memory, large segments first, until `enough` bytes are.
  private func release(_ enough: Int, _ state: inout State) {
    var sum = 0
    func drop(_ address: Int, _ size: Int) {
      if let pointer = UnsafeMutableRawPointer(bitPattern: address) { giveBack(pointer) }
      sum += size
    }
    for (address, size) in state.arena.takeUnused(enough: enough) {
      state.untouched.remove(contentsOf: address..<address + size)
      drop(address, size)
    }
    for (size, addresses) in state.free where sum < enough {
      for address in addresses { drop(address, size) }
      state.free[size] = nil
    }
    state.heldByteCount -= sum
  }

  deinit { releaseUnused() }
}

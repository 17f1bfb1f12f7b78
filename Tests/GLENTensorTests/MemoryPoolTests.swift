import Foundation
import Synchronization
import Testing

@testable import GLENTensor

@Suite struct MemoryPoolTests {
  /// A source of addresses that nobody touches, and what it has out.
  private final class Source: Sendable {
    let out = Mutex<[Int: Int]>([:])
    let discarded = Mutex<[Range<Int>]>([])
    private let next = Mutex(1 << 30)
    let capacity: Int

    init(capacity: Int = .max) { self.capacity = capacity }

    var byteCount: Int { out.withLock { $0.values.reduce(0, +) } }

    func pool(
      keeping limit: Int = .max, budget: Int = .max, growth: Double = 0
    ) -> MemoryPool {
      MemoryPool(keeping: limit, budget: budget, growth: growth) { size in
        guard size <= self.capacity - self.byteCount else { return nil }
        let address = self.next.withLock { next in
          defer { next += size + 4096 }
          return next
        }
        self.out.withLock { $0[address] = size }
        return UnsafeMutableRawPointer(bitPattern: address)
      } release: { address in
        let known = self.out.withLock { $0.removeValue(forKey: Int(bitPattern: address)) }
        #expect(known != nil, "released twice, or never obtained")
      } discard: { address, byteCount in
        let start = Int(bitPattern: address)
        self.discarded.withLock { $0.append(start..<start + byteCount) }
      }
    }
  }

  private let mega = 1 << 20

  @Test func otherSizesAreCutFromTheSameMemory() throws {
    let source = Source()
    let pool = source.pool()
    func takeAndFree(_ sizes: [Int]) throws {
      let blocks = try sizes.map { (try #require(pool.allocate(byteCount: $0)), $0) }
      for (address, size) in blocks { pool.free(address, byteCount: size) }
    }
    try takeAndFree([9 * mega, 5 * mega, 7 * mega])
    let held = source.byteCount
    for sizes in [[3 * mega, 3 * mega, 15 * mega], [20 * mega], [Int](repeating: mega, count: 20)] {
      try takeAndFree(sizes)
      #expect(source.byteCount == held)
    }
    #expect(pool.usedByteCount == 0 && pool.peakByteCount == 21 * mega)
  }

  /// A segment of 32 MB has room for three blocks of 9 MB; larger ones waste less at their ends.
  @Test func growthMakesFewSegments() throws {
    let (steady, growing) = (Source(), Source())
    for (source, growth) in [(steady, 0), (growing, 0.5)] {
      let pool = source.pool(growth: growth)
      for _ in 0..<100 { _ = try #require(pool.allocate(byteCount: 9 * mega)) }
    }
    #expect(steady.out.withLock(\.count) == 34)
    #expect(growing.out.withLock(\.count) <= 10)
  }

  /// The smallest gaps first, eight megabytes at a time, and none that nothing has used since.
  @Test func gapsAreDiscarded() throws {
    let source = Source()
    let pool = source.pool()
    let sizes = [4, 3, 1, 2, 1, 9, 1]
    let blocks = try sizes.map { try #require(pool.allocate(byteCount: $0 * mega)) }
    func discarded() -> [Range<Int>] {
      source.discarded.withLock { $0 = [] }
      pool.discardIdle()
      return source.discarded.withLock(\.self)
    }
    func range(_ block: Int, from start: Int = 0, to end: Int? = nil) -> Range<Int> {
      let address = Int(bitPattern: blocks[block])
      return address + start * mega..<address + (end ?? sizes[block]) * mega
    }
    #expect(discarded() == [], "all that was used is in use, and the rest of the segment was not")
    for gap in [1, 3, 5] { pool.free(blocks[gap], byteCount: sizes[gap] * mega) }
    #expect(discarded() == [range(3), range(1), range(5, from: 6)])
    #expect(discarded() == [range(5, to: 6)])
    #expect(discarded() == [])
    // Part of a gap is used again.
    let inside = try #require(pool.allocate(byteCount: 2 * mega))
    let other = try #require(pool.allocate(byteCount: mega))
    #expect(inside == blocks[3] && other == blocks[1])
    pool.free(other, byteCount: mega)
    #expect(discarded() == [range(1, to: 1)])
    pool.free(inside, byteCount: 2 * mega)
    #expect(discarded() == [range(3)])
    #expect(discarded() == [])
  }

  /// What little has been used of a large free area is no gap.
  @Test func gapsComeBeforeWhatALargeAreaHolds() throws {
    let source = Source()
    let pool = source.pool()
    let blocks = try [5, 1].map { try #require(pool.allocate(byteCount: $0 * mega)) }
    let used = try #require(pool.allocate(byteCount: 4 * mega))
    pool.free(used, byteCount: 4 * mega)
    pool.free(blocks[0], byteCount: 5 * mega)
    pool.discardIdle()
    let (gap, rest) = (Int(bitPattern: blocks[0]), Int(bitPattern: used))
    #expect(
      source.discarded.withLock(\.self)
        == [gap..<gap + 5 * mega, rest + mega..<rest + 4 * mega])
  }

  #if os(Linux)
    /// Pages of gaps leave the process, and those of their neighbours keep what they hold.
    @Test func gapsLeaveTheProcess() throws {
      let pool = MemoryPool.host()
      let size = 3 * mega
      let blocks = try (0..<5).map { _ in try #require(pool.allocate(byteCount: size)) }
      for (number, block) in blocks.enumerated() {
        block.initializeMemory(as: UInt8.self, repeating: UInt8(number + 1), count: size)
      }
      func residentPages(_ block: UnsafeMutableRawPointer) -> Int {
        var pages = [UInt8](repeating: 0, count: size / Int(getpagesize()))
        return mincore(block, size, &pages) == 0 ? pages.count { $0 & 1 == 1 } : -1
      }
      let all = size / Int(getpagesize())
      for gap in [1, 3] { pool.free(blocks[gap], byteCount: size) }
      #expect(blocks.map(residentPages) == [all, all, all, all, all])
      pool.discardIdle()
      #expect(blocks.map(residentPages) == [all, 0, all, 0, all])
      for number in [0, 2, 4] {
        let bytes = UnsafeRawBufferPointer(start: blocks[number], count: size)
        #expect(bytes.allSatisfy { $0 == UInt8(number + 1) })
      }
      let again = try #require(pool.allocate(byteCount: size))
      #expect(again == blocks[1] || again == blocks[3])
      again.initializeMemory(as: UInt8.self, repeating: 9, count: size)
      #expect(residentPages(again) == all)
    }
  #endif

  @Test func asMuchIsKeptAsIsUsed() throws {
    let source = Source()
    let pool = source.pool(keeping: mega)
    let blocks = try (0..<6).map { _ in try #require(pool.allocate(byteCount: 40 * mega)) }
    for block in blocks[..<3] { pool.free(block, byteCount: 40 * mega) }
    #expect(source.byteCount == 240 * mega)
    for block in blocks[3...] { pool.free(block, byteCount: 40 * mega) }
    #expect(source.byteCount == 0)
  }

  /// Random requests; no two blocks in use may overlap, and every one lies in what was obtained.
  @Test(arguments: 0..<4) func blocksNeverOverlap(seed: UInt64) throws {
    let source = Source()
    let pool = source.pool(keeping: 40 * mega)
    var random = SeededGenerator(RandomKey(seed: seed))
    var live: [(address: UnsafeMutableRawPointer, size: Int)] = []
    for _ in 0..<3000 {
      if live.count < 60, Bool.random(using: &random) {
        let size = Int(exp2(Double.random(in: 4..<23, using: &random)))
        live.append((try #require(pool.allocate(byteCount: size)), size))
      } else if let place = live.indices.randomElement(using: &random) {
        let (address, size) = live.remove(at: place)
        pool.free(address, byteCount: size)
      }
    }
    let segments = source.out.withLock { $0 }
    let ordered = live.sorted { $0.address < $1.address }
    for (block, next) in zip(ordered, ordered.dropFirst()) {
      #expect(block.address + block.size <= next.address)
    }
    for (address, size) in live {
      let place = Int(bitPattern: address)
      #expect(segments.contains { $0.key <= place && place + size <= $0.key + $0.value })
    }
    #expect(pool.usedByteCount >= live.reduce(0) { $0 + $1.size })
    for (address, size) in live { pool.free(address, byteCount: size) }
    #expect(pool.usedByteCount == 0)
    // What is unused stays below the limit, and all of it can be had back.
    #expect(source.byteCount <= 40 * mega)
    pool.releaseUnused()
    #expect(source.byteCount == 0)
  }

  @Test func aBudgetHoldsAndWhatIsKeptMakesRoom() throws {
    let source = Source()
    let pool = source.pool(budget: 50 * mega)
    let first = try #require(pool.allocate(byteCount: 33 * mega))
    #expect(pool.allocate(byteCount: 18 * mega) == nil)
    // A segment of the usual size has no room; one for this alone has.
    let second = try #require(pool.allocate(byteCount: 16 * mega))
    pool.free(first, byteCount: 33 * mega)
    // The first segment is too small: it has to go before another fits.
    #expect(pool.allocate(byteCount: 34 * mega) != nil)
    #expect(source.byteCount == 50 * mega)
    pool.free(second, byteCount: 16 * mega)
  }

  @Test func aSourceThatHasNoMoreGetsBackWhatIsKept() throws {
    let source = Source(capacity: 40 * mega)
    let pool = source.pool()
    let first = try #require(pool.allocate(byteCount: 33 * mega))
    #expect(pool.allocate(byteCount: 8 * mega) == nil)
    pool.free(first, byteCount: 33 * mega)
    #expect(pool.allocate(byteCount: 39 * mega) != nil)
    #expect(source.byteCount == 39 * mega)
  }

  @Test func impossibleSizesAreRefused() {
    let pool = Source().pool()
    #expect(pool.allocate(byteCount: -1) == nil)
    #expect(pool.allocate(byteCount: .max) == nil)
  }
}

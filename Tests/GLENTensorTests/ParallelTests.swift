import Dispatch
import Foundation
import Synchronization
import Testing

@testable import GLENTensor

/// The worker threads: each part of each job is done once, before the call returns.
struct ParallelTests {
  /// How often each number below `count` was given to one of `jobs` jobs.
  private func visits(
    of count: Int, grain: Int, jobs: Int, on backend: CPUBackend
  ) -> [Int] {
    let visits = (0..<count).map { _ in Counter() }
    for job in 1...jobs {
      backend.parallel(count, grain: grain) { range in
        for index in range { visits[index].value.add(1, ordering: .relaxed) }
      }
      // The call must not return while a part is under way.
      if visits.contains(where: { $0.value.load(ordering: .relaxed) != job }) { break }
    }
    return visits.map { $0.value.load(ordering: .relaxed) }
  }

  private final class Counter: Sendable {
    let value = Atomic(0)
  }

  @Test(arguments: [1, 2, 5]) func eachPartIsDoneOnce(threads: Int) {
    let backend = CPUBackend(threadCount: threads)
    for (count, grain) in [(1, 1), (2, 1), (7, 2), (64, 1), (64, 100)] {
      let found = visits(of: count, grain: grain, jobs: 500, on: backend)
      #expect(found.allSatisfy { $0 == 500 }, "\(count) by \(grain)")
    }
  }

  @Test func anotherThreadDoesTheWork() {
    let backend = CPUBackend(threadCount: 2)
    let inside = Counter()
    // Each part waits for the other: one thread alone would wait for ever.
    backend.parallel(2, grain: 1) { _ in
      inside.value.add(1, ordering: .acquiringAndReleasing)
      while inside.value.load(ordering: .acquiring) < 2 {}
    }
    #expect(inside.value.load(ordering: .relaxed) == 2)
  }

  @Test func jobsInsideOfJobsAreDone() {
    let backend = CPUBackend(threadCount: 3)
    let sum = Counter()
    backend.parallel(30, grain: 1) { outer in
      for _ in outer {
        backend.parallel(20, grain: 1) { sum.value.add($0.count, ordering: .relaxed) }
      }
    }
    #expect(sum.value.load(ordering: .relaxed) == 600)
  }

  @Test func severalCallersShareTheTeam() {
    let backend = CPUBackend(threadCount: 3)
    let whole = Counter()
    DispatchQueue.concurrentPerform(iterations: 4) { _ in
      let found = visits(of: 12, grain: 1, jobs: 500, on: backend)
      if found.allSatisfy({ $0 == 500 }) { whole.value.add(1, ordering: .relaxed) }
    }
    #expect(whole.value.load(ordering: .relaxed) == 4)
  }

  /// Sleeping workers are woken, and a backend that goes away ends its own.
  @Test func threadsSleepAndEnd() {
    for _ in 0..<20 {
      let backend = CPUBackend(threadCount: 4)
      _ = visits(of: 8, grain: 1, jobs: 3, on: backend)
      usleep(2000)
      #expect(visits(of: 8, grain: 1, jobs: 3, on: backend).allSatisfy { $0 == 3 })
    }
  }

  @Test func aContainersQuotaIsWorthProcessors() {
    let worth = [
      "200000 100000\n": 2, "150000 100000": 2, "50000 100000": 1, "6400000 100000": 64,
    ]
    for (text, count) in worth { #expect(CPUBackend.processors(quota: text) == count) }
    for text in ["max 100000\n", "", "0 100000", "1 0", "x y"] {
      #expect(CPUBackend.processors(quota: text) == nil)
    }
  }
}

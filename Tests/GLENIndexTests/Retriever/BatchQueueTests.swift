import Testing

@testable import GLENIndex

@Suite("Which questions go together") struct BatchQueueTests {
  private let begin = ContinuousClock.now

  private func time(_ milliseconds: Double) -> ContinuousClock.Instant {
    begin + .microseconds(Int64(milliseconds * 1000))
  }

  private func queue(limit: Int = 64) -> BatchQueue {
    BatchQueue(limit: limit, latency: .milliseconds(2))
  }

  @Test func anIdleModelTakesAQuestionAtOnce() {
    var queue = queue()
    for round in 0..<5 {
      // However soon the caller comes back.
      let now = Double(round) * 10
      #expect(queue.enqueue(UInt64(round), count: 1, at: time(now)) == .start([UInt64(round)]))
      queue.willAnswer()
      #expect(queue.finish(at: time(now + 9.9)) == .none)
    }
  }

  @Test func whoComesWhileTheModelWorksGoesTogether() {
    var queue = queue()
    #expect(queue.enqueue(1, count: 1, at: time(0)) == .start([1]))
    for id in 2...9 as ClosedRange<UInt64> {
      #expect(queue.enqueue(id, count: 1, at: time(1)) == .none)
    }
    queue.willAnswer()
    // The first caller is expected back too, for as long as the latency says.
    #expect(queue.finish(at: time(10)) == .wait(until: time(12)))
    #expect(queue.enqueue(10, count: 1, at: time(10.1)) == .start(Array(2...10)))
    queue.willAnswer()
    #expect(queue.finish(at: time(20)) == .none)
    // Nobody came back: a caller who comes later is not kept waiting for them.
    #expect(queue.enqueue(11, count: 1, at: time(23)) == .start([11]))
  }

  @Test func theWaitForOthersEnds() {
    var queue = queue()
    _ = queue.enqueue(1, count: 1, at: time(0))
    _ = queue.enqueue(2, count: 1, at: time(1))
    queue.willAnswer()
    #expect(queue.finish(at: time(5)) == .wait(until: time(7)))
    // An early timer sets another, one at a time.
    #expect(queue.wake(at: time(6)) == .wait(until: time(7)))
    queue.remove(2)
    #expect(queue.enqueue(3, count: 1, at: time(6.5)) == .none)
    #expect(queue.wake(at: time(7)) == .start([3]))
    // Alone now, and so never kept waiting again.
    queue.willAnswer()
    #expect(queue.finish(at: time(8)) == .none)
    #expect(queue.enqueue(4, count: 1, at: time(8)) == .start([4]))
  }

  @Test func batchesAreNoLargerThanTheLimit() {
    var queue = queue(limit: 4)
    _ = queue.enqueue(0, count: 1, at: time(0))
    for id in 1...6 as ClosedRange<UInt64> { _ = queue.enqueue(id, count: 1, at: time(0)) }
    _ = queue.enqueue(7, count: 9, at: time(0))
    _ = queue.enqueue(8, count: 1, at: time(0))
    var batches: [[UInt64]] = []
    while true {
      queue.willAnswer()
      var action = queue.finish(at: time(1))
      // Here nobody comes back.
      if case .wait = action { action = queue.wake(at: time(100)) }
      guard case .start(let batch) = action else { break }
      batches.append(batch)
    }
    // A caller with more questions than the limit goes alone; nobody is overtaken.
    #expect(batches == [[1, 2, 3, 4], [5, 6], [7], [8]])
  }

  @Test func whoGaveUpIsForgotten() {
    var queue = queue()
    _ = queue.enqueue(1, count: 1, at: time(0))
    _ = queue.enqueue(2, count: 1, at: time(0))
    queue.remove(2)
    queue.remove(77)
    queue.willAnswer()
    #expect(queue.finish(at: time(1)) == .none)
    #expect(queue.enqueue(3, count: 1, at: time(1)) == .start([3]))
  }
}

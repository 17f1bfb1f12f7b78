import Foundation
import Testing

@testable import GLENIndex

@Suite("Many callers at once") struct BatchingTests {
  /// A question's last digits depend on how many are encoded with it, so what ties may change places.
  private static func expectSame(_ hits: [SearchHit], _ expected: [SearchHit]) {
    #expect(hits.count == expected.count)
    let scores = Dictionary(uniqueKeysWithValues: expected.map { ($0.id, $0.score) })
    for (hit, other) in zip(hits, expected) {
      #expect(abs(hit.score - other.score) < 1e-5)
      #expect(abs((hit.probability ?? -1) - (other.probability ?? -2)) < 1e-5)
      // One that is not among the expected ties with the last of them.
      let score = scores[hit.id] ?? expected.last?.score ?? .nan
      #expect(abs(hit.score - score) < 1e-5, "\(hit.id)")
    }
  }

  @Test func eightCallersShareModelCalls() async throws {
    let (retriever, probe) = try ToyModel.probed()
    let questions = (0..<160).map { "\(ToyModel.questions[$0 % 6]) \($0)" }
    let expected = try questions.map { question in try retriever.search(question, limit: 7) }
    let callsBefore = probe.batches.count
    var answers = [[SearchHit]](repeating: [], count: 160)
    try await withThrowingTaskGroup(of: [(Int, [SearchHit])].self) { group in
      for caller in 0..<8 {
        group.addTask {
          var own: [(Int, [SearchHit])] = []
          for place in stride(from: caller, to: 160, by: 8) {
            own.append((place, try await retriever.search(questions[place], limit: 7)))
          }
          return own
        }
      }
      for try await own in group {
        for (place, hits) in own { answers[place] = hits }
      }
    }
    for (hits, expected) in zip(answers, expected) {
      Self.expectSame(hits, expected)
    }
    #expect(probe.batches.count - callsBefore < 160)
    #expect(retriever.batcher.callerCount == 0)
  }

  /// While the model is busy with one question, others gather, no more of them than the limit says.
  @Test func questionsGatherWhileTheModelIsBusy() async throws {
    let (retriever, probe) = try ToyModel.probed(
      RetrieverConfiguration(maximumBatchCount: 4, batchLatency: .zero))
    let expected = try ToyModel.questions.map { question in try retriever.search(question) }
    let calls = probe.batches.count
    probe.hold()
    async let first = retriever.search("looms")
    try await eventually { probe.batches.count == calls + 1 }
    let callers = ToyModel.questions.map { question in
      Task { try await retriever.search(question) }
    }
    try await eventually { retriever.batcher.callerCount == 7 }
    probe.release()
    for (caller, expected) in zip(callers, expected) {
      Self.expectSame(try await caller.value, expected)
    }
    #expect(try await first.count == 10)
    #expect(probe.batches.dropFirst(calls).map(\.count) == [1, 4, 2])
    #expect(probe.batches.dropFirst(calls + 1).joined().sorted() == ToyModel.questions.sorted())
  }

  @Test func manyQuestionsOfOneCallerAreEncodedInBatches() async throws {
    let (retriever, probe) = try ToyModel.probed()
    let questions = (0..<150).map { "\(ToyModel.questions[$0 % 6]) \($0)" }
    let answers = try await retriever.search(questions, limit: 5)
    #expect(probe.batches.map(\.count) == [64, 64, 22])
    #expect(answers.count == 150)
    let expected = try questions.map { question in try retriever.search(question, limit: 5) }
    for (hits, expected) in zip(answers, expected) { Self.expectSame(hits, expected) }
    #expect(try await retriever.search([String]()).isEmpty)
  }

  @Test func aCancelledCallerDisturbsNobody() async throws {
    let (retriever, probe) = try ToyModel.probed(RetrieverConfiguration(batchLatency: .zero))
    probe.hold()
    let encoded = Task { try await retriever.search("bees") }
    try await eventually { probe.batches.count == 1 }
    let others = ["rivers", "clocks", "looms"].map { question in
      Task { try await retriever.search(question) }
    }
    try await eventually { retriever.batcher.callerCount == 4 }
    // One that is being encoded and one that waits: both end while the model is still held.
    encoded.cancel()
    others[1].cancel()
    for task in [encoded, others[1]] {
      await #expect(throws: CancellationError.self) { try await task.value }
    }
    #expect(retriever.batcher.callerCount == 2)
    probe.release()
    #expect(try await others[0].value.count == 10)
    #expect(try await others[2].value.count == 10)
    #expect(probe.batches.map { $0.sorted() } == [["bees"], ["looms", "rivers"]])
    // Cancelled before it began.
    let late = Task {
      withUnsafeCurrentTask { $0?.cancel() }
      return try await retriever.search("comets")
    }
    await #expect(throws: CancellationError.self) { try await late.value }
    #expect(retriever.batcher.callerCount == 0)
  }

  @Test func aLateCallerIsToldAtOnce() async throws {
    let (retriever, probe) = try ToyModel.probed(RetrieverConfiguration(batchLatency: .zero))
    probe.hold()
    let patient = Task { try await retriever.search("bees") }
    try await eventually { probe.batches.count == 1 }
    // One is longer than a timer sleeps at a time.
    for limit in [Duration.milliseconds(20), .zero, .seconds(-1), .milliseconds(1100)] {
      let error = await #expect(throws: IndexError.self) {
        try await retriever.search("rivers", options: SearchOptions(timeLimit: limit))
      }
      #expect(error == .timedOut(limit: limit))
      #expect(error?.description.hasPrefix("search: there was no answer in time; expected") == true)
    }
    await #expect(throws: IndexError.timedOut(limit: .milliseconds(5))) {
      try await retriever.search(["a", "b"], options: SearchOptions(timeLimit: .milliseconds(5)))
    }
    #expect(retriever.batcher.callerCount == 1)
    probe.release()
    #expect(try await patient.value.count == 10)
    // Nobody encodes for those who have gone.
    #expect(probe.batches == [["bees"]])
    let hits = try await retriever.search(
      "rivers", options: SearchOptions(timeLimit: .seconds(60)))
    #expect(hits.count == 10)
    // Longer than anybody waits, and than an instant can say.
    for limit in [Duration.seconds(Int64.max), .seconds(400 * 365 * 86_400)] {
      let options = SearchOptions(timeLimit: limit)
      #expect(try await retriever.search("rivers", options: options).count == 10)
    }
    #expect(throws: IndexError.timedOut(limit: .zero)) {
      let answer = { try retriever.search("rivers", options: SearchOptions(timeLimit: .zero)) }
      _ = try answer()
    }
  }

  @Test func aFailingBatchIsToldToEachCaller() async throws {
    let (retriever, probe) = try ToyModel.probed(RetrieverConfiguration(batchLatency: .zero))
    probe.hold()
    let first = Task { try await retriever.search("bees") }
    try await eventually { probe.batches.count == 1 }
    let others = ["rivers", "fail", "looms"].map { question in
      Task { try await retriever.search(question) }
    }
    try await eventually { retriever.batcher.callerCount == 4 }
    probe.release()
    #expect(try await first.value.count == 10)
    for task in others {
      await #expect(throws: ProbeScoring.Failure.self) { try await task.value }
    }
    #expect(try await retriever.search("rivers").count == 10)
    // What is wrong with one question alone is told to its caller alone.
    let other = try ToyModel.probed().retriever
    await #expect(throws: IndexError.self) {
      try await retriever.search(
        "bees", options: SearchOptions(filter: other.filter(ids: ["bees-1"])))
    }
    #expect(retriever.batcher.callerCount == 0)
  }

  /// Callers who give up at random moments: each ends, and the batcher forgets all of them.
  @Test func everyCallerIsAnsweredOnce() async throws {
    let retriever = try ToyModel.probed().retriever
    let ended = await withTaskGroup(of: Bool.self) { group in
      for caller in 0..<300 {
        group.addTask {
          let limit = caller % 3 == 0 ? Duration.microseconds(caller * 40) : nil
          let search = Task {
            try await retriever.search("bees \(caller)", options: SearchOptions(timeLimit: limit))
          }
          if caller % 3 == 1 {
            try? await Task.sleep(for: .microseconds(caller * 30))
            search.cancel()
          }
          switch await search.result {
          case .success(let hits): return hits.count == 10
          case .failure(let error):
            return caller % 3 == 0
              ? error as? IndexError == limit.map { .timedOut(limit: $0) }
              : caller % 3 == 1 && error is CancellationError
          }
        }
      }
      return await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
    }
    #expect(ended == 300)
    #expect(retriever.batcher.callerCount == 0)
  }

  @Test func theMemoryBudgetLimitsBatches() {
    func limit(_ configuration: RetrieverConfiguration, vocabulary: Int = 32128) -> Int {
      configuration.batchLimit(identifierLength: 3, vocabularySize: vocabulary)
    }
    #expect(limit(RetrieverConfiguration()) == 64)
    #expect(limit(RetrieverConfiguration(memoryBudget: 12_000_000)) == 10)
    #expect(limit(RetrieverConfiguration(memoryBudget: 0)) == 1)
    #expect(limit(RetrieverConfiguration(maximumBatchCount: -1)) == 1)
    #expect(limit(RetrieverConfiguration(), vocabulary: .max) == 1)
  }
}

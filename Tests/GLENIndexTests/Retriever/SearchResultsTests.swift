import Synchronization
import Testing

@testable import GLENIndex

@Suite("A stream of questions") struct SearchResultsTests {
  /// Gives numbered questions and counts them.
  private struct Source: AsyncSequence, Sendable {
    final class Counter: Sendable {
      let taken = Mutex(0)
      var value: Int { taken.withLock { $0 } }
    }
    struct Broken: Error {}

    let count: Int
    var breaks = false
    let counter = Counter()

    func makeAsyncIterator() -> Iterator { Iterator(source: self) }

    struct Iterator: AsyncIteratorProtocol {
      let source: Source
      var place = 0

      mutating func next() async throws -> String? {
        guard place < source.count else {
          if source.breaks { throw Broken() }
          return nil
        }
        place += 1
        source.counter.taken.withLock { $0 += 1 }
        return "bees \(place - 1)"
      }
    }
  }

  @Test func answersComeInOrder() async throws {
    let retriever = try ToyModel.probed().retriever
    let source = Source(count: 200)
    var questions: [String] = []
    for try await (question, hits) in retriever.results(for: source, limit: 3) {
      let expected = try await retriever.search(question, limit: 3)
      #expect(hits.map(\.id) == expected.map(\.id))
      questions.append(question)
    }
    #expect(questions == (0..<200).map { "bees \($0)" })
    #expect(retriever.batcher.callerCount == 0)
  }

  @Test func fewQuestionsAreTakenAhead() async throws {
    let retriever = try ToyModel.probed(RetrieverConfiguration(maximumBatchCount: 2)).retriever
    let source = Source(count: 100)
    var results: SearchResults<Source>.Iterator? =
      retriever.results(for: source).makeAsyncIterator()
    try await eventually { source.counter.value == 4 }
    try await Task.sleep(for: .milliseconds(20))
    #expect(source.counter.value == 4)
    _ = try await results?.next()
    try await eventually { source.counter.value == 5 }
    // Nobody reads any more, so nothing more is taken.
    results = nil
    try await Task.sleep(for: .milliseconds(20))
    #expect(source.counter.value <= 6)
    try await eventually { retriever.batcher.callerCount == 0 }
  }

  @Test func anAnswerDoesNotWaitForTheNextQuestion() async throws {
    let retriever = try ToyModel.probed().retriever
    let (stream, questions) = AsyncStream.makeStream(of: String.self)
    var results = retriever.results(for: stream, limit: 2).makeAsyncIterator()
    for question in ["bees", "rivers", "looms"] {
      questions.yield(question)
      let answer = try await results.next()
      #expect(answer?.question == question && answer?.hits.count == 2)
    }
    questions.finish()
    #expect(try await results.next() == nil)
  }

  @Test func errorsEndTheResults() async throws {
    let (retriever, _) = try ToyModel.probed()
    var answered = 0
    await #expect(throws: Source.Broken.self) {
      for try await _ in retriever.results(for: Source(count: 3, breaks: true)) { answered += 1 }
    }
    #expect(answered == 3)
    let (stream, questions) = AsyncStream.makeStream(of: String.self)
    questions.yield("fail")
    questions.finish()
    await #expect(throws: ProbeScoring.Failure.self) {
      for try await _ in retriever.results(for: stream) {}
    }
  }

  @Test func cancellingTheReaderEndsIt() async throws {
    let (retriever, probe) = try ToyModel.probed()
    probe.hold()
    let reader = Task {
      for try await _ in retriever.results(for: Source(count: 100)) {}
    }
    try await eventually { !probe.batches.isEmpty }
    reader.cancel()
    await #expect(throws: CancellationError.self) { try await reader.value }
    probe.release()
    try await eventually { retriever.batcher.callerCount == 0 }
  }
}

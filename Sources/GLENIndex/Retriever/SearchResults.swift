extension Retriever {
  /// The documents that answer each question of a sequence, in its order, while it goes on.
  ///
  /// ```swift
  /// for try await (question, hits) in retriever.results(for: lines) { ... }
  /// ```
  ///
  /// Questions are taken as they come and answered together with what else is asked; an answer is
  /// there as soon as it and those before it are. No more than two batches of questions are taken
  /// ahead of the reader. The time limit is for each question. The first error, of the sequence or
  /// of a search, ends the results; so does cancelling the task that reads them, or no longer
  /// reading.
  public func results<Questions: AsyncSequence & Sendable>(
    for questions: Questions, limit: Int = 10, options: SearchOptions = SearchOptions()
  ) -> SearchResults<Questions> where Questions.Element == String {
    SearchResults(retriever: self, questions: questions, limit: limit, options: options)
  }
}

/// The answers to a sequence of questions; see ``Retriever/results(for:limit:options:)``.
public struct SearchResults<Questions: AsyncSequence & Sendable>: AsyncSequence, Sendable
where Questions.Element == String {
  /// A question and its hits.
  public typealias Element = (question: String, hits: [SearchHit])

  let retriever: Retriever
  let questions: Questions
  let limit: Int
  let options: SearchOptions

  /// Begins to take questions.
  public func makeAsyncIterator() -> Iterator {
    let (searches, searchList) = AsyncThrowingStream.makeStream(of: Search.self)
    let (permits, permitList) = AsyncStream.makeStream(of: Void.self)
    for _ in 0..<2 * retriever.batcher.limit { permitList.yield() }
    let pump = Task {
      do {
        var permit = permits.makeAsyncIterator()
        var question = questions.makeAsyncIterator()
        while await permit.next() != nil, let text = try await question.next() {
          searchList.yield(
            Search(
              question: text,
              hits: Task { try await retriever.search(text, limit: limit, options: options) }))
        }
        searchList.finish()
      } catch {
        searchList.finish(throwing: error)
      }
    }
    return Iterator(
      searches: searches.makeAsyncIterator(), reader: Reader(pump: pump, permits: permitList))
  }

  /// A search under way; it ends when nobody will read its answer.
  final class Search: Sendable {
    let question: String
    let hits: Task<[SearchHit], any Error>

    init(question: String, hits: Task<[SearchHit], any Error>) {
      self.question = question
      self.hits = hits
    }

    deinit { hits.cancel() }
  }

  /// Ends the taking of questions when nobody reads any more.
  final class Reader: Sendable {
    let pump: Task<Void, Never>
    let permits: AsyncStream<Void>.Continuation

    init(pump: Task<Void, Never>, permits: AsyncStream<Void>.Continuation) {
      self.pump = pump
      self.permits = permits
    }

    deinit {
      permits.finish()
      pump.cancel()
    }
  }

  /// Reads the answers in order.
  public struct Iterator: AsyncIteratorProtocol {
    var searches: AsyncThrowingStream<Search, any Error>.Iterator
    let reader: Reader

    /// The next answer, or nil behind the last.
    ///
    /// - Throws: the first error; `CancellationError`.
    public mutating func next() async throws -> Element? {
      guard let search = try await searches.next() else {
        try Task.checkCancellation()
        return nil
      }
      let hits = try await withTaskCancellationHandler {
        try await search.hits.value
      } onCancel: {
        search.hits.cancel()
      }
      reader.permits.yield()
      return (search.question, hits)
    }
  }
}

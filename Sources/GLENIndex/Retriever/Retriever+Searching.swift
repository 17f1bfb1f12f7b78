import GLENTensor

extension Retriever {
  /// The documents that answer a question, best first.
  ///
  /// An empty question is the end token alone: the ranking of what the model expects before
  /// anything is asked. A long one is cut at the model's limit. A document whose identifier is
  /// impossible (a score of -infinity) is no hit.
  ///
  /// The work is done on the retriever's own threads, together with that of others who ask now. A
  /// cancelled call, or one whose time is up, ends at once and disturbs nobody else.
  ///
  /// - Parameters:
  ///   - question: plain text.
  ///   - limit: the most documents.
  ///   - options: mode, filter, abstention and time limit.
  /// - Throws: `IndexError.timedOut`; `IndexError.invalidSearch` for a filter of another snapshot
  ///   or a beam without width; `IndexError.invalidScores` if the model's weights are not numbers;
  ///   `TensorError`; `CancellationError`.
  public func search(
    _ question: String, limit: Int = 10, options: SearchOptions = SearchOptions()
  ) async throws -> [SearchHit] {
    try await batcher.value(of: [question], timeLimit: options.timeLimit) { scores in
      try hits(for: scores[0], of: question, limit: limit, options: options)
    }
  }

  /// The documents that answer each of several questions, in their order.
  ///
  /// The questions are encoded in batches. The time limit is for all of them together.
  ///
  /// - Throws: as for one question.
  public func search(
    _ questions: [String], limit: Int = 10, options: SearchOptions = SearchOptions()
  ) async throws -> [[SearchHit]] {
    let begin = ContinuousClock.now
    var result: [[SearchHit]] = []
    result.reserveCapacity(questions.count)
    for part in parts(of: questions) {
      result += try await batcher.value(
        of: part, timeLimit: options.timeLimit, since: begin
      ) { scores in
        try hits(for: scores, of: part, limit: limit, options: options)
      }
    }
    return result
  }

  /// The documents that answer a question, found on the calling thread.
  ///
  /// The time limit is looked at between the model's work and the search.
  ///
  /// - Throws: as the asynchronous form, but for `CancellationError`.
  public func search(
    _ question: String, limit: Int = 10, options: SearchOptions = SearchOptions()
  ) throws -> [SearchHit] {
    try search([question], limit: limit, options: options).first ?? []
  }

  /// The documents that answer each of several questions, found from the calling thread.
  ///
  /// - Throws: as for one question.
  public func search(
    _ questions: [String], limit: Int = 10, options: SearchOptions = SearchOptions()
  ) throws -> [[SearchHit]] {
    let begin = ContinuousClock.now
    return try parts(of: questions).flatMap { part in
      let scores = try batcher.scores(of: part)
      if let timeLimit = options.timeLimit, ContinuousClock.now - begin >= timeLimit {
        throw IndexError.timedOut(limit: timeLimit)
      }
      return try hits(for: scores, of: part, limit: limit, options: options)
    }
  }

  /// The scores of questions, for ``hits(for:of:limit:options:)`` and ``rank(_:limit:mode:collisions:filter:)``.
  ///
  /// Their tables are all in memory together: 4 n V bytes each.
  ///
  /// - Throws: as the synchronous search.
  public func scores(of questions: [String]) throws -> [QueryScores] {
    try parts(of: questions).flatMap(batcher.scores(of:))
  }

  /// The hits for scores that are already there.
  ///
  /// - Parameters:
  ///   - scores: what the model makes of the question.
  ///   - question: the question whose scores they are; only keywords read it.
  ///   - limit: the most documents.
  ///   - options: as of a search; the time limit is not looked at.
  /// - Throws: `IndexError`.
  public func hits(
    for scores: QueryScores, of question: String, limit: Int = 10,
    options: SearchOptions = SearchOptions()
  ) throws(IndexError) -> [SearchHit] {
    var hits: [(ranked: RankedDocument, fusedScore: Float?)] = []
    if let hybrid = options.hybrid {
      hits = try rank(
        scores, question: question, limit: limit, hybrid: hybrid,
        isAllowed: allowedDocuments(options.filter)
      ).map { ($0.ranked, $0.score) }
    } else {
      hits = try rank(scores, limit: limit, mode: options.mode, filter: options.filter)
        .prefix { $0.score > -.infinity }.map { ($0, nil) }
    }
    guard options.includesProbabilities || options.minimumProbability > 0 else {
      return hits.map { hit($0.ranked, fusedScore: $0.fusedScore) }
    }
    guard let best = hits.first?.ranked else { return [] }
    let probabilities = try CorpusProbabilities(
      scores, snapshot.tables, threadCount: batcher.threadCount)
    // What is not a number is no bound, as above.
    if probabilities.probability(ofDocument: best.document) < options.minimumProbability {
      return []
    }
    return hits.map {
      hit(
        $0.ranked, probability: probabilities.probability(ofDocument: $0.ranked.document),
        fusedScore: $0.fusedScore)
    }
  }

  /// Ranks the documents by scores that are already there, in document numbers and with a choice of
  /// how collisions are ordered.
  ///
  /// - Throws: `IndexError`.
  public func rank(
    _ scores: QueryScores, limit: Int, mode: SearchMode = .exact,
    collisions: CollisionOrder = .ranked, filter: DocumentFilter? = nil
  ) throws(IndexError) -> [RankedDocument] {
    let allowed = try allowedDocuments(filter)
    return switch mode {
    case .exact:
      try ExactSearch(snapshot.tables, threadCount: batcher.threadCount).rank(
        scores, limit: limit, collisions: collisions, isAllowed: allowed)
    case .beam(let width):
      try BeamSearch(snapshot.tables, width: width).rank(
        scores, limit: limit, collisions: collisions, isAllowed: allowed)
    }
  }

  /// A search over this snapshot's identifiers on a device, for ranking many queries' scores at once.
  ///
  /// - Throws: `TensorError.outOfMemory`.
  public func search(on scanner: any CodeScanner) throws(TensorError) -> DeviceSearch {
    try DeviceSearch(snapshot.tables, on: scanner, threadCount: batcher.threadCount)
  }

  private func hits(
    for scores: [QueryScores], of questions: [String], limit: Int, options: SearchOptions
  ) throws -> [[SearchHit]] {
    try Parallel.map(scores.count, threads: batcher.threadCount) { index in
      try hits(for: scores[index], of: questions[index], limit: limit, options: options)
    }
  }

  /// As many questions at a time as are encoded together.
  private func parts(of questions: [String]) -> [[String]] {
    stride(from: 0, to: questions.count, by: batcher.limit).map {
      Array(questions[$0..<min($0 + batcher.limit, questions.count)])
    }
  }
}

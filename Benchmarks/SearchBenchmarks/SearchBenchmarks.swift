import Benchmark
import GLENIndex
import Shapes

/// The best hundred of made-up documents, as `Shape` describes them; one thread.
let benchmarks: @Sendable () -> Void = {
  for count in [10_000, 110_000, 1_000_000] {
    add("exact search", count) { searcher in
      { blackHole(try searcher.exact.rank($0, limit: 100)) }
    }
  }
  for part in [10, 1000] {
    add("exact search, 1 in \(part) allowed", 110_000) { searcher in
      let allowed = searcher.some(oneIn: part)
      return { blackHole(try searcher.exact.rank($0, limit: 100, isAllowed: allowed)) }
    }
  }
  add("beam search, 100 wide", 110_000) { searcher in
    let beam = try BeamSearch(searcher.exact.tables, width: 100)
    return { blackHole(try beam.rank($0, limit: 100)) }
  }
  addRetrievers()
}

/// Hits with their probabilities, shares of a sum over all identifiers, of an index as it was made and after
/// a commit of one more document.
private func addRetrievers() {
  for (segments, what) in [(1, "search with probabilities"), (2, "the same after a commit")] {
    Benchmark(
      "\(what), 1000000 documents",
      configuration: .init(
        metrics: [.wallClock, .throughput, .peakMemoryResident], warmupIterations: 2,
        maxDuration: .seconds(1)),
      closure: { (benchmark, retriever: Retriever) in
        blackHole(try retriever.search("\(benchmark.currentIteration % 8)", limit: 100))
      },
      setup: { try Searcher.retriever(1_000_000, segments: segments) })
  }
}

/// Answers the name of a number with the scores of that number.
private struct NumberedScoring: QueryScoring {
  let prepared: [QueryScores]

  func scores(of questions: [String]) throws -> [QueryScores] {
    questions.map { prepared[(Int($0) ?? 0) % prepared.count] }
  }
}

/// A search and what it is asked, in turn.
private struct Prepared {
  let search: (QueryScores) throws -> Void
  let questions: [QueryScores]
}

/// Adds a search; an iteration asks one question.
private func add(
  _ what: String, _ count: Int,
  _ search: @escaping (Searcher) throws -> (QueryScores) throws -> Void
) {
  Benchmark(
    "\(what), \(count) documents",
    configuration: .init(
      metrics: [.wallClock, .throughput, .peakMemoryResident], warmupIterations: 2,
      maxDuration: .seconds(1)),
    closure: { (benchmark, prepared: Prepared) in
      let questions = prepared.questions
      try prepared.search(questions[benchmark.currentIteration % questions.count])
    },
    setup: {
      let searcher = try Searcher(count)
      return Prepared(search: try search(searcher), questions: searcher.questions)
    })
}

/// An index in memory and questions that some of its documents answer, n = 3.
private struct Searcher {
  let exact: ExactSearch
  let questions: [QueryScores]

  init(_ count: Int) throws {
    var generator = SplitMix(state: 1)
    let identifiers = (0..<count).map { _ in Shape.shared.identifier(3, &generator) }
    let weights = (0..<3 * count).map { _ in Float(10 + 2 * generator.normal()) }
    let table = try IdentifierTable.sorting(
      identifiers: identifiers.flatMap { $0 }, weights: weights, identifierLength: 3,
      vocabularySize: Shape.vocabularySize, weightFormat: .float16
    ).table
    exact = ExactSearch(IdentifierTables(table))
    questions = try (0..<8).map { _ in
      let document = Int.random(in: 0..<count, using: &generator)
      return try Shape.shared.query(for: identifiers[document], &generator)
    }
  }

  /// An index that is asked by `NumberedScoring`, its last document in a segment of its own for two.
  static func retriever(_ count: Int, segments: Int) throws -> Retriever {
    var generator = SplitMix(state: 1)
    var parts = [DocumentRecords](repeating: DocumentRecords(), count: segments)
    var identifiers: [[Int32]] = []
    for number in 0..<count {
      let identifier = Shape.shared.identifier(3, &generator)
      if number < 8 { identifiers.append(identifier) }
      parts[number == count - 1 ? segments - 1 : 0].append(
        id: String(number), tokens: identifier, weights: [10, 10, 10])
    }
    let snapshot = try IndexSnapshot(
      parts.map {
        try IndexSegment(
          $0, identifierLength: 3, vocabularySize: Shape.vocabularySize, weightFormat: .float16)
      }, identifierLength: 3, vocabularySize: Shape.vocabularySize, modelFingerprint: "")
    let scores = try identifiers.map { try Shape.shared.query(for: $0, &generator) }
    return try Retriever(
      model: NumberedScoring(prepared: scores), snapshot: snapshot,
      configuration: RetrieverConfiguration(threadCount: 1))
  }

  /// A part of the documents, drawn at random.
  func some(oneIn part: Int) -> DocumentSet {
    var generator = SplitMix(state: 3)
    let count = exact.tables.documentCount
    return DocumentSet(
      (0..<count).filter { _ in generator.next() % UInt64(part) == 0 }, capacity: count)
  }
}

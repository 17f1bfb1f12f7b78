import Foundation
import Testing

@testable import GLENIndex

@Suite struct SearchTests {
  /// Sizes that leave the last block whole, cut it, or fill many blocks.
  private static let limits = [0, 1, 2, 7, 50, 100, 1000, -5, Int.max]

  @Test(arguments: Scenario.allCases, 1...7)
  func exactSearchIsTheBruteForceRanking(scenario: Scenario, length: Int) throws {
    for (documents, vocabulary) in [(1, 3), (40, 4), (700, 6), (300, 200)] {
      let made = try SearchCase(
        scenario, documents: documents, length: length, vocabulary: vocabulary,
        seed: UInt64(documents * 31 + length))
      let expected = made.bruteForce()
      for limit in Self.limits {
        let ranking = try ExactSearch(table: made.table).rank(made.scores, limit: limit)
        #expect(ranking == Array(expected.prefix(max(limit, 0))))
      }
    }
  }

  @Test(arguments: Scenario.allCases)
  func scoresAndCosinesAgreeWithDoublePrecision(scenario: Scenario) throws {
    let made = try SearchCase(scenario, documents: 200, length: 3, vocabulary: 20, seed: 5)
    let judged = made.judged()
    for hit in try ExactSearch(table: made.table).rank(made.scores, limit: 200) {
      let expected = judged[hit.document]
      #expect(!hit.score.isNaN && !hit.similarity.isNaN)
      if expected.score.isFinite {
        #expect(abs(Double(hit.score) - expected.score) < 1e-5 * max(1, abs(expected.score)))
      } else {
        #expect(hit.score == -.infinity)
        #expect(hit.similarity == 0)
      }
      #expect(abs(Double(hit.similarity) - expected.similarity) < 1e-6)
    }
  }

  @Test(arguments: [1, 2, 3, 15, 16, 17, 64, 699, 700, 10_000])
  func neitherBlocksNorThreadsChangeAnything(blockSize: Int) throws {
    for scenario in Scenario.allCases {
      let made = try SearchCase(scenario, documents: 700, length: 3, vocabulary: 9, seed: 77)
      // A filter with documents in every block, and one that leaves most blocks without any.
      let filters = [
        DocumentSet((0..<700).filter { $0 % 3 == 1 }, capacity: 700),
        DocumentSet(300..<500, capacity: 700),
      ]
      let all = made.bruteForce()
      let filtered = filters.map { filter in made.bruteForce { filter.contains($0) } }
      for (threads, rows) in [(1, 1), (2, 1), (3, 100), (64, 1)] {
        let search = ExactSearch(
          IdentifierTables(made.table), threadCount: threads, blockSize: blockSize,
          rowsPerThread: rows)
        for limit in [1, 60, 1000] {
          #expect(try search.rank(made.scores, limit: limit) == Array(all.prefix(limit)))
          for (filter, ranking) in zip(filters, filtered) {
            #expect(
              try search.rank(made.scores, limit: limit, isAllowed: filter)
                == Array(ranking.prefix(limit)))
          }
        }
      }
    }
  }

  @Test func threadsAgreeAcrossSegmentsWithDeletions() throws {
    let made = try [3, 4].map {
      try SearchCase(.ties, documents: 300, length: 3, vocabulary: 3, seed: $0)
    }
    let tables = try IdentifierTables(
      made.map { ($0.table, DocumentSet([5, 6, 7, 200], capacity: 300)) }, identifierLength: 3,
      vocabularySize: 3)
    for limit in [1, 20, 150, 600] {
      let expected = try ExactSearch(tables).rank(made[0].scores, limit: limit)
      let search = ExactSearch(tables, threadCount: 3, blockSize: 2, rowsPerThread: 1)
      #expect(try search.rank(made[0].scores, limit: limit) == expected)
    }
  }

  @Test func codesOfThirtyTwoBitsAreScannedOnThreadsToo() throws {
    // More distinct tokens at a step than 16 bits can number.
    let made = try SearchCase(.random, documents: 120_000, length: 2, vocabulary: 400_000, seed: 2)
    #expect(made.table.layout.codeWidth == 4)
    let expected = Array(made.bruteForce().prefix(50))
    for threads in [1, 2] {
      let search = ExactSearch(
        IdentifierTables(made.table), threadCount: threads, blockSize: 1000, rowsPerThread: 1)
      #expect(try search.rank(made.scores, limit: 50) == expected)
    }
  }

  @Test func documentsAreFoundFromAnyEarlierRow() throws {
    let made = try SearchCase(.ties, documents: 100, length: 3, vocabulary: 3, seed: 1)
    for document in 0..<100 {
      let row = made.table.identifier(ofDocument: document)
      for earlier in 0...row {
        #expect(made.table.identifier(ofDocument: document, from: earlier) == row)
      }
    }
  }

  @Test(arguments: Scenario.allCases, [1, 3, 7])
  func beamAsWideAsTheIndexIsExact(scenario: Scenario, length: Int) throws {
    let made = try SearchCase(
      scenario, documents: 500, length: length, vocabulary: 8, seed: UInt64(length))
    let beam = try BeamSearch(table: made.table, width: made.table.identifierCount)
    for limit in Self.limits {
      let exact = try ExactSearch(table: made.table).rank(made.scores, limit: limit)
      #expect(try beam.rank(made.scores, limit: limit) == exact)
      let seed = CollisionOrder.shuffled(seed: 9)
      #expect(
        try beam.rank(made.scores, limit: limit, collisions: seed)
          == ExactSearch(table: made.table).rank(made.scores, limit: limit, collisions: seed))
    }
  }

  @Test func narrowBeamMissesWhatBeginsBadly() throws {
    // The best identifier, [1, 1], begins with the second-best token.
    let table = try IdentifierTable([[0, 0], [1, 1]], weights: [1, 1, 1, 1], length: 2)
    let scores = try QueryScores(
      logits: [2, 1, 0, 8], identifierLength: 2, vocabularySize: 2)
    #expect(try ExactSearch(table: table).rank(scores, limit: 1).map(\.document) == [1])
    let narrow = try BeamSearch(table: table, width: 1)
    #expect(try narrow.rank(scores, limit: 1).map(\.document) == [0])
    #expect(try narrow.rank(scores, limit: 5).map(\.document) == [0])
    let wide = try BeamSearch(table: table, width: 2)
    #expect(try wide.rank(scores, limit: 5).map(\.document) == [1, 0])
  }

  @Test(arguments: Scenario.allCases)
  func narrowBeamKeepsOneOfTheBestPrefixes(scenario: Scenario) throws {
    let made = try SearchCase(scenario, documents: 400, length: 3, vocabulary: 7, seed: 21)
    let all = made.bruteForce()
    for width in [1, 3, 10, 60] {
      // The beam by its definition: extend, sort by score and then by tokens, cut.
      var kept: [[Int32]] = [[]]
      for step in 0..<3 {
        func score(_ prefix: [Int32]) -> Float {
          prefix.enumerated().reduce(0) { $0 + made.scores.logProbability($1.0, Int($1.1)) }
        }
        let extended = Set(made.identifiers.map { Array($0.prefix(step + 1)) })
          .filter { kept.contains(Array($0.dropLast())) }
        kept = Array(
          extended.sorted {
            score($0) != score($1) ? score($0) > score($1) : $0.lexicographicallyPrecedes($1)
          }.prefix(width))
      }
      let expected = all.filter { kept.contains(made.identifiers[$0.document]) }
      let beam = try BeamSearch(table: made.table, width: width)
      #expect(try beam.rank(made.scores, limit: 400) == expected)
    }
  }

  @Test(arguments: Scenario.allCases, [0, 1, 3, 40, 250, 500])
  func filtersAreExact(scenario: Scenario, allowed: Int) throws {
    let made = try SearchCase(scenario, documents: 500, length: 3, vocabulary: 12, seed: 8)
    var generator = SeededGenerator(seed: UInt64(allowed))
    let documents = DocumentSet(
      (0..<500).shuffled(using: &generator).prefix(allowed), capacity: 500)
    let expected = made.bruteForce(isAllowed: { documents.contains($0) })
    let beam = try BeamSearch(table: made.table, width: made.table.identifierCount)
    for limit in [1, 10, 100, 1000] {
      let ranking = try ExactSearch(table: made.table).rank(
        made.scores, limit: limit, isAllowed: documents)
      #expect(ranking == Array(expected.prefix(limit)))
      #expect(try beam.rank(made.scores, limit: limit, isAllowed: documents) == ranking)
    }
  }

  @Test func filterMayBeLargerOrSmallerThanTheTable() throws {
    let made = try SearchCase(.random, documents: 100, length: 2, vocabulary: 30, seed: 4)
    for documents in [
      DocumentSet([3, 5], capacity: 6), DocumentSet([3, 5, 700], capacity: 701),
      DocumentSet(capacity: 0),
    ] {
      let expected = made.bruteForce(isAllowed: { documents.contains($0) })
      let search = ExactSearch(table: made.table)
      #expect(try search.rank(made.scores, limit: 9, isAllowed: documents) == expected)
    }
  }

  @Test func narrowBeamIsNotSpentOnFilteredDocuments() throws {
    let made = try SearchCase(.random, documents: 300, length: 3, vocabulary: 50, seed: 12)
    let worst = try #require(made.bruteForce().last)
    let only = DocumentSet([worst.document], capacity: 300)
    let beam = try BeamSearch(table: made.table, width: 1)
    #expect(try beam.rank(made.scores, limit: 3, isAllowed: only) == [worst])
  }

  @Test func collidingDocumentsAreOrderedByCosineThenNumber() throws {
    let table = try IdentifierTable(
      [[0, 1], [0, 1], [0, 1], [0, 1], [0, 1]], weights: [1, 0, 4, 2, 0, 0, 2, 1, -2, -1],
      length: 2)
    let scores = try QueryScores(
      logits: [2, 0, 0, 1], identifierLength: 2, vocabularySize: 2)
    let ranking = try ExactSearch(table: table).rank(scores, limit: 5)
    #expect(ranking.map(\.document) == [1, 3, 0, 2, 4])
    #expect(ranking.map(\.similarity) == [1, 1, Float(2 / 5.0.squareRoot()), 0, -1])
  }

  @Test func similarityUsesLogitsNotProbabilities() throws {
    // Log-probabilities would be equal for both tokens; the logits are not.
    let table = try IdentifierTable([[0, 0], [0, 0]], weights: [3, 3, 3, 1], length: 2)
    let scores = try QueryScores(
      logits: [6, 6, 2, 2], identifierLength: 2, vocabularySize: 2)
    #expect(try ExactSearch(table: table).rank(scores, limit: 2).map(\.document) == [1, 0])
  }

  @Test func equalScoresOfDifferentIdentifiersAreOrderedByCosineThenNumber() throws {
    let table = try IdentifierTable(
      [[0], [1], [1], [2], [3]], weights: [1, -1, 1, -1, 1], length: 1)
    let scores = try QueryScores(
      logits: [1, 1, 1, 1], identifierLength: 1, vocabularySize: 4)
    for limit in 1...5 {
      let ranking = try ExactSearch(table: table).rank(scores, limit: limit)
      #expect(ranking.map(\.document) == Array([0, 2, 4, 1, 3].prefix(limit)))
    }
  }

  @Test func shuffleKeepsScoresAndIsRepeatable() throws {
    let made = try SearchCase(.random, documents: 400, length: 2, vocabulary: 3, seed: 6)
    let search = ExactSearch(table: made.table)
    let ranked = try search.rank(made.scores, limit: 400)
    let first = try search.rank(made.scores, limit: 400, collisions: .shuffled(seed: 1))
    let again = try search.rank(made.scores, limit: 400, collisions: .shuffled(seed: 1))
    let other = try search.rank(made.scores, limit: 400, collisions: .shuffled(seed: 2))
    #expect(first == again)
    #expect(first != other)
    #expect(first != ranked)
    #expect(first.map(\.score) == ranked.map(\.score))
    #expect(
      first.sorted { $0.document < $1.document } == ranked.sorted { $0.document < $1.document })
    let cut = try search.rank(made.scores, limit: 33, collisions: .shuffled(seed: 1))
    #expect(cut == Array(first.prefix(33)))
  }

  @Test func shufflesAreFair() throws {
    let made = try SearchCase(.oneBucket, documents: 5, length: 2, vocabulary: 3, seed: 6)
    let search = ExactSearch(table: made.table)
    var firsts = [Int](repeating: 0, count: 5)
    for seed in 0..<2000 {
      let order = CollisionOrder.shuffled(seed: UInt64(seed))
      let ranking = try search.rank(made.scores, limit: 1, collisions: order)
      firsts[try #require(ranking.first).document] += 1
    }
    // Five standard deviations around 400.
    #expect(firsts.allSatisfy { abs($0 - 400) < 90 })
  }

  @Test func refusesQueriesOfAnotherModel() throws {
    let made = try SearchCase(.random, documents: 10, length: 3, vocabulary: 8, seed: 1)
    let short = try QueryScores(
      logits: [Float](repeating: 0, count: 16), identifierLength: 2, vocabularySize: 8)
    let small = try QueryScores(
      logits: [Float](repeating: 0, count: 21), identifierLength: 3, vocabularySize: 7)
    for scores in [short, small] {
      #expect(throws: IndexError.self) {
        try ExactSearch(table: made.table).rank(scores, limit: 1)
      }
      #expect(throws: IndexError.self) {
        try BeamSearch(table: made.table, width: 3).rank(scores, limit: 1)
      }
    }
    #expect(throws: IndexError.self) { try BeamSearch(table: made.table, width: 0) }
  }
}

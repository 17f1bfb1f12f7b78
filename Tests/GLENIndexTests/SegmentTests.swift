import Foundation
import Testing

@testable import GLENIndex

/// Several segments with deleted documents give what one table of the living documents gives.
@Suite struct SegmentTests {
  /// A case cut into segments, with every `period`-th document deleted.
  private struct Cut {
    var tables: IdentifierTables
    /// The number of each of the cut's documents in the case, by their number in the tables.
    var originals: [Int]
    /// The case's documents that are not deleted.
    var living: Set<Int>

    init(_ made: SearchCase, sizes: [Int], deletedShare: Double, seed: UInt64) throws {
      var generator = SeededGenerator(seed: seed)
      let n = made.table.identifierLength
      var rest = Array(made.identifiers.indices.shuffled(using: &generator))[...]
      var parts: [(table: IdentifierTable, deleted: DocumentSet?)] = []
      (originals, living) = ([], [])
      for size in sizes + [rest.count - sizes.reduce(0, +)] {
        let own = Array(rest.prefix(size))
        rest = rest.dropFirst(size)
        let (table, order) = try IdentifierTable.sorting(
          identifiers: own.flatMap { made.identifiers[$0] },
          weights: own.flatMap { made.weights[$0 * n..<($0 + 1) * n] }, identifierLength: n,
          vocabularySize: made.table.vocabularySize)
        var deleted = DocumentSet(capacity: own.count)
        for document in own.indices {
          if Double.random(in: 0..<1, using: &generator) < deletedShare {
            deleted.insert(document)
          } else {
            living.insert(own[order[document]])
          }
        }
        originals += order.map { own[$0] }
        parts.append((table, deleted.count == 0 ? nil : deleted))
      }
      tables = try IdentifierTables(
        parts, identifierLength: n, vocabularySize: made.table.vocabularySize)
    }

    /// The brute-force ranking of the living documents in the numbers of the cut.
    func expected(_ made: SearchCase, isAllowed: (Int) -> Bool) -> [RankedDocument] {
      let numbers = Dictionary(uniqueKeysWithValues: originals.enumerated().map { ($1, $0) })
      return made.bruteForce { living.contains($0) && isAllowed(numbers[$0] ?? -1) }.map {
        RankedDocument(
          document: numbers[$0.document] ?? -1, score: $0.score, similarity: $0.similarity)
      }.sorted { left, right in
        if left.score != right.score { return left.score > right.score }
        if left.similarity != right.similarity { return left.similarity > right.similarity }
        return left.document < right.document
      }
    }
  }

  private static let cuts: [[Int]] = [[], [1], [100], [0, 3, 200], [250, 1, 1, 0, 40]]

  @Test(arguments: Scenario.allCases, cuts)
  func searchesAreExactOverSegments(scenario: Scenario, sizes: [Int]) throws {
    for (share, vocabulary) in [(0.0, 7), (0.3, 7), (0.98, 3), (1.0, 5), (0.5, 150)] {
      let made = try SearchCase(
        scenario, documents: 400, length: 3, vocabulary: vocabulary, seed: UInt64(sizes.count))
      let cut = try Cut(made, sizes: sizes, deletedShare: share, seed: UInt64(share * 10) + 1)
      var generator = SeededGenerator(seed: 3)
      let few = DocumentSet((0..<400).shuffled(using: &generator).prefix(9), capacity: 400)
      let half = DocumentSet((0..<400).shuffled(using: &generator).prefix(200), capacity: 400)
      for filter in [nil, few, half] {
        let expected = cut.expected(made) { filter?.contains($0) ?? true }
        let beam = try BeamSearch(cut.tables, width: 400)
        for limit in [1, 10, 1000] {
          let ranking = try ExactSearch(cut.tables).rank(
            made.scores, limit: limit, isAllowed: filter)
          #expect(ranking == Array(expected.prefix(limit)))
          #expect(try beam.rank(made.scores, limit: limit, isAllowed: filter) == ranking)
        }
        // Shuffled collisions, too, do not depend on how the tables are searched.
        let order = CollisionOrder.shuffled(seed: 4)
        #expect(
          try ExactSearch(cut.tables).rank(
            made.scores, limit: 20, collisions: order, isAllowed: filter)
            == beam.rank(made.scores, limit: 20, collisions: order, isAllowed: filter))
      }
    }
  }

  /// A narrow beam keeps the same prefixes however the documents are cut.
  @Test(arguments: Scenario.allCases, [1, 2, 5, 30])
  func narrowBeamsAreThoseOfOneTable(scenario: Scenario, width: Int) throws {
    let made = try SearchCase(scenario, documents: 400, length: 4, vocabulary: 6, seed: 2)
    let cut = try Cut(made, sizes: [250, 1, 80], deletedShare: 0.4, seed: 9)
    let kept = made.identifiers.indices.filter { cut.living.contains($0) }
    let alone = try IdentifierTable.sorting(
      identifiers: kept.flatMap { made.identifiers[$0] },
      weights: kept.flatMap { made.weights[$0 * 4..<($0 + 1) * 4] }, identifierLength: 4)
    let expected = try BeamSearch(table: alone.table, width: width).rank(made.scores, limit: 400)
    let ranking = try BeamSearch(cut.tables, width: width).rank(made.scores, limit: 400)
    #expect(ranking.map(\.score) == expected.map(\.score))
    #expect(ranking.map(\.similarity) == expected.map(\.similarity))
    let places = { (hit: RankedDocument) in (hit.score, hit.similarity) }
    for (index, hit) in ranking.enumerated() {
      // Ties may be in another order: the documents of one score and similarity are the same.
      let (original, tie) = (cut.originals[hit.document], places(expected[index]))
      let tied = expected.filter { places($0) == tie }.map { kept[alone.order[$0.document]] }
      #expect(tied.contains(original))
    }
  }

  @Test(arguments: [[], [100], [0, 3, 200]], [0.0, 0.4, 1.0])
  func triesAreThoseOfTheLivingDocuments(sizes: [Int], share: Double) throws {
    let made = try SearchCase(.random, documents: 400, length: 3, vocabulary: 6, seed: 31)
    let cut = try Cut(made, sizes: sizes, deletedShare: share, seed: 1)
    let trie = IdentifierTrie(cut.tables)
    let living = cut.living.map { made.identifiers[$0] }
    for prefix in Set(
      made.identifiers.flatMap { tokens in (0...3).map { Array(tokens.prefix($0)) } })
    {
      let own = living.filter { $0.starts(with: prefix) }
      #expect(trie.documentCount(of: prefix) == own.count)
      #expect(trie.count(of: prefix) == Set(own).count)
      let next = Set(own.compactMap { $0.dropFirst(prefix.count).first }).sorted()
      #expect(trie.tokens(after: prefix) == next)
    }
    let sizes = Dictionary(grouping: living, by: { $0 }).sorted {
      $0.key.lexicographicallyPrecedes($1.key)
    }
    #expect(trie.bucketSizes() == sizes.map(\.value.count))
  }

  @Test func numbersLeadBackToDocuments() throws {
    let made = try SearchCase(.random, documents: 300, length: 3, vocabulary: 6, seed: 1)
    let cut = try Cut(made, sizes: [0, 100, 1, 0], deletedShare: 0.2, seed: 1)
    #expect(cut.tables.documentCount == 300)
    for (number, original) in cut.originals.enumerated() {
      #expect(cut.tables.tokens(ofDocument: number) == made.identifiers[original])
      #expect(
        cut.tables.weights(ofDocument: number)
          == Array(made.weights[original * 3..<(original + 1) * 3]))
      #expect(cut.tables.living?.contains(number) == cut.living.contains(original))
    }
  }

  @Test func tablesOfOtherModelsAreRefused() throws {
    let short = try SearchCase(.random, documents: 3, length: 2, vocabulary: 6, seed: 1).table
    let long = try SearchCase(.random, documents: 3, length: 3, vocabulary: 6, seed: 1).table
    for (length, vocabulary) in [(3, 6), (2, 5)] {
      #expect(throws: IndexError.self) {
        try IdentifierTables(
          [(short, nil), (long, nil)], identifierLength: length, vocabularySize: vocabulary)
      }
    }
  }
}

import Testing

@testable import GLENIndex

@Suite("Hybrid ranking")
struct HybridTests {
  /// Identifiers and keywords of the same made-up documents.
  private struct Case {
    var search: SearchCase
    var hybrid: HybridSearch
    var query: [Int32]

    init(_ scenario: Scenario, seed: UInt64) throws {
      search = try SearchCase(scenario, documents: 90, length: 3, vocabulary: 12, seed: seed)
      let pieces = KeywordIndexTests.documents(90, seed: seed)
      hybrid = try HybridSearch(
        IdentifierTables(search.table),
        keywords: KeywordSearch([
          try KeywordIndex(documents: pieces[..<31]), try KeywordIndex(documents: pieces[31...]),
        ]))
      var generator = SeededGenerator(seed: seed + 100)
      query = KeywordIndexTests.query(&generator)
    }
  }

  /// The definition, by dictionaries over all documents.
  private static func bruteForce(
    _ test: Case, _ hybrid: Hybrid, depth: Int, isAllowed: (Int) -> Bool
  ) -> [(document: Int, score: Double)] {
    let all = test.search.bruteForce(isAllowed: isAllowed)
    let ranked = Array(all.prefix(depth))
    let scores = test.hybrid.keywords.scores(of: test.query)
    let keywords = (0..<90).filter { isAllowed($0) && scores[$0] > 0 }
      .sorted { (scores[$1], $0) < (scores[$0], $1) }.prefix(depth)
    let union = Set(ranked.map(\.document)).union(keywords)
    let members = all.filter { union.contains($0.document) }
    let finite = members.map { Double($0.score) }.filter(\.isFinite)
    let (low, high) = (finite.min() ?? 0, finite.max() ?? 0)
    let best = union.map { Double(scores[$0]) }.max() ?? 0
    let fused = members.map { member -> (document: Int, score: Double) in
      switch hybrid {
      case .reciprocalRank:
        let first = ranked.firstIndex { $0.document == member.document }
        let second = keywords.firstIndex(of: member.document)
        return (
          member.document,
          (first.map { 1 / Double(61 + $0) } ?? 0)
            + (second.map { 1 / Double(61 + $0) } ?? 0)
        )
      case .interpolated(let weight):
        let own = Double(member.score)
        let part = own < low ? 0 : high > low ? (own - low) / (high - low) : 1
        let other = best > 0 ? Double(scores[member.document]) / best : 0
        return (member.document, Double(weight) * part + (1 - Double(weight)) * other)
      }
    }
    // `members` is in GLEN's order, which breaks ties of what is equal in single precision.
    return fused.enumerated().sorted {
      (Float($1.element.score), $0.offset) < (Float($0.element.score), $1.offset)
    }.map(\.element)
  }

  @Test(
    "The fused list is that of the definition over the union of both lists",
    arguments: Scenario.allCases)
  func agreesWithDefinition(scenario: Scenario) throws {
    for seed in 0..<6 {
      let test = try Case(scenario, seed: UInt64(seed))
      let allowed = seed % 2 == 0 ? nil : DocumentSet((0..<90).filter { $0 % 3 > 0 }, capacity: 90)
      for depth in [1, 10, 90] {
        let candidates = try test.hybrid.candidates(
          test.search.scores, pieces: test.query, depth: depth, isAllowed: allowed)
        for hybrid in [Hybrid.reciprocalRank, .interpolated(0.3), .interpolated(1)] {
          let expected = Self.bruteForce(
            test, hybrid, depth: depth, isAllowed: { allowed?.contains($0) ?? true })
          let fused = candidates.fused(hybrid, limit: .max)
          #expect(Set(fused.map(\.ranked.document)) == Set(expected.map(\.document)))
          for (got, wanted) in zip(fused, expected) {
            #expect(abs(Double(got.score) - wanted.score) < 1e-6)
          }
          if hybrid == .reciprocalRank {
            #expect(fused.map(\.ranked.document) == expected.map(\.document))
          }
          #expect(candidates.fused(hybrid, limit: 4) == Array(fused.prefix(4)))
        }
      }
    }
  }

  @Test("Weight 1 keeps GLEN's order of its candidates, weight 0 keeps BM25's")
  func extremesOfWeight() throws {
    let test = try Case(.random, seed: 77)
    let candidates = try test.hybrid.candidates(test.search.scores, pieces: test.query, depth: 20)
    let own = candidates.fused(.interpolated(1), limit: 20).map(\.ranked.document)
    #expect(own == candidates.ranked.map(\.document))
    let keywords = candidates.fused(.interpolated(0), limit: candidates.keywords.count)
    #expect(keywords.map(\.keywordScore) == candidates.keywords.map(\.score))
    #expect(
      candidates.fused(.interpolated(7), limit: 30) == candidates.fused(.interpolated(1), limit: 30)
    )
    #expect(
      candidates.fused(.interpolated(.nan), limit: 30)
        == candidates.fused(.interpolated(-1), limit: 30))
  }

  @Test("Nothing in common with the query leaves GLEN's ranking as it is")
  func noKeywords() throws {
    let test = try Case(.random, seed: 78)
    let candidates = try test.hybrid.candidates(test.search.scores, pieces: [999], depth: 15)
    for hybrid in [Hybrid.reciprocalRank, .interpolated(0.5)] {
      #expect(candidates.fused(hybrid, limit: 15).map(\.ranked) == candidates.ranked)
    }
  }

  @Test("Identifiers and keywords of other documents are refused")
  func mismatch() throws {
    let test = try Case(.random, seed: 79)
    #expect(throws: IndexError.self) {
      try HybridSearch(
        IdentifierTables(test.search.table),
        keywords: KeywordSearch([KeywordIndex(documents: [[1]])]))
    }
  }
}

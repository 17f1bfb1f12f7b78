import Foundation
import Testing

@testable import GLENIndex

/// Answers every question with the scores of a made-up case, whose documents are called by number.
private struct FixedScoring: QueryScoring {
  let scores: QueryScores

  func scores(of questions: [String]) throws -> [QueryScores] {
    questions.map { _ in scores }
  }
}

extension SearchCase {
  /// The documents in one segment, or dealt to several with dead documents between them.
  fileprivate func retriever(segments count: Int = 1) throws -> Retriever {
    let length = scores.identifierLength
    let segments = try (0..<count).map { segment -> IndexSegment in
      var records = DocumentRecords()
      func append(_ document: Int, id: String) {
        records.append(
          id: id, tokens: identifiers[document][...],
          weights: weights[document * length..<(document + 1) * length])
      }
      for document in identifiers.indices where document % count == segment {
        append(document, id: String(document))
        if count > 1 && document % 5 == 0 { append(document, id: "dead \(document)") }
      }
      let made = try IndexSegment(
        records, identifierLength: length, vocabularySize: scores.vocabularySize,
        weightFormat: .float32)
      let dead = (0..<made.documents.count).filter {
        made.documents.identifier(ofDocument: $0).hasPrefix("dead")
      }
      return try dead.isEmpty ? made : made.deleting(dead)
    }
    return try Retriever(
      model: FixedScoring(scores: scores),
      snapshot: IndexSnapshot(
        segments, identifierLength: length, vocabularySize: scores.vocabularySize,
        modelFingerprint: ""))
  }

  /// P(d | q, corpus) by its definition, in double precision.
  fileprivate func probabilities() -> [Double] {
    let judged = judged()
    let sums = Dictionary(grouping: identifiers.indices) { identifiers[$0] }.mapValues {
      (judged[$0[0]].score, $0.count)
    }
    let largest = sums.values.map(\.0).max() ?? 0
    guard largest > -.infinity else { return identifiers.map { _ in 0 } }
    let total = sums.values.reduce(0) { $0 + exp($1.0 - largest) }
    return identifiers.map { identifier in
      let (score, count) = sums[identifier] ?? (0, 1)
      return exp(score - largest) / total / Double(count)
    }
  }
}

@Suite("Probabilities, abstention and filters") struct CorpusProbabilitiesTests {
  @Test(arguments: Scenario.allCases, [1, 3, 7])
  func probabilitiesAreTheirDefinition(scenario: Scenario, length: Int) throws {
    for (documents, vocabulary) in [(1, 3), (40, 4), (700, 6), (1300, 70_000)] {
      let made = try SearchCase(
        scenario, documents: documents, length: length, vocabulary: vocabulary,
        seed: UInt64(documents + length))
      let expected = made.probabilities()
      for segments in [1, 3] {
        let retriever = try made.retriever(segments: segments)
        let hits = try retriever.hits(for: made.scores, of: "", limit: documents)
        #expect(hits.allSatisfy { $0.score > -.infinity })
        #expect(hits.count == expected.count { $0 > 0 })
        for hit in hits {
          let probability = try #require(hit.probability)
          let wanted = try #require(Int(hit.id).map { expected[$0] })
          #expect(abs(probability - wanted) <= 1e-11 * wanted)
        }
        guard !hits.isEmpty else { continue }
        #expect(abs(hits.reduce(0) { $0 + ($1.probability ?? 0) } - 1) < 1e-11)
      }
    }
  }

  /// The best tokens of the steps never meet, and the product of what does underflows.
  @Test func tinyProductsAreSummedToo() throws {
    let table = try IdentifierTable.sorting(
      identifiers: [0, 1, 1, 0, 1, 1], weights: [1, 1, 1, 1, 1, 1], identifierLength: 2
    ).table
    let scores = try QueryScores(
      logits: [900, 0, 900, 0], identifierLength: 2, vocabularySize: 2)
    let probabilities = try CorpusProbabilities(scores, IdentifierTables(table))
    for (row, wanted) in [0.5, 0.5, 0].enumerated() {
      #expect(abs(probabilities.probability(ofDocument: row) - wanted) < 1e-12)
    }
    #expect(throws: IndexError.self) {
      try CorpusProbabilities(
        QueryScores(logits: [1, 2], identifierLength: 1, vocabularySize: 2), IdentifierTables(table)
      )
    }
  }

  @Test func theBestHitDecidesAboutAbstention() throws {
    let made = try SearchCase(.random, documents: 300, length: 3, vocabulary: 9, seed: 3)
    let retriever = try made.retriever()
    let hits = try retriever.search("?", limit: 20)
    let best = try #require(hits.first?.probability)
    for mode in [SearchMode.exact, .beam(100)] {
      func search(_ minimum: Double) throws -> [SearchHit] {
        try retriever.search(
          "?", limit: 20,
          options: SearchOptions(
            mode: mode, minimumProbability: minimum, includesProbabilities: false))
      }
      // All or none: the others may be improbable.
      #expect(try search(best) == hits)
      #expect(try search(best.nextUp).isEmpty)
      #expect(try search(.nan).allSatisfy { $0.probability == nil })
    }
    let plain = try retriever.search("?", options: SearchOptions(includesProbabilities: false))
    #expect(plain.allSatisfy { $0.probability == nil })
    #expect(plain.map(\.id) == hits.prefix(10).map(\.id))
  }

  @Test(arguments: Scenario.allCases)
  func filtersAreExactAndAskOncePerDocument(scenario: Scenario) throws {
    let made = try SearchCase(scenario, documents: 500, length: 3, vocabulary: 12, seed: 8)
    let retriever = try made.retriever()
    let all = try retriever.search("?", limit: 500)
    for modulus in [1, 2, 7, 100, 501] {
      var asked: [String] = []
      let filter = retriever.filter { document in
        asked.append(document.id)
        return Int(document.id).map { $0 % modulus == 3 % modulus } ?? false
      }
      #expect(asked == (0..<500).map(String.init))
      let byID = retriever.filter(ids: asked.filter { filter.documents.contains(Int($0) ?? -1) })
      #expect(byID.documents == filter.documents)
      let expected = made.bruteForce { $0 % modulus == 3 % modulus }.filter {
        $0.score > -.infinity
      }
      for limit in [1, 10, 500] {
        let hits = try retriever.search("?", limit: limit, options: SearchOptions(filter: filter))
        #expect(hits.map(\.id) == expected.prefix(limit).map { String($0.document) })
        #expect(hits.map(\.score) == expected.prefix(limit).map(\.score))
        // What is left out keeps its share of the probability.
        #expect(hits.allSatisfy { hit in all.contains(hit) })
      }
      #expect(asked.count == 500)
    }
  }

  @Test func aFilterOfAnotherSnapshotIsRefused() throws {
    let made = try SearchCase(.random, documents: 5, length: 2, vocabulary: 9, seed: 1)
    let (retriever, other) = (try made.retriever(), try made.retriever())
    let options = SearchOptions(filter: retriever.filter(ids: ["1", "nobody"]))
    let copy = retriever
    #expect(try copy.search("?", options: options).map(\.id) == ["1"])
    let error = #expect(throws: IndexError.self) { try other.search("?", options: options) }
    #expect(error?.description.contains("belongs to another snapshot") == true)
  }

  // MARK: Explanations

  @Test func anExplanationAddsUp() throws {
    let made = try SearchCase(.random, documents: 60, length: 3, vocabulary: 9, seed: 5)
    let retriever = try made.retriever()
    let hits = try retriever.search("?", limit: 60)
    for limit in [1, 5, 59] {
      for (place, hit) in hits.enumerated() {
        let explanation = try retriever.explain(
          hit.id, for: "?", scores: made.scores, limit: limit)
        #expect(explanation.hit == hit)
        #expect(explanation.rank == (place < limit ? place + 1 : nil))
        let document = try #require(Int(hit.id))
        #expect(explanation.steps.map(\.token) == made.identifiers[document])
        #expect(
          explanation.steps.map(\.documentLogit)
            == Array(made.weights[document * 3..<document * 3 + 3]))
        let score = explanation.steps.reduce(0) { $0 + log($1.queryProbability) }
        #expect(abs(score - Double(hit.score)) < 1e-5)
        guard place != limit else {
          #expect(explanation.rejected == nil)
          continue
        }
        let rejected = try #require(explanation.rejected)
        #expect(rejected.hit == hits[limit])
        let loss = rejected.losses.reduce(0, +)
        #expect(abs(loss - Double(hit.score - rejected.hit.score)) < 1e-5)
        if rejected.hit.tokens == hit.tokens {
          #expect(rejected.decidingStep == nil && loss == 0)
        } else {
          let step = try #require(rejected.decidingStep)
          #expect(rejected.losses[step] == rejected.losses.max())
        }
        let data = try JSONEncoder().encode(explanation)
        #expect(try JSONDecoder().decode(Explanation.self, from: data) == explanation)
      }
    }
    let last = try #require(hits.last)
    let all = try retriever.explain(last.id, for: "?", scores: made.scores, limit: .max)
    #expect(all.rank == 60 && all.rejected == nil)
    #expect(throws: IndexError.self) {
      try retriever.explain("nobody", for: "?", scores: made.scores)
    }
  }

  @Test func insideABucketTheCosineDecides() throws {
    let made = try SearchCase(.oneBucket, documents: 8, length: 3, vocabulary: 4, seed: 2)
    let retriever = try made.retriever()
    let best = try #require(try retriever.search("?").first)
    #expect(best.probability == 0.125)
    let explanation = try retriever.explain(best.id, for: "?", scores: made.scores, limit: 1)
    let rejected = try #require(explanation.rejected)
    #expect(rejected.decidingStep == nil && rejected.losses == [0, 0, 0])
    #expect(rejected.hit.similarity <= best.similarity)
  }
}

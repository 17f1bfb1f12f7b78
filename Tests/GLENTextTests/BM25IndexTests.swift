import Foundation
import Testing

@testable import GLENText

@Suite("BM25")
struct BM25IndexTests {
  @Test("Scores and order are those of the formula")
  func formula() {
    var generator = SeededGenerator(seed: 11)
    for round in 0..<30 {
      let documents = (0..<40).map { _ in
        (0..<Int.random(in: 0...30, using: &generator)).map { _ in
          Int32.random(in: 0..<25, using: &generator)
        }
      }
      let query = (0..<5).map { _ in Int32.random(in: 0..<28, using: &generator) }
      let index = BM25Index(documents: documents, k1: 1.2, b: 0.75)
      let expected = naiveScores(documents, query: query, k1: 1.2, b: 0.75)
      let hits = index.search(query, limit: 40)
      #expect(hits.count == expected.filter { $0 > 0 }.count)
      for hit in hits {
        #expect(abs(Double(hit.score) - expected[hit.document]) < 1e-5, "round \(round)")
      }
      for (better, worse) in zip(hits, hits.dropFirst()) {
        let isOrdered =
          better.score > worse.score
          || better.score == worse.score && better.document < worse.document
        #expect(isOrdered)
      }
      for limit in [1, 2, 3, 7] {
        #expect(
          index.search(query, limit: limit).map(\.document) == hits.prefix(limit).map(\.document))
      }
    }
  }

  @Test("Equal scores come in the order of the documents, at any limit")
  func ties() {
    let index = BM25Index(documents: Array(repeating: [4, 5], count: 50) + [[6]])
    for limit in [1, 3, 24, 25, 50, 60] {
      #expect(index.search([4], limit: limit).map(\.document) == Array(0..<min(50, limit)))
    }
  }

  @Test("A term that a query repeats counts as often")
  func repeated() {
    let index = BM25Index(documents: [[1, 2], [3]])
    let once = index.search([1], limit: 1)[0].score
    #expect(index.search([1, 1], limit: 1)[0].score == 2 * once)
  }

  @Test("Nothing to find gives no hits; extreme ids and limits do no harm")
  func edges() {
    #expect(BM25Index(documents: []).search([1], limit: 5).isEmpty)
    #expect(BM25Index(documents: [[], []]).search([1], limit: 5).isEmpty)
    let index = BM25Index(documents: [[.max, .min, -1], [7]])
    #expect(index.documentCount == 2)
    #expect(index.search([.min], limit: .max).map(\.document) == [0])
    #expect(index.search([], limit: 5).isEmpty)
    #expect(index.search([8], limit: 5).isEmpty)
    #expect(index.search([7], limit: 0).isEmpty && index.search([7], limit: .min).isEmpty)
  }

  /// The table of the data's own description, to its three digits.
  @Test(
    "The published baseline on real questions",
    .enabled(if: SharedData.isAvailable, "GLEN_DATA does not name the folder of real data"),
    arguments: [
      ("squad-tiny", WordAnalyzer.Alphabet.ascii, 0.927, 1.000, 0.0005),
      ("squad-small", .ascii, 0.760, 0.944, 0.0005),
      ("squad-small", .unicode, 0.760, 0.944, 0.0015),
    ])
  func baseline(
    set: String, alphabet: WordAnalyzer.Alphabet, recallAt1: Double, recallAt10: Double,
    tolerance: Double
  ) throws {
    let corpus = try SharedData.rows("\(set)/corpus.jsonl", as: Document.self)
    let queries = try SharedData.rows("\(set)/queries.jsonl", as: Query.self)
    var analyzer = WordAnalyzer(alphabet: alphabet)
    let index = BM25Index(documents: corpus.map { analyzer.learn($0.title + " " + $0.text) })
    let texts = Dictionary(uniqueKeysWithValues: queries.map { ($0._id, $0.text) })
    let table = try String(contentsOf: SharedData.url("\(set)/qrels/test.tsv"), encoding: .utf8)
    let pairs = table.split(separator: "\n").dropFirst().map { $0.split(separator: "\t") }
    let relevant = Dictionary(grouping: pairs, by: { String($0[0]) })

    var found = (0.0, 0.0)
    for (query, rows) in relevant {
      let hits = index.search(analyzer.encode(texts[query] ?? ""), limit: 10)
      let ids = hits.map { corpus[$0.document]._id }
      let wanted = Set(rows.map { String($0[1]) })
      found.0 += Double(wanted.intersection(ids.prefix(1)).count) / Double(wanted.count)
      found.1 += Double(wanted.intersection(ids).count) / Double(wanted.count)
    }
    #expect(abs(found.0 / Double(relevant.count) - recallAt1) <= tolerance)
    #expect(abs(found.1 / Double(relevant.count) - recallAt10) <= tolerance)
  }

  private struct Document: Decodable {
    var _id: String
    var title: String
    var text: String
  }

  private struct Query: Decodable {
    var _id: String
    var text: String
  }

  private func naiveScores(
    _ documents: [[Int32]], query: [Int32], k1: Double, b: Double
  ) -> [Double] {
    let count = Double(documents.count)
    let average = Double(documents.reduce(0) { $0 + $1.count }) / count
    return documents.map { document in
      query.reduce(0) { sum, term in
        let documentFrequency = Double(documents.filter { $0.contains(term) }.count)
        let frequency = Double(document.filter { $0 == term }.count)
        let idf = log(1 + (count - documentFrequency + 0.5) / (documentFrequency + 0.5))
        let length = 1 - b + b * Double(document.count) / average
        return frequency == 0 ? sum : sum + idf * frequency / (frequency + k1 * length)
      }
    }
  }
}

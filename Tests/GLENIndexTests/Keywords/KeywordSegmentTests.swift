import Foundation
import GLENText
import Testing

@testable import GLENIndex

/// Keywords in the folder of an index: written, opened, merged, and searched with identifiers.
@Suite("Keywords of segments")
struct KeywordSegmentTests {
  private let pieces = KeywordIndexTests.documents(90, seed: 41)

  /// Documents of the given numbers, with made-up identifiers that collide.
  private func segment(_ numbers: Range<Int>, keepsKeywords: Bool = true) throws -> IndexSegment {
    var records = DocumentRecords()
    for number in numbers {
      records.append(
        id: "d\(number)", tokens: [Int32(number * 7 % 4), Int32(number * 5 % 6)], weights: [1, 2])
    }
    return try IndexSegment(
      records, keywords: keepsKeywords ? KeywordIndex(documents: pieces[numbers]) : nil,
      identifierLength: 2, vocabularySize: 8)
  }

  private func snapshot(_ segments: [IndexSegment]) throws -> IndexSnapshot {
    try IndexSnapshot(
      segments, identifierLength: 2, vocabularySize: 8, modelFingerprint: "model")
  }

  /// The names and scores that a snapshot's own keywords find.
  private func found(
    _ snapshot: IndexSnapshot, _ query: [Int32], isAllowed: DocumentSet? = nil
  ) throws -> [String: Float] {
    let hits = try #require(snapshot.keywords).rank(query, limit: .max, isAllowed: isAllowed)
    return Dictionary(
      uniqueKeysWithValues: hits.map { (snapshot.id(ofDocument: $0.document), $0.score) })
  }

  private func judged(_ query: [Int32], _ numbers: [Int]) -> [String: Float] {
    let hits = BM25Index(documents: numbers.map { pieces[$0] }).search(query, limit: .max)
    return Dictionary(uniqueKeysWithValues: hits.map { ("d\(numbers[$0.document])", $0.score) })
  }

  @Test("What a folder gives back is BM25 over its documents, by their names")
  func folder() throws {
    try withTemporaryFolder { folder in
      try IndexFolder.write(snapshot([segment(0..<50), segment(50..<90)]), to: folder)
      let opened = try IndexFolder.open(folder, verifying: true)
      for query: [Int32] in [[0, 1, 2], [5], [17, 40, 17]] {
        #expect(try found(opened, query) == judged(query, Array(0..<90)))
      }
    }
  }

  @Test("Merging keeps what lives, as if the rest had never been")
  func merging() throws {
    let dead = [3, 4, 20, 49]
    let first = try segment(0..<50)
    let numbers = try dead.map { number in
      try #require(first.documents.document(withIdentifier: "d\(number)"))
    }
    let parts = [try first.deleting(numbers), try segment(50..<90)]
    let merged = try snapshot([
      .merging(parts, identifierLength: 2, vocabularySize: 8)
    ])
    let living = (0..<90).filter { !dead.contains($0) }
    #expect(merged.documentCount == living.count)
    #expect(try found(merged, [0, 3, 9]) == judged([0, 3, 9], living))
    // Before it, deleted documents are not returned, and count in the formula.
    let before = try snapshot(parts)
    let allowed = before.tables.living
    let names = Set(try found(before, [0, 3, 9], isAllowed: allowed).keys)
    #expect(names == Set(judged([0, 3, 9], living).keys))
    #expect(
      try found(before, [0, 3, 9], isAllowed: allowed)
        == judged([0, 3, 9], Array(0..<90)).filter { names.contains($0.key) })
    // Hybrid search leaves them out by itself.
    let scores = try QueryScores(
      logits: (0..<16).map { Float($0 % 5) }, identifierLength: 2, vocabularySize: 8)
    let search = try HybridSearch(before.tables, keywords: #require(before.keywords))
    let fused = try search.candidates(scores, pieces: [0, 3, 9], depth: 90)
      .fused(.reciprocalRank, limit: .max)
    #expect(
      Set(fused.map { before.id(ofDocument: $0.ranked.document) })
        == Set(living.map { "d\($0)" }))
  }

  @Test("Keywords are all or nothing")
  func mixed() throws {
    let parts = [try segment(0..<50), try segment(50..<90, keepsKeywords: false)]
    #expect(try snapshot(parts).keywords == nil)
    #expect(
      try IndexSegment.merging(parts, identifierLength: 2, vocabularySize: 8).keywords == nil)
    #expect(throws: IndexError.self) {
      try IndexSegment(
        table: parts[0].table, documents: parts[0].documents,
        keywords: KeywordIndex(documents: pieces))
    }
  }

  @Test("Verifying finds a changed byte, and opening survives it")
  func damage() throws {
    try withTemporaryFolder { folder in
      try IndexFolder.write(snapshot([segment(0..<90)]), to: folder)
      let name = try #require(
        try FileManager.default.contentsOfDirectory(atPath: folder.path).first {
          $0.hasPrefix("keywords-")
        })
      let file = folder.appendingPathComponent(name)
      let sound = try Data(contentsOf: file)
      for place in stride(from: 0, to: sound.count, by: 97) {
        var bytes = sound
        bytes[place] ^= 0x11
        try bytes.write(to: file)
        #expect(throws: IndexError.self) { try IndexFolder.verify(folder) }
        if let opened = try? IndexFolder.open(folder) { _ = try found(opened, [0, 1, 2, 3]) }
      }
    }
  }
}

import Foundation
import GLENText
import Testing

@testable import GLENIndex

@Suite("KeywordIndex")
struct KeywordIndexTests {
  /// Documents of made-up pieces; small numbers are common, and some documents are empty.
  static func documents(_ count: Int, seed: UInt64) -> [[Int32]] {
    var generator = SeededGenerator(seed: seed)
    return (0..<count).map { _ in
      (0..<Int.random(in: 0...40, using: &generator)).map { _ in
        let bound = Int32.random(in: 1...60, using: &generator)
        return Int32.random(in: 0..<bound, using: &generator)
      }
    }
  }

  static func query(_ generator: inout SeededGenerator) -> [Int32] {
    (0..<Int.random(in: 1...6, using: &generator)).map { _ in
      Int32.random(in: 0..<64, using: &generator)
    }
  }

  private static func split(_ documents: [[Int32]], at cuts: [Int]) throws -> [KeywordIndex] {
    let bounds = [0] + cuts + [documents.count]
    return try zip(bounds, bounds.dropFirst()).map {
      try KeywordIndex(documents: documents[$0..<$1])
    }
  }

  private static func bytes(of index: KeywordIndex) -> [UInt8] {
    withExtendedLifetime(index) { Array(index.memory.bytes) }
  }

  /// Scores the same to the last bit, so that ties stay ties.
  private static func expectSame(
    _ hits: [(document: Int, score: Float)], _ judged: [(document: Int, score: Float)]
  ) {
    #expect(hits.map(\.document) == judged.map(\.document))
    #expect(hits.map(\.score) == judged.map(\.score))
  }

  @Test("Scores and order are BM25Index's, in one segment and in several")
  func agreesWithBM25Index() throws {
    var generator = SeededGenerator(seed: 5)
    for round in 0..<20 {
      let documents = Self.documents(round * 15, seed: UInt64(round))
      let (k1, b) = round % 2 == 0 ? (Float(0.9), Float(0.4)) : (1.2, 0.75)
      let judge = BM25Index(documents: documents, k1: k1, b: b)
      for cuts in [[], [documents.count / 3], [0, documents.count / 2, documents.count / 2]] {
        let search = KeywordSearch(try Self.split(documents, at: cuts), k1: k1, b: b)
        #expect(search.documentCount == documents.count)
        for _ in 0..<5 {
          let query = Self.query(&generator)
          for limit in [0, 1, 3, 10, .max] {
            Self.expectSame(
              search.rank(query, limit: limit), judge.search(query, limit: limit))
          }
        }
      }
    }
  }

  @Test("A filter returns the best of the allowed, and only those")
  func filters() throws {
    let documents = Self.documents(150, seed: 9)
    let search = KeywordSearch(try Self.split(documents, at: [40, 90]))
    var generator = SeededGenerator(seed: 10)
    for _ in 0..<20 {
      let query = Self.query(&generator)
      let allowed = DocumentSet(
        (0..<150).filter { _ in Bool.random(using: &generator) }, capacity: 150)
      let all = search.rank(query, limit: .max).filter { allowed.contains($0.document) }
      Self.expectSame(
        search.rank(query, limit: 7, isAllowed: allowed), Array(all.prefix(7)))
    }
    #expect(
      search.rank([0, 1], limit: 5, isAllowed: DocumentSet(capacity: 150)).isEmpty)
  }

  @Test("A merge is the index of the documents that stay, byte for byte")
  func merges() throws {
    let documents = Self.documents(120, seed: 21)
    let segments = try Self.split(documents, at: [50, 50, 70])
    var generator = SeededGenerator(seed: 22)
    for order in [
      Array(0..<120), (0..<120).shuffled(using: &generator),
      Array((0..<120).shuffled(using: &generator).prefix(37)), [],
    ] {
      let merged = try KeywordIndex.merged(segments, order: order)
      let built = try KeywordIndex(documents: order.map { documents[$0] })
      #expect(Self.bytes(of: merged) == Self.bytes(of: built))
      try merged.validate(path: "merged")
    }
    for order in [[120], [-1], [3, 4, 3]] {
      #expect(throws: IndexError.self) { try KeywordIndex.merged(segments, order: order) }
    }
  }

  @Test("Extreme pieces, long lists and large counts survive the encoding")
  func extremes() throws {
    var documents = [[Int32]](repeating: [], count: 70_000)
    documents[0] = [.min, .max, -1, 0]
    documents[65_535] = [Int32](repeating: 7, count: 300) + [-1]
    documents[69_999] = [7, 7]
    let index = try KeywordIndex(documents: documents)
    try index.validate(path: "index")
    #expect(index.pieceCount == 5)
    #expect(index.totalLength == 307)
    let judge = BM25Index(documents: documents)
    for query: [Int32] in [[.min], [.max], [-1], [0, 0], [7, -1], [8]] {
      Self.expectSame(
        KeywordSearch([index]).rank(query, limit: 9), judge.search(query, limit: 9))
    }
  }

  /// What a search makes of bytes that may be anything: it must come back, with sane documents.
  private static func exercise(_ bytes: [UInt8]) -> Bool {
    let memory = IndexMemory(count: bytes.count) { $0.copyBytes(from: bytes) }
    guard let index = try? KeywordIndex(memory: memory, path: "fuzz") else { return false }
    let search = KeywordSearch([index, index])
    for hit in search.rank([0, 1, 2, 17, 30], limit: 20) {
      #expect(hit.document >= 0 && hit.document < search.documentCount && hit.score > 0)
    }
    _ = try? KeywordIndex.merged([index, index], order: Array(0..<search.documentCount))
    try? index.validate(path: "fuzz")
    return true
  }

  @Test("Damaged bytes give other scores or an error, never a trap")
  func survivesDamage() throws {
    let sound = Self.bytes(of: try KeywordIndex(documents: Self.documents(40, seed: 3)))
    var generator = SeededGenerator(seed: 4)
    var opened = 0
    // `GLEN_FUZZ=200000` looks longer.
    let count = ProcessInfo.processInfo.environment["GLEN_FUZZ"].flatMap { Int($0) } ?? 3000
    for _ in 0..<count {
      var bytes = sound
      for _ in 0..<Int.random(in: 1...8, using: &generator) {
        // Half of the changes to the header and the sections behind it, half anywhere.
        let bound = Bool.random(using: &generator) ? bytes.count : 1100
        let place = Int.random(in: 12..<bound, using: &generator)
        bytes[place] =
          [0, 1, 0x7F, 0x80, 0xFF, .random(in: 0...255, using: &generator)]
          .randomElement(using: &generator) ?? 0
      }
      if Self.exercise(bytes) { opened += 1 }
    }
    // The readers behind the header were reached.
    #expect(opened > 1000)
    for length in stride(from: 0, to: sound.count, by: 7) {
      #expect(!Self.exercise(Array(sound[..<length])))
    }
  }

  @Test("Validation finds whatever changes a document, a count or a length")
  func validationFindsDamage() throws {
    let index = try KeywordIndex(documents: Self.documents(40, seed: 3))
    let layout = index.layout
    let sound = Self.bytes(of: index)
    for section in [
      layout.pieces, layout.frequencies, layout.postingOffsets, layout.lengths, layout.postings,
    ] {
      for place in stride(from: section.offset, to: section.end, by: 5) {
        var bytes = sound
        bytes[place] ^= 0x40
        let memory = IndexMemory(count: bytes.count) { $0.copyBytes(from: bytes) }
        let damaged = try KeywordIndex(memory: memory, path: "damaged")
        // A piece may become another one that is still in order: that is for the checksum.
        if section == layout.pieces { continue }
        #expect(throws: IndexError.self) { try damaged.validate(path: "damaged") }
      }
    }
  }
}

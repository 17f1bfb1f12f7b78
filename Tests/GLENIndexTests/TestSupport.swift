import Foundation
import Testing

@testable import GLENIndex

/// A small generator with a seed, so that every run sees the same cases.
struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) {
    state = seed
  }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}

/// How the made-up identifiers and scores look.
enum Scenario: String, CaseIterable, Sendable {
  /// Spread-out tokens and logits.
  case random
  /// Few tokens and few distinct logits: ties between identifiers and inside them.
  case ties
  /// All documents share one identifier.
  case oneBucket
  /// Only the last token differs.
  case equalPrefixes
  /// A third of the logits is masked.
  case masked
  /// One step has no token that is not masked.
  case allMasked
  /// All logits are the same: every document has the same score.
  case flat
}

/// A table and a query that fit each other.
struct SearchCase {
  var identifiers: [[Int32]]
  var weights: [Float]
  var table: IdentifierTable
  var scores: QueryScores

  init(
    _ scenario: Scenario, documents: Int, length: Int, vocabulary: Int, seed: UInt64
  ) throws {
    var generator = SeededGenerator(seed: seed)
    let tokens = scenario == .ties ? min(vocabulary, 3) : vocabulary
    identifiers = (0..<documents).map { _ in
      (0..<length).map { step in
        switch scenario {
        case .oneBucket: 1
        case .equalPrefixes where step + 1 < length: Int32(vocabulary - 1)
        default: Int32.random(in: 0..<Int32(tokens), using: &generator)
        }
      }
    }
    weights = (0..<documents * length).map { _ in
      scenario == .ties
        ? Float(Int.random(in: 0...2, using: &generator))
        : Float.random(in: -1...3, using: &generator)
    }
    let logits = (0..<length * vocabulary).map { place -> Float in
      switch scenario {
      case .ties: Float(Int.random(in: 0...1, using: &generator))
      case .flat: 0.25
      case .masked where Int.random(in: 0..<3, using: &generator) == 0: -.infinity
      case .allMasked where place < vocabulary: -.infinity
      default: Float.random(in: -4...8, using: &generator)
      }
    }
    let order: [Int]
    (table, order) = try IdentifierTable.sorting(
      identifiers: identifiers.flatMap { $0 }, weights: weights, identifierLength: length,
      vocabularySize: vocabulary)
    // From here on the documents have the table's numbers.
    identifiers = order.map { [identifiers] in identifiers[$0] }
    weights = order.flatMap { [weights] in weights[$0 * length..<($0 + 1) * length] }
    scores = try QueryScores(
      logits: logits, identifierLength: length, vocabularySize: vocabulary)
  }

  /// A document ranked in double precision, with nothing of the library but the query's logits.
  struct Judged {
    var document: Int
    var score: Double
    var similarity: Double
  }

  /// Score and cosine of every document in double precision.
  func judged() -> [Judged] {
    let normalizers = (0..<scores.identifierLength).map { step -> Double in
      let row = (0..<scores.vocabularySize).map { Double(scores.logit(step, $0)) }
      let largest = row.max() ?? 0
      return largest == -.infinity
        ? 0 : largest + log(row.reduce(0) { $0 + exp($1 - largest) })
    }
    return identifiers.indices.map { document in
      var (score, product, query, own) = (0.0, 0.0, 0.0, 0.0)
      for (step, token) in identifiers[document].enumerated() {
        let logit = Double(scores.logit(step, Int(token)))
        let weight = Double(weights[document * scores.identifierLength + step])
        score += logit - normalizers[step]
        product += logit * weight
        query += logit * logit
        own += weight * weight
      }
      let isDefined = query.isFinite && query > 0 && own > 0
      return Judged(
        document: document, score: score,
        similarity: isDefined ? product / (query.squareRoot() * own.squareRoot()) : 0)
    }
  }

  /// The documents as an index of one segment.
  func snapshot(
    names: [String], titles: [String]? = nil, metadata: [[String: MetadataValue]]? = nil,
    fingerprint: String = "model"
  ) throws -> IndexSnapshot {
    let segment = try IndexSegment(
      table: table,
      documents: DocumentCatalog(identifiers: names, titles: titles, metadata: metadata))
    return try IndexSnapshot(
      [segment], identifierLength: table.identifierLength, vocabularySize: table.vocabularySize,
      modelFingerprint: fingerprint)
  }

  /// The full ranking, by sorting all documents by the single precision definition of the scores.
  func bruteForce(isAllowed: (Int) -> Bool = { _ in true }) -> [RankedDocument] {
    let documents = judged().filter { isAllowed($0.document) }.map { judged in
      let identifier = identifiers[judged.document]
      var score: Float = 0
      for (step, token) in identifier.enumerated() {
        score += scores.logProbability(step, Int(token))
      }
      return RankedDocument(
        document: judged.document, score: score, similarity: Float(judged.similarity))
    }
    return documents.sorted { left, right in
      if left.score != right.score { return left.score > right.score }
      if left.similarity != right.similarity { return left.similarity > right.similarity }
      return left.document < right.document
    }
  }
}

extension IdentifierTable {
  /// The table of documents that are in the order of their identifiers already.
  init(_ identifiers: [[Int32]], weights: [Float], length: Int) throws {
    let (table, order) = try IdentifierTable.sorting(
      identifiers: identifiers.flatMap { $0 }, weights: weights, identifierLength: length)
    #expect(order == Array(identifiers.indices))
    self = table
  }
}

/// Makes an empty folder, and removes it with everything in it when the body has ended.
func withTemporaryFolder<Result>(
  in parent: URL? = nil, _ body: (URL) throws -> Result
) throws -> Result {
  let folder = (parent ?? FileManager.default.temporaryDirectory).appendingPathComponent(
    "glen-index-\(UUID().uuidString)")
  try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(at: folder) }
  return try body(folder)
}

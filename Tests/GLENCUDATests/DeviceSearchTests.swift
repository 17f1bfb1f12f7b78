import GLENTensor
import GLENTraining
import Synchronization
import Testing

@testable import GLENCUDA
@testable import GLENIndex

/// A scanner that notes how many queries its scans gave back, and may have small groups.
private final class WatchedScanner: CodeScanner, CodeScan {
  private let backend: CUDABackend
  private let leastGroups: Int
  private let scan: CUDACodeScan?
  private let counts: Mutex<(answered: Int, refused: Int)>

  var answered: Int { counts.withLock { $0.answered } }
  var refused: Int { counts.withLock { $0.refused } }
  private let parent: WatchedScanner?

  init(
    _ backend: CUDABackend, leastGroups: Int, scan: CUDACodeScan? = nil,
    parent: WatchedScanner? = nil
  ) {
    (self.backend, self.leastGroups, self.scan) = (backend, leastGroups, scan)
    self.parent = parent
    counts = Mutex((0, 0))
  }

  func scan(of columns: CodeColumns) throws(TensorError) -> any CodeScan {
    WatchedScanner(
      backend, leastGroups: leastGroups,
      scan: try CUDACodeScan(columns, on: backend, leastGroups: leastGroups), parent: self)
  }

  func largest(
    _ count: Int, of values: [Float], queries: Int, allowed: [UInt32]?
  ) throws(TensorError) -> [[ScoredRow]?] {
    let found = try scan?.largest(count, of: values, queries: queries, allowed: allowed) ?? []
    let answered = found.count { $0 != nil }
    parent?.counts.withLock {
      $0.answered += answered
      $0.refused += found.count - answered
    }
    return found
  }
}

@Suite("Search on the device")
struct DeviceSearchTests {
  /// What the identifiers and the logits look like.
  enum Kind: CaseIterable {
    /// Spread-out tokens, hardly a collision.
    case spread
    /// Few identifiers for many documents.
    case colliding
    /// Few distinct logits, so that identifiers tie.
    case ties
    /// A third of the logits is masked.
    case masked
    /// Every document has the same score.
    case flat
  }

  private static func table(
    _ kind: Kind, documents: Int, vocabulary: Int, _ random: inout SeededGenerator
  ) throws -> IdentifierTable {
    let tokens = kind == .colliding ? 5 : vocabulary
    return try IdentifierTable.sorting(
      identifiers: (0..<documents * 3).map { _ in
        Int32.random(in: 0..<Int32(tokens), using: &random)
      },
      weights: (0..<documents * 3).map { _ in Float(Int.random(in: 0...3, using: &random)) },
      identifierLength: 3, vocabularySize: vocabulary
    ).table
  }

  private static func query(
    _ kind: Kind, vocabulary: Int, _ random: inout SeededGenerator
  ) throws -> QueryScores {
    try QueryScores(
      logits: (0..<3 * vocabulary).map { _ in
        switch kind {
        case .flat: 0.25
        case .ties: Float(Int.random(in: 0...2, using: &random))
        case .masked where Int.random(in: 0..<3, using: &random) == 0: -.infinity
        default: Float.random(in: -4...8, using: &random)
        }
      },
      identifierLength: 3, vocabularySize: vocabulary)
  }

  /// Two tables, of which some documents are deleted.
  private static func tables(
    _ kind: Kind, vocabulary: Int, _ random: inout SeededGenerator
  ) throws -> IdentifierTables {
    let (first, second) = (1500, 700)
    return try IdentifierTables(
      [
        (try table(kind, documents: first, vocabulary: vocabulary, &random), nil),
        (
          try table(kind, documents: second, vocabulary: vocabulary, &random),
          DocumentSet((0..<second).filter { $0 % 7 < 2 }, capacity: second)
        ),
      ], identifierLength: 3, vocabularySize: vocabulary)
  }

  @Test(arguments: Kind.allCases, [1, 8, 21])
  func isTheSearchOfTheProcessor(kind: Kind, batch: Int) throws {
    var random = SeededGenerator(RandomKey(seed: 11, stream: UInt64(batch)))
    let tables = try Self.tables(kind, vocabulary: 60, &random)
    let queries = try (0..<batch).map { _ in try Self.query(kind, vocabulary: 60, &random) }
    // Groups of several rows, which a table of this size would not have by itself.
    let scanner = WatchedScanner(try hostBackend(), leastGroups: 256)
    let device = try DeviceSearch(tables, on: scanner, threadCount: 2)
    let (exact, all) = (ExactSearch(tables), tables.documentCount)
    let filters = [
      nil, DocumentSet((0..<all).filter { $0 % 3 == 1 }, capacity: all),
      DocumentSet([3, 4, 1600], capacity: all), DocumentSet([], capacity: all),
    ]
    for limit in [0, 1, 10, 100, 5000] {
      for filter in filters {
        let found = try device.rank(queries, limit: limit, isAllowed: filter)
        for (query, ranking) in zip(queries, found) {
          let expected = try exact.rank(query, limit: limit, isAllowed: filter)
          #expect(ranking == expected)
          #expect(
            ranking.map(\.score.bitPattern) == expected.map(\.score.bitPattern))
        }
        #expect(found.count == batch)
      }
    }
    // The comparison says something only where the device answered.
    if kind == .spread { #expect(scanner.answered > 4 * scanner.refused) }
    if kind == .flat { #expect(scanner.refused > 0) }
  }

  @Test func aBatchOfThousands() throws {
    var random = SeededGenerator(RandomKey(seed: 5))
    let table = try Self.table(.spread, documents: 300, vocabulary: 20, &random)
    let queries = try (0..<4096).map { _ in try Self.query(.spread, vocabulary: 20, &random) }
    let scanner = WatchedScanner(try hostBackend(), leastGroups: 256)
    let found = try DeviceSearch(IdentifierTables(table), on: scanner).rank(queries, limit: 3)
    #expect(found.count == queries.count)
    for (query, ranking) in zip(queries, found) {
      #expect(try ranking == ExactSearch(table: table).rank(query, limit: 3))
    }
    #expect(scanner.answered == queries.count)
  }

  @Test func shufflesCollisionsAsTheProcessorDoes() throws {
    var random = SeededGenerator(RandomKey(seed: 2))
    let table = try Self.table(.colliding, documents: 900, vocabulary: 9, &random)
    let query = try Self.query(.colliding, vocabulary: 9, &random)
    let order = CollisionOrder.shuffled(seed: 4)
    let device = try DeviceSearch(IdentifierTables(table), on: hostBackend())
    #expect(
      try device.rank([query], limit: 50, collisions: order)
        == [ExactSearch(table: table).rank(query, limit: 50, collisions: order)])
  }

  /// A code beyond its step's, which only a damaged file has, reads the step's last value.
  @Test(arguments: [2, 4])
  func codesOutOfRange(width: Int) throws {
    let bytes =
      width == 2
      ? [0, 1, 2, 60_000, 1].flatMap { withUnsafeBytes(of: UInt16($0), Array.init) }
      : [0, 1, 2, UInt32.max, 1].flatMap { withUnsafeBytes(of: UInt32($0), Array.init) }
    let found = try bytes.withUnsafeBytes { column in
      try CUDACodeScan(
        CodeColumns(columns: [column], codeWidth: width, rows: 5, codeCounts: [3]),
        on: try hostBackend()
      ).largest(5, of: [-3, -2, -1], queries: 1, allowed: nil)
    }
    let rows = try #require(found.first ?? nil).sorted { $0.row < $1.row }
    #expect(
      rows
        == zip(0..., [-3, -2, -1, -1, -2] as [Float]).map { ScoredRow(row: $0.0, score: $0.1) })
  }

  /// An evaluation's lists do not depend on where identifiers are searched.
  @Test func evaluationRanksTheSame() throws {
    let names = (0..<40).map { "d\($0)" }
    let retriever = try Retriever(
      answeringFrom: names.map { Document(id: $0, title: $0, text: $0) }
    ) { question in Array(names.drop { $0 != question }.prefix(7)) }
    let queries = (0..<30).map { Query(id: "q\($0)", text: "d\($0)") }
    let scanner = WatchedScanner(try hostBackend(), leastGroups: 256)
    var done: [Int] = []
    let found = try SplitRanking(depth: 5, scanner: scanner)
      .rankings(of: queries, by: retriever) { done.append($0) }
    #expect(try found == SplitRanking(depth: 5).rankings(of: queries, by: retriever))
    #expect(found.first?.documents.first?.id == "d0" && done == Array(1...30))
    #expect(scanner.answered == queries.count)
    // A beam is not a scan.
    _ = try SplitRanking(depth: 5, mode: .beam(3), scanner: scanner)
      .rankings(of: queries, by: retriever)
    #expect(scanner.answered == queries.count)
  }

  @Test func aQueryOfAnotherModelIsRefused() throws {
    var random = SeededGenerator(RandomKey(seed: 3))
    let table = try Self.table(.spread, documents: 20, vocabulary: 9, &random)
    let device = try DeviceSearch(IdentifierTables(table), on: hostBackend())
    let query = try Self.query(.spread, vocabulary: 8, &random)
    #expect(throws: IndexError.self) { try device.rank([query], limit: 3) }
  }

  /// A device without room for the identifiers says so.
  @Test func noRoom() throws {
    var random = SeededGenerator(RandomKey(seed: 3))
    let table = try Self.table(.spread, documents: 20_000, vocabulary: 900, &random)
    #expect(throws: TensorError.self) {
      _ = try DeviceSearch(IdentifierTables(table), on: hostBackend(memoryBudget: 10_000))
    }
  }
}

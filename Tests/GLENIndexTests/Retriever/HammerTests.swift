import Foundation
import Synchronization
import Testing

@testable import GLENIndex

/// Readers and a writer on one folder for some seconds: every answer is that of a committed state.
///
/// `Scripts/sanitize` runs it for a minute, under the address and the thread sanitizer.
@Suite("Readers and a writer") final class HammerTests: Sendable {
  private static let duration = Duration.seconds(
    ProcessInfo.processInfo.environment["GLEN_HAMMER"].flatMap(Double.init) ?? 2)

  /// What the writer does and what readers have seen.
  private struct Log: Sendable {
    /// The names of the documents by commit, noted before the commit.
    var states: [Int: Set<String>] = [:]
    var commits = 0
    var searches = 0
    var reopenings = 0
    var begin = ContinuousClock.now

    var isEnough: Bool { commits > 3 && searches > 3 && reopenings > 3 }
  }

  private let url: URL
  private let folder: URL
  private let log = Mutex(Log())

  init() throws {
    folder = FileManager.default.temporaryDirectory.appendingPathComponent(
      "glen-hammer-\(UUID().uuidString)")
    url = folder.appendingPathComponent("index")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    var indexer = Indexer(model: try ToyModel.folder(in: folder))
    indexer.keepsKeywords = true
    let documents = ToyModel.documents.prefix(24)
    try indexer.index(Array(documents)).save(to: url)
    log.withLock { $0.states[1] = Set(documents.map(\.id)) }
  }

  deinit { try? FileManager.default.removeItem(at: folder) }

  /// Whether the time is up and something has happened in it, which takes longer on a busy machine.
  private var isOver: Bool {
    log.withLock { log in
      let left = log.begin + Self.duration - .now
      return left <= .zero && (log.isEnough || left <= .seconds(-60))
    }
  }

  @Test func everyAnswerIsThatOfACommit() async throws {
    let shared = try await Retriever(opening: url)
    log.withLock { $0.begin = .now }
    try await withThrowingTaskGroup(of: Void.self) { group in
      // Threads of their own for what never waits: all pools are as small as the machine.
      group.addTask { try await Self.onThread { try self.write() } }
      for seed in 0..<2 as Range<UInt64> {
        group.addTask { try await Self.onThread { try self.openAndSearch(seed) } }
      }
      for seed in 0..<4 as Range<UInt64> {
        group.addTask { try await self.follow(shared, seed) }
      }
      try await group.waitForAll()
    }
    try Retriever.verify(url)
    let log = log.withLock { $0 }
    print(
      "\(log.commits) commits, \(log.searches) searches, \(log.reopenings) reopenings "
        + "in \(Self.duration)")
    #expect(log.isEnough)
  }

  private static func onThread(_ body: @escaping @Sendable () throws -> Void) async throws {
    try await withCheckedThrowingContinuation { continuation in
      Thread.detachNewThread { continuation.resume(with: Result { try body() }) }
    }
  }

  /// Adds, replaces, removes, thinks better of it, commits, and compacts.
  private func write() throws {
    let writer = try IndexWriter(opening: url)
    var generator = SeededGenerator(seed: 11)
    var (generation, names) = (1, log.withLock { $0.states[1] ?? [] })
    while !isOver {
      let number = Int.random(in: 0..<60, using: &generator)
      var next = names
      let updated = (0..<Int.random(in: 1...3, using: &generator)).map {
        Document(id: "u\(number)-\($0)", text: "\(number) bees", metadata: ["n": .number(1)])
      }
      try writer.update(updated)
      next.formUnion(updated.map(\.id))
      // Never more than readers ask for, and now and then none at all.
      let share = number == 0 ? 1 : next.count > 40 ? 0.5 : 0.1
      let gone = next.sorted().filter { _ in
        Double.random(in: 0..<1, using: &generator) < share
      }
      try writer.remove(ids: gone)
      next.subtract(gone)
      if number % 7 == 1 {
        try writer.discardChanges()
        continue
      }
      log.withLock { $0.states[generation + 1] = next }
      // What came and went again is no change.
      guard try number % 5 == 2 ? writer.compact() : writer.commit() else { continue }
      (generation, names) = (generation + 1, next)
      log.withLock { $0.commits += 1 }
    }
  }

  /// Opens the folder again and again.
  private func openAndSearch(_ seed: UInt64) throws {
    var generator = SeededGenerator(seed: seed)
    while !isOver {
      let retriever = try Retriever(opening: url)
      let question = ToyModel.questions.randomElement(using: &generator) ?? ""
      check(try retriever.search(question, limit: 200), of: retriever)
      log.withLock { $0.reopenings += 1 }
    }
  }

  /// Asks a retriever that others ask too, follows the commits, and looks back.
  private func follow(_ shared: Retriever, _ seed: UInt64) async throws {
    var generator = SeededGenerator(seed: seed)
    var retriever = shared
    while !isOver {
      let question = ToyModel.questions.randomElement(using: &generator) ?? ""
      let hits = try await retriever.search(question, limit: 200)
      check(hits, of: retriever)
      let filter = retriever.filter { $0.metadata["n"] != nil }
      let some = try await retriever.search(
        question, limit: 200, options: SearchOptions(hybrid: .reciprocalRank, filter: filter))
      #expect(
        Set(some.map(\.id)) == Set(hits.filter { $0.metadata["n"] != nil }.map(\.id)))
      guard let newer = try await retriever.reopenedIfChanged() else { continue }
      check(try await newer.search(question, limit: 200), of: newer)
      // Who keeps the old snapshot keeps its answers.
      let again = try await retriever.search(question, limit: 200)
      #expect(Set(again.map(\.id)) == Set(hits.map(\.id)))
      retriever = newer
      log.withLock { $0.reopenings += 1 }
    }
  }

  private func check(_ hits: [SearchHit], of retriever: Retriever) {
    let ids = Set(hits.map(\.id))
    let expected = log.withLock { log in
      log.searches += 1
      return log.states[retriever.snapshot.generation]
    }
    #expect(hits.count == ids.count && ids == expected)
  }
}

import Foundation
import Testing

@testable import GLENIndex

@Suite("Doubles and snapshots") struct SnapshotTests {
  // MARK: A double for an app's tests

  @Test func aDoubleAnswersWhatItIsTold() async throws {
    let retriever = try Retriever(answeringFrom: [
      Document(id: "hive", title: "The bees' front door", text: "..."),
      Document(id: "bread", title: "What yeast does to dough", text: "..."),
      Document(id: "glass", text: "..."),
    ]) { question in question.contains("bee") ? ["hive", "glass"] : [] }
    let hits = try await retriever.search("Where do bees live?")
    #expect(hits.map(\.id) == ["hive", "glass"])
    #expect(hits.map(\.title) == ["The bees' front door", nil])
    #expect(hits.map(\.identifier) == [["hive"], ["glass"]])
    #expect(abs((hits[0].probability ?? 0) - 1 / (1 + exp(-1))) < 1e-12)
    #expect(try await retriever.search("What is the time?").isEmpty)
    let allowed = SearchOptions(filter: retriever.filter { $0.id != "hive" })
    #expect(try await retriever.search("bees", options: allowed).map(\.id) == ["glass"])
    let explanation = try await retriever.explain("glass", for: "bees")
    #expect(explanation.rank == 2 && explanation.steps[0].piece == "glass")
    #expect(retriever.model == nil)
    #expect(throws: IndexError.self) {
      try retriever.save(to: URL(fileURLWithPath: "/nowhere/index"))
    }
    await #expect(throws: IndexError.self) { try await retriever.reopenedIfChanged() }
  }

  @Test func aDoublesMistakesAreErrors() async throws {
    struct Broken: Error {}
    #expect(throws: IndexError.self) { try Retriever(answeringFrom: []) { _ in [] } }
    let twins = [Document(id: "a", text: ""), Document(id: "a", text: "")]
    #expect(throws: IndexError.self) { try Retriever(answeringFrom: twins) { _ in [] } }
    let wrong = try Retriever(answeringFrom: [Document(id: "a", text: "")]) { question in
      if question == "broken" { throw Broken() }
      return ["b"]
    }
    let error = await #expect(throws: IndexError.self) { try await wrong.search("x") }
    #expect(error?.description.contains("got \"b\"") == true)
    await #expect(throws: Broken.self) { try await wrong.search("broken") }
  }

  /// A scoring that leaves questions out.
  private struct Forgetful: QueryScoring {
    func scores(of questions: [String]) throws -> [QueryScores] { [] }
  }

  @Test func everyQuestionNeedsScores() async throws {
    let scripted = try Retriever(answeringFrom: [Document(id: "a", text: "")]) { _ in ["a"] }
    let retriever = try Retriever(model: Forgetful(), snapshot: scripted.snapshot)
    let error = await #expect(throws: IndexError.self) { try await retriever.search("x") }
    #expect(error?.description.contains("expected 1 tables, got 0") == true)
    #expect(Forgetful().piece(17) == "17")
  }

  // MARK: Hits

  @Test func hitsKeepTheirValuesAsJSON() throws {
    let hit = SearchHit(
      id: "1", score: -2.5, identifier: ["▁a"], tokens: [5], similarity: 0.5, probability: 0.25,
      title: nil, metadata: ["language": "en", "year": 2025, "isPublic": true, "weight": 0.5])
    let data = try JSONEncoder().encode(hit)
    #expect(try JSONDecoder().decode(SearchHit.self, from: data) == hit)
    let object = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
    #expect(Set(object.keys).isSuperset(of: ["id", "score", "identifier", "tokens", "similarity"]))
    #expect((object["metadata"] as? [String: Any])?["language"] as? String == "en")
  }

  // MARK: Snapshots

  @Test func aServerFollowsTheFolder() async throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent(
      "glen-index-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let url = folder.appendingPathComponent("index")
    let model = try ToyModel.folder(in: folder, seed: 1)
    try Indexer(model: model).index(Array(ToyModel.documents.prefix(10))).save(to: url)
    let first = try await Retriever(
      opening: url, configuration: RetrieverConfiguration(threadCount: 1))
    let answers = try await first.search("bees", limit: 50)
    #expect(answers.count == 10)
    #expect(try await first.reopenedIfChanged().map(\.snapshot.livingCount) == nil)

    // The same model stays loaded, and callers of both snapshots share its batches.
    try Indexer(model: model).index(ToyModel.documents).save(to: url)
    let second = try #require(try await first.reopenedIfChanged())
    #expect(second.batcher === first.batcher)
    #expect(try await second.search("bees", limit: 50).count == 48)
    #expect(try await first.search("bees", limit: 50) == answers)
    #expect(try await second.reopenedIfChanged().map(\.snapshot.livingCount) == nil)
    let filter = first.filter(ids: ["bees-1"])
    await #expect(throws: IndexError.self) {
      try await second.search("bees", options: SearchOptions(filter: filter))
    }

    // Another model is opened, on the same threads.
    let other = try ToyModel.folder(in: folder, seed: 2)
    try Indexer(model: other).index(ToyModel.documents).save(to: url)
    let third = try #require(try await second.reopenedIfChanged())
    #expect(third.batcher !== first.batcher && third.configuration.threadCount == 1)
    #expect(third.model?.fingerprint == other.fingerprint)
    #expect(
      try await third.search("bees") == Retriever(opening: url).search("bees"))
    #expect(try await first.search("bees", limit: 50) == answers)
    try FileManager.default.removeItem(at: url)
    await #expect(throws: IndexError.self) { try await third.reopenedIfChanged() }
  }

  @Test func aDocumentsTextGivesItsOwnProbabilities() async throws {
    let retriever = try withTemporaryFolder { try ToyModel.retriever(in: $0) }
    let document = ToyModel.documents[7]
    let explanation = try await retriever.explain(
      document.id, for: "what is seen by few", limit: 3, document: document)
    let reader = try retriever.toyModel
    let own = try #require(try reader.generator.scores(of: [reader.tokens(of: document)]).first)
    for (step, part) in explanation.steps.enumerated() {
      // The identifier is the arg max of the document's own logits, of which the index keeps one.
      let logits = (0..<own.vocabularySize).map { own.logit(step, $0) }
      #expect(abs(part.documentLogit - (logits.max() ?? 0)) < 1e-4)
      let total = logits.reduce(0) { $0 + exp(Double($1)) }
      let probability = exp(Double(own.logit(step, Int(part.token)))) / total
      #expect(abs((part.documentProbability ?? 0) - probability) < 1e-9)
    }
    let bare = try await retriever.explain(document.id, for: "what is seen by few")
    #expect(bare.steps.allSatisfy { $0.documentProbability == nil })
  }
}

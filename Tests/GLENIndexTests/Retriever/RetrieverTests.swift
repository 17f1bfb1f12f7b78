import Foundation
import GLENModel
import GLENTensor
import GLENText
import Testing

@testable import GLENIndex

@Suite("Text in, hits out") struct RetrieverTests {
  private static func answers(_ retriever: Retriever, _ mode: SearchMode = .exact) throws
    -> [[SearchHit]]
  {
    try ToyModel.questions.map {
      try retriever.search($0, limit: 60, options: SearchOptions(mode: mode))
    }
  }

  @Test func whatIsSavedAnswersTheSame() throws {
    try withTemporaryFolder { folder in
      let retriever = try ToyModel.retriever(in: folder)
      let expected = try Self.answers(retriever)
      let url = folder.appendingPathComponent("a/index")
      try retriever.save(to: url)
      // The model's own folder is no longer needed.
      try FileManager.default.removeItem(at: try retriever.toyModel.url)
      let opened = try Retriever(opening: url)
      #expect(try Self.answers(opened) == expected)
      #expect(try opened.toyModel.fingerprint == retriever.toyModel.fingerprint)
      try IndexFolder.verify(url)
      // What is opened saves again, in place and elsewhere.
      let before = try ToyModel.contents(of: url).withoutManifest
      try opened.save(to: url)
      #expect(try ToyModel.contents(of: url).withoutManifest == before)
      let copy = folder.appendingPathComponent("copy")
      try opened.save(to: copy)
      #expect(try ToyModel.contents(of: copy).withoutManifest == before)
      #expect(try Self.answers(Retriever(opening: copy)) == expected)
    }
  }

  @Test func severalQuestionsAreAnsweredAsEachAlone() throws {
    try withTemporaryFolder { folder in
      let retriever = try ToyModel.retriever(in: folder)
      // More than are encoded at once.
      let questions = (0..<150).map { "\(ToyModel.questions[$0 % 6]) \($0)" }
      let together = try retriever.search(questions, limit: 5)
      #expect(together.count == 150)
      for (question, hits) in zip(questions, together) {
        let alone = try retriever.search(question, limit: 5)
        #expect(hits.map(\.id) == alone.map(\.id), "\(question)")
        for (a, b) in zip(hits, alone) { #expect(abs(a.score - b.score) < 1e-4) }
      }
      #expect(try retriever.search([String](), limit: 5).isEmpty)
    }
  }

  @Test func eightTasksGetTheSameAnswers() async throws {
    let folder = FileManager.default.temporaryDirectory
      .appendingPathComponent("glen-index-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: folder) }
    let retriever = try ToyModel.retriever(in: folder)
    let expected = try Self.answers(retriever)
    let beams = try Self.answers(retriever, .beam(4))
    try await withThrowingTaskGroup(of: Bool.self) { group in
      for task in 0..<8 {
        group.addTask {
          for _ in 0..<5 {
            let mode: SearchMode = task % 2 == 0 ? .exact : .beam(4)
            guard try Self.answers(retriever, mode) == (task % 2 == 0 ? expected : beams) else {
              return false
            }
          }
          return true
        }
      }
      for try await isSame in group { #expect(isSame) }
    }
  }

  @Test func aBeamAsWideAsTheIndexIsExact() throws {
    try withTemporaryFolder { folder in
      for seed in 1...3 as ClosedRange<UInt64> {
        let retriever = try ToyModel.retriever(in: folder, seed: seed)
        let exact = try Self.answers(retriever)
        let width = IdentifierTrie(retriever.snapshot.tables).count(of: [])
        #expect(try Self.answers(retriever, .beam(width)) == exact)
        #expect(try Self.answers(retriever, .beam(Int.max)) == exact)
        let narrow = try Self.answers(retriever, .beam(1))
        #expect(narrow.allSatisfy { !$0.isEmpty })
        #expect(width == 1 || narrow != exact)
      }
    }
  }

  @Test func limitsAreKept() throws {
    try withTemporaryFolder { folder in
      let retriever = try ToyModel.retriever(in: folder)
      let all = try retriever.search("bees", limit: 1000)
      #expect(all.count == 48 && Set(all.map(\.id)).count == 48)
      #expect(try retriever.search("bees", limit: Int.max) == all)
      for limit in [0, 1, 7] {
        #expect(try retriever.search("bees", limit: limit) == Array(all.prefix(limit)))
      }
      #expect(try retriever.search("bees", limit: -3).isEmpty)
      #expect(throws: IndexError.self) {
        try retriever.search("bees", options: SearchOptions(mode: .beam(0)))
      }
    }
  }

  /// The score of every hit, in double precision from the logits of the network itself.
  @Test func scoresAreSumsOfLogProbabilitiesOverTheMaskedVocabulary() throws {
    try withTemporaryFolder { folder in
      let retriever = try ToyModel.retriever(in: folder)
      let reader = try retriever.toyModel
      let (model, settings) = (reader.generator.model, reader.settings)
      let size = model.configuration.vocabularySize
      let masked = Set(settings.maskedTokens)
      #expect(masked.contains(2) && masked.count > 1)
      for question in ToyModel.questions {
        let batch = try TokenBatch(
          [reader.tokens(ofQuery: question)], vocabularySize: size)
        let logits = try model.logits(model.rollout(batch, steps: 3)).values().map(Double.init)
        let hits = try retriever.search(question, limit: 48)
        #expect(hits.count == 48)
        #expect(zip(hits, hits.dropFirst()).allSatisfy { $0.score >= $1.score })
        for hit in hits {
          #expect(hit.tokens.count == 3 && masked.isDisjoint(with: hit.tokens))
          #expect(hit.identifier == hit.tokens.map(reader.tokenizer.piece))
          var score = 0.0
          for (step, token) in hit.tokens.enumerated() {
            let row = (0..<size).filter { !masked.contains(Int32($0)) }
              .map { exp(logits[step * size + $0]) }
            score += logits[step * size + Int(token)] - log(row.reduce(0, +))
          }
          #expect(abs(Double(hit.score) - score) < 1e-4)
        }
      }
    }
  }

  @Test func hitsHaveTheTitlesOfTheirDocuments() throws {
    try withTemporaryFolder { folder in
      let retriever = try ToyModel.retriever(in: folder)
      let titles = Dictionary(uniqueKeysWithValues: ToyModel.documents.map { ($0.id, $0.title) })
      for hit in try retriever.search("comets", limit: 48) {
        #expect((hit.title ?? "") == titles[hit.id] && hit.title != "")
        #expect(hit.similarity >= -1.0001 && hit.similarity <= 1.0001)
      }
    }
  }

  /// Questions of any kind are answered, none with an error.
  @Test(arguments: [
    "", " ", "\n\t\r", "\u{0}", "\u{1}\u{7F}\u{85}", "🐝🎻", "👩‍👩‍👧‍👦 e\u{301}\u{301}\u{301}",
    "<extra_id_0></s><pad>",
    "\"``\"", "بيت 家 дом", "\u{FFFD}\u{FEFF}\u{202E}", String(repeating: "\u{300}", count: 5000),
  ])
  func anyQuestionIsAnswered(question: String) throws {
    try withTemporaryFolder { folder in
      let retriever = try ToyModel.retriever(in: folder)
      let hits = try retriever.search(question, limit: 48)
      #expect(hits.count == 48)
      #expect(hits.allSatisfy { $0.score.isFinite && $0.score < 0 })
      let tokens = try retriever.toyModel.tokens(ofQuery: question)
      #expect(tokens.last == 1 && tokens.count <= 12)
    }
  }

  @Test func anEmptyQuestionIsTheEndTokenAlone() throws {
    try withTemporaryFolder { folder in
      let retriever = try ToyModel.retriever(in: folder)
      #expect(try retriever.toyModel.tokens(ofQuery: "") == [1])
      #expect(try retriever.toyModel.tokens(ofQuery: " \n") == [1])
      #expect(try retriever.search("") == retriever.search("  \n "))
    }
  }

  /// A million characters: cut at the model's limit, and only the beginning is read.
  @Test(arguments: ["a", "bees and ", " ", "🐝", "家", "\""])
  func aQuestionOfAMillionCharactersIsFast(part: String) throws {
    try withTemporaryFolder { folder in
      let retriever = try ToyModel.retriever(in: folder)
      let question = String(repeating: part, count: 1_000_000 / part.count)
      var hits: [SearchHit] = []
      let duration = try ContinuousClock().measure { hits = try retriever.search(question) }
      #expect(hits.count == 10)
      #expect(duration < .seconds(5))
      #expect(try retriever.toyModel.tokens(ofQuery: question).count <= 12)
      let document = Document(id: "long", text: question)
      #expect(
        try Indexer(model: retriever.toyModel).index([document]).snapshot.livingCount == 1)
    }
  }

  @Test("Verifying finds a changed bit in any file of the model, and a missing list")
  func damagedModel() throws {
    try withTemporaryFolder { folder in
      let url = folder.appendingPathComponent("index")
      try ToyModel.retriever(in: folder).save(to: url)
      try Retriever.verify(url)
      let fingerprint = try IndexFolder.open(url).modelFingerprint
      let model = Retriever.modelURL(in: url, fingerprint: fingerprint)
      var generator = SeededGenerator(seed: 11)
      let names = [
        "config.json", "glen.json", "spiece.model", "model.safetensors", "checksums.txt",
      ]
      for name in names {
        let file = model.appendingPathComponent(name)
        let whole = try Data(contentsOf: file)
        for _ in 0..<12 {
          var changed = whole
          changed[Int.random(in: 0..<whole.count, using: &generator)] ^=
            1 << UInt8.random(in: 0..<8, using: &generator)
          try changed.write(to: file)
          #expect(throws: (any Error).self, "\(name)") { try Retriever.verify(url) }
        }
        try whole.write(to: file)
        try Retriever.verify(url)
      }
      try FileManager.default.removeItem(at: model.appendingPathComponent("checksums.txt"))
      #expect(throws: IndexError.self) { try Retriever.verify(url) }
    }
  }
}

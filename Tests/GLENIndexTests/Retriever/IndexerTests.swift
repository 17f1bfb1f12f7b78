import Foundation
import GLENModel
import GLENTensor
import Testing

@testable import GLENIndex

@Suite("Indexing and its files") struct IndexerTests {
  @Test func theIdentifiersAreTheModels() throws {
    try withTemporaryFolder { folder in
      let model = try ToyModel.folder(in: folder)
      var done: [Int] = []
      let retriever = try Indexer(model: model).index(ToyModel.documents) { done.append($0) }
      #expect(done.last == 48 && done == done.sorted())
      let index = retriever.snapshot
      for document in ToyModel.documents {
        // Each alone, though they were indexed together.
        let (tokens, weights) = try model.generator.identifiers(of: [model.tokens(of: document)])
        let number = try #require(index.document(withID: document.id))
        #expect(index.tables.tokens(ofDocument: number) == tokens)
        for (a, b) in zip(index.tables.weights(ofDocument: number), weights) {
          #expect(abs(a - b) < 1e-4)
        }
        #expect(index.title(ofDocument: number) == document.title)
      }
    }
  }

  /// An identifier with a token of probability zero would make a document that nothing finds.
  @Test func givenIdentifiersWithMaskedTokensAreRefused() throws {
    try withTemporaryFolder { folder in
      let indexer = Indexer(model: try ToyModel.folder(in: folder))
      let documents = Array(ToyModel.documents.prefix(2))
      let error = #expect(throws: IndexError.self) {
        try indexer.index(
          documents, tokens: [5, 6, 7, 5, 2, 7], weights: [Float](repeating: 1, count: 6))
      }
      #expect(error?.description.contains("\"\(documents[1].id)\" has the token 2") == true)
      _ = try indexer.index(
        documents, tokens: [5, 6, 7, 5, 1, 7], weights: [Float](repeating: 1, count: 6))
    }
  }

  @Test func documentsWithoutTextAreIndexed() throws {
    try withTemporaryFolder { folder in
      let model = try ToyModel.folder(in: folder)
      let documents = [
        Document(id: "1", text: ""), Document(id: "2", text: "bees"),
        Document(id: "3", text: " \n"), Document(id: "", text: "no name"),
        Document(id: "4", text: "\u{0}\u{1}"),
      ]
      let retriever = try Indexer(model: model).index(documents)
      let index = retriever.snapshot
      let numbers = try ["1", "3"].map { try #require(index.document(withID: $0)) }
      #expect(Set(numbers.map { index.tables.tokens(ofDocument: $0) }).count == 1)
      #expect(Set(try retriever.search("bees").map(\.id)) == ["1", "2", "3", "", "4"])
      try retriever.save(to: folder.appendingPathComponent("index"))
      let opened = try Retriever(opening: folder.appendingPathComponent("index"))
      #expect(try opened.search("bees") == retriever.search("bees"))
    }
  }

  @Test func noDocumentsAreAnError() throws {
    try withTemporaryFolder { folder in
      let error = #expect(throws: IndexError.self) {
        try Indexer(model: ToyModel.folder(in: folder)).index([])
      }
      guard case .invalidDocuments? = error else {
        Issue.record("unexpected error: \(String(describing: error))")
        return
      }
    }
  }

  @Test func aDuplicateIdIsNamed() throws {
    try withTemporaryFolder { folder in
      let twice = ToyModel.documents + [Document(id: "comets-2", text: "again")]
      let error = #expect(throws: IndexError.self) {
        try Indexer(model: ToyModel.folder(in: folder)).index(twice)
      }
      guard case .invalidDocuments(let text)? = error else {
        Issue.record("unexpected error: \(String(describing: error))")
        return
      }
      #expect(text.contains("\"comets-2\""))
    }
  }

  @Test func cancellationStops() async throws {
    let folder = FileManager.default.temporaryDirectory
      .appendingPathComponent("glen-index-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: folder) }
    let model = try ToyModel.folder(in: folder)
    let task = Task {
      withUnsafeCurrentTask { $0?.cancel() }
      _ = try Indexer(model: model).index(ToyModel.documents)
    }
    await #expect(throws: CancellationError.self) { try await task.value }
  }

  // MARK: Weights that are no numbers

  private static func damage(_ model: inout T5Model, _ name: String, _ value: Float) throws {
    try model.visitParameters { other, tensor in
      guard other == name else { return }
      var values = try tensor.values()
      values[values.count / 2] = value
      tensor = try Tensor(values, shape: tensor.shape)
    }
  }

  /// One value is enough, wherever it is, also in a row of the table that no text uses.
  @Test(arguments: [
    "shared.weight", "encoder.final_layer_norm.weight", "decoder.final_layer_norm.weight",
    "decoder.block.0.layer.1.EncDecAttention.v.weight",
  ])
  func aModelWithNaNIndexesNothing(name: String) throws {
    try withTemporaryFolder { folder in
      for (seed, value) in [(UInt64(1), Float.nan), (2, .infinity), (3, -.infinity)] {
        let model = try ToyModel.folder(in: folder, seed: seed) {
          try Self.damage(&$0, name, value)
        }
        let error = #expect(throws: IndexError.self) {
          try Indexer(model: model).index(ToyModel.documents)
        }
        guard case .invalidIdentifiers(let text)? = error else {
          Issue.record("unexpected error: \(String(describing: error))")
          continue
        }
        #expect(text.contains(name))
        // Asked directly, no scores come out either.
        let scores = #expect(throws: IndexError.self) {
          try model.generator.scores(of: ToyModel.questions.map(model.tokens(ofQuery:)))
        }
        guard case .invalidScores? = scores else {
          Issue.record("unexpected error: \(String(describing: scores))")
          continue
        }
      }
    }
  }

  /// The squares of such weights overflow, the weights do not.
  @Test func largeWeightsAreNumbers() throws {
    try withTemporaryFolder { folder in
      let model = try ToyModel.folder(in: folder) {
        try Self.damage(&$0, "encoder.block.0.layer.0.SelfAttention.k.weight", 1e25)
      }
      #expect(try model.generator.model.nameOfNonFiniteParameter() == nil)
    }
  }

  /// Such weights are numbers, and what the network makes of a text is none.
  @Test(arguments: [
    ["encoder.final_layer_norm.weight"], ["decoder.final_layer_norm.weight"],
    ["shared.weight", "decoder.final_layer_norm.weight"],
    ["decoder.block.0.layer.2.DenseReluDense.wo.weight", "decoder.final_layer_norm.weight"],
  ])
  func weightsThatOverflowAreNamed(names: [String]) throws {
    try withTemporaryFolder { folder in
      let model = try ToyModel.folder(in: folder) {
        try $0.visitParameters { name, tensor in
          guard names.contains(name) else { return }
          tensor = try Tensor(tensor.values().map { $0 * 1e30 }, shape: tensor.shape)
        }
      }
      #expect(try model.generator.model.nameOfNonFiniteParameter() == nil)
      let error = #expect(throws: IndexError.self) {
        try Indexer(model: model).index(ToyModel.documents)
      }
      #expect(error?.description.contains("overflow in \(model.url.path);") == true, "\(names)")
      let scores = #expect(throws: IndexError.self) { try model.scores(of: ToyModel.questions) }
      #expect(scores?.description.contains("overflow in \(model.url.path);") == true, "\(names)")
      // An index that somebody has made in spite of that is found out too.
      let (tokens, weights) = ([Int32](repeating: 3, count: 3), [Float](repeating: 1, count: 3))
      let url = folder.appendingPathComponent("index")
      try Indexer(model: model).index([ToyModel.documents[0]], tokens: tokens, weights: weights)
        .save(to: url)
      #expect(throws: IndexError.self) { try Retriever.verify(url) }
    }
  }

  // MARK: Files

  @Test func anIndexOfAnotherModelReplacesTheOldOne() throws {
    try withTemporaryFolder { folder in
      let url = folder.appendingPathComponent("index")
      let first = try ToyModel.retriever(in: folder, seed: 1)
      let second = try ToyModel.retriever(in: folder, seed: 2)
      #expect(try first.toyModel.fingerprint != second.toyModel.fingerprint)
      try first.save(to: url)
      let old = try Retriever(opening: url)
      let answers = try old.search("bees and looms", limit: 48)
      try second.save(to: url)
      #expect(
        try Retriever(opening: url).search("bees and looms", limit: 48)
          == second.search("bees and looms", limit: 48))
      // Whoever had it open keeps the old answers.
      #expect(try old.search("bees and looms", limit: 48) == answers)
      // Nothing of the old index is left.
      let fresh = folder.appendingPathComponent("fresh")
      try second.save(to: fresh)
      #expect(
        try ToyModel.contents(of: url).withoutManifest
          == ToyModel.contents(of: fresh).withoutManifest)
    }
  }

  @Test func savingRemovesNothingOfTheOwners() throws {
    try withTemporaryFolder { folder in
      let notes = ["model-notes/a.txt", "model-card.md", "model-0123456789abcdef/mine.txt"]
      for name in notes {
        let file = folder.appendingPathComponent(name)
        try FileManager.default.createDirectory(
          at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data("mine".utf8).write(to: file)
      }
      // Twice, so that there is an index to replace.
      try ToyModel.retriever(in: folder, seed: 1).save(to: folder)
      try ToyModel.retriever(in: folder, seed: 2).save(to: folder)
      for name in notes {
        let path = folder.appendingPathComponent(name).path
        #expect(FileManager.default.contents(atPath: path) == Data("mine".utf8), "\(name)")
      }
    }
  }

  /// Readers open the folder while two writers replace each other's index again and again.
  @Test func readersAndWritersShareAFolder() async throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent(
      "glen-shared-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let url = folder.appendingPathComponent("index")
    let first = try ToyModel.retriever(in: folder, seed: 1)
    let second = try ToyModel.retriever(in: folder, seed: 2)
    try first.save(to: url)
    let answers = try [first, second].map { try $0.search("bees and looms", limit: 5) }
    try await withThrowingTaskGroup(of: Void.self) { group in
      for writer in [first, second] {
        group.addTask { for _ in 0..<20 { try writer.save(to: url) } }
      }
      for _ in 0..<2 {
        group.addTask {
          for _ in 0..<20 {
            let found = try await Retriever(opening: url).search("bees and looms", limit: 5)
            #expect(answers.contains(found))
          }
        }
      }
      try await group.waitForAll()
    }
    try IndexFolder.verify(url)
    _ = try await Retriever(opening: url)
  }

  @Test func aMissingModelIsNamed() throws {
    try withTemporaryFolder { folder in
      let url = folder.appendingPathComponent("index")
      let retriever = try ToyModel.retriever(in: folder)
      try retriever.save(to: url)
      let model = url.appendingPathComponent("model-" + (try retriever.toyModel.fingerprint))
      for name in ["glen.json", "config.json", "model.safetensors", "spiece.model"] {
        let file = model.appendingPathComponent(name)
        let data = try Data(contentsOf: file)
        try FileManager.default.removeItem(at: file)
        let error = #expect(throws: (any Error).self) { try Retriever(opening: url) }
        #expect("\(try #require(error))".contains(model.path))
        try data.write(to: file)
      }
      _ = try Retriever(opening: url)
      try FileManager.default.removeItem(at: model)
      let error = #expect(throws: IndexError.self) { try Retriever(opening: url) }
      #expect(error?.description.contains("model is missing") == true)
      #expect(error?.description.contains(model.path) == true)
    }
  }

  @Test func aSwappedModelIsFoundOut() throws {
    try withTemporaryFolder { folder in
      let url = folder.appendingPathComponent("index")
      let retriever = try ToyModel.retriever(in: folder, seed: 1)
      try retriever.save(to: url)
      let other = try ToyModel.folder(in: folder, seed: 2).url
      let model = url.appendingPathComponent("model-" + (try retriever.toyModel.fingerprint))
      // All of it, or its weights alone.
      for names in [["glen.json", "model.safetensors", "config.json"], ["model.safetensors"]] {
        for name in names {
          let file = model.appendingPathComponent(name)
          try FileManager.default.removeItem(at: file)
          try FileManager.default.copyItem(at: other.appendingPathComponent(name), to: file)
        }
        let error = #expect(throws: IndexError.self) { try Retriever(opening: url) }
        #expect(error?.description.contains("not the model that made the index") == true)
      }
      // Other settings are another model, too.
      try FileManager.default.removeItem(at: url)
      try retriever.save(to: url)
      try IdentifierSettings(identifierLength: 3, maximumQueryLength: 13, maskedTokens: [2])
        .save(to: model)
      #expect(throws: IndexError.self) { try Retriever(opening: url) }
    }
  }

  /// A sharded model is told from others by its weights, not by the list of its shards.
  @Test func shardsBelongToTheFingerprint() throws {
    try withTemporaryFolder { folder in
      func sharded(_ seed: UInt64) throws -> ModelFolder {
        let url = try ToyModel.folder(in: folder, seed: seed).url
        let model = try T5Model(folder: url)
        let (first, second) = (model.parameters.prefix(3), model.parameters.dropFirst(3))
        try SafetensorsFile.write(Array(first), to: url.appendingPathComponent("a.safetensors"))
        try SafetensorsFile.write(Array(second), to: url.appendingPathComponent("b.safetensors"))
        var map: [String: String] = [:]
        for (name, _) in first { map[name] = "a.safetensors" }
        for (name, _) in second { map[name] = "b.safetensors" }
        let index = url.appendingPathComponent("model.safetensors.index.json")
        try JSONSerialization.data(withJSONObject: ["weight_map": map], options: [.sortedKeys])
          .write(to: index)
        try FileManager.default.removeItem(at: url.appendingPathComponent("model.safetensors"))
        return try ModelFolder(opening: url)
      }
      let (first, second) = (try sharded(1), try sharded(2))
      #expect(first.fingerprint != second.fingerprint)
      let url = folder.appendingPathComponent("index")
      let retriever = try Indexer(model: first).index(ToyModel.documents)
      try retriever.save(to: url)
      // A file of training beside the model is no part of it.
      try Data("x".utf8).write(to: first.url.appendingPathComponent("checkpoint.safetensors"))
      #expect(try ModelFolder(opening: first.url).fingerprint == first.fingerprint)
      let opened = try Retriever(opening: url)
      #expect(try opened.search("bees") == retriever.search("bees"))
      let target = url.appendingPathComponent("model-" + first.fingerprint + "/b.safetensors")
      try FileManager.default.removeItem(at: target)
      try FileManager.default.copyItem(
        at: second.url.appendingPathComponent("b.safetensors"), to: target)
      #expect(throws: IndexError.self) { try Retriever(opening: url) }
    }
  }

  /// An editor that writes in place changes a model's folder, and no index that was made with it.
  @Test func smallFilesOfTheModelAreTheIndexsOwn() throws {
    try withTemporaryFolder { folder in
      let model = folder.appendingPathComponent("model")
      try ToyModel.write(to: model)
      let index = folder.appendingPathComponent("index")
      try Indexer(model: ModelFolder(opening: model)).index(ToyModel.documents).save(to: index)
      for name in ["glen.json", "config.json", "spiece.model"] {
        let handle = try FileHandle(forWritingTo: model.appendingPathComponent(name))
        try handle.seekToEnd()
        try handle.write(contentsOf: Data("\n".utf8))
        try handle.close()
      }
      #expect(try Retriever(opening: index).search("bees").count == 10)
    }
  }

  /// Whoever has an index open whose folder got another model cannot put it back, and destroys neither.
  @Test func anIndexWhoseModelIsGoneIsNotSaved() throws {
    try withTemporaryFolder { folder in
      let (index, elsewhere) = (
        folder.appendingPathComponent("index"), folder.appendingPathComponent("elsewhere")
      )
      let documents = Array(ToyModel.documents.prefix(8))
      try Indexer(model: ToyModel.folder(in: folder)).index(documents).save(to: index)
      let old = try Retriever(opening: index)
      try Indexer(model: ToyModel.folder(in: folder, seed: 2)).index(documents).save(to: index)
      for target in [index, elsewhere] {
        let error = #expect(throws: IndexError.self) { try old.save(to: target) }
        #expect(error?.description.contains("find the model that made it") == true)
      }
      #expect(!FileManager.default.fileExists(atPath: elsewhere.path))
      try IndexFolder.verify(index)
      #expect(try Retriever(opening: index).search("bees").count == 8)
      #expect(try old.search("bees").count == 8)
    }
  }

  /// A pipe would make whoever opens it wait.
  @Test func aPipeIsNoManifest() throws {
    try withTemporaryFolder { folder in
      let index = folder.appendingPathComponent("index")
      try Indexer(model: ToyModel.folder(in: folder)).index(ToyModel.documents).save(to: index)
      let manifest = index.appendingPathComponent("manifest.json").path
      try FileManager.default.removeItem(atPath: manifest)
      #expect(mkfifo(manifest, 0o600) == 0)
      let error = #expect(throws: IndexError.self) { try Retriever(opening: index) }
      #expect(error?.description.contains("not a regular file") == true)
      // What an app shows is what the error says.
      #expect(error?.localizedDescription == error?.description)
    }
  }

  /// A model whose files are symbolic links, as in Hugging Face's cache, is saved as files.
  @Test func linkedModelFilesAreFollowed() throws {
    try withTemporaryFolder { folder in
      let real = try ToyModel.folder(in: folder).url
      let linked = folder.appendingPathComponent("snapshot")
      try FileManager.default.createDirectory(at: linked, withIntermediateDirectories: true)
      for name in try FileManager.default.contentsOfDirectory(atPath: real.path) {
        try FileManager.default.createSymbolicLink(
          atPath: linked.appendingPathComponent(name).path,
          withDestinationPath: "../\(real.lastPathComponent)/\(name)")
      }
      let retriever = try Indexer(model: ModelFolder(opening: linked)).index(ToyModel.documents)
      let url = folder.appendingPathComponent("deep/down/index")
      try retriever.save(to: url)
      try FileManager.default.removeItem(at: linked)
      try FileManager.default.removeItem(at: real)
      #expect(try Retriever(opening: url).search("bees") == retriever.search("bees"))
    }
  }

  @Test func aModelOfAnotherVocabularyIsNamed() throws {
    try withTemporaryFolder { folder in
      let url = folder.appendingPathComponent("model")
      try ToyModel.write(to: url)
      try T5Model(
        random: ToyModel.configuration(vocabularySize: 16), key: RandomKey(seed: 1)
      ).save(to: url)
      let error = #expect(throws: IndexError.self) { try ModelFolder(opening: url) }
      #expect(error?.description.contains("another model's vocabulary") == true)
    }
  }

  @Test func aFolderThatCannotBeMadeLeavesNothing() throws {
    try withTemporaryFolder { folder in
      let retriever = try ToyModel.retriever(in: folder)
      try Data("x".utf8).write(to: folder.appendingPathComponent("file"))
      let before = try ToyModel.contents(of: folder)
      let error = #expect(throws: IndexError.self) {
        try retriever.save(to: folder.appendingPathComponent("file/index"))
      }
      #expect(error?.description.contains("file") == true)
      #expect(try ToyModel.contents(of: folder) == before)
    }
  }

  #if canImport(Glibc)
    /// The limit on file sizes stands in for the full disk; links to the model need no room.
    @Test func aFullDiskKeepsTheOldIndex() async {
      await #expect(processExitsWith: .success) {
        try withTemporaryFolder { folder in
          let url = folder.appendingPathComponent("index")
          let first = try ToyModel.retriever(in: folder, seed: 1)
          let second = try ToyModel.retriever(in: folder, seed: 2)
          try first.save(to: url)
          let before = try ToyModel.contents(of: folder)
          signal(SIGXFSZ, SIG_IGN)
          let resource = __rlimit_resource_t(RLIMIT_FSIZE.rawValue)
          for limit in [0, 100, 1000] {
            var old = rlimit()
            try #require(getrlimit(resource, &old) == 0)
            var new = old
            new.rlim_cur = rlim_t(limit)
            try #require(setrlimit(resource, &new) == 0)
            let error = #expect(throws: IndexError.self) { try second.save(to: url) }
            #expect(throws: IndexError.self) {
              try second.save(to: folder.appendingPathComponent("new/index"))
            }
            try #require(setrlimit(resource, &old) == 0)
            guard case .fileSystem("write file", _, EFBIG)? = error else {
              Issue.record("unexpected error: \(String(describing: error))")
              continue
            }
            #expect(try ToyModel.contents(of: folder) == before)
            #expect(try Retriever(opening: url).search("bees") == first.search("bees"))
          }
          try second.save(to: url)
          #expect(try Retriever(opening: url).search("bees") == second.search("bees"))
        }
      }
    }
  #endif
}

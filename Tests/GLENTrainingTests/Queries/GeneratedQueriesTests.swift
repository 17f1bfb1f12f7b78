import Foundation
import GLENModel
import GLENTensor
import Synchronization
import Testing

@testable import GLENTraining

@Suite("Generated queries") struct GeneratedQueriesTests {
  private typealias Pair = GeneratedQueries.Pair

  private static func read(_ text: String, limit: Int = 0) throws -> [GeneratedQueries.Pair] {
    var files = ToyCorpus.files
    files["generated"] = text
    let folder = try TemporaryFolder(files)
    return try GeneratedQueries.pairs(
      contentsOf: folder.url.appendingPathComponent("generated"),
      of: RetrievalDataset(contentsOf: folder.url), malformedLineLimit: limit
    ).pairs
  }

  /// Stopped, killed in the middle of a line, and told to go on, the file is that of one run; other settings
  /// begin their own.
  @Test func aStoppedFileGoesOn() throws {
    let folder = try TemporaryFolder(ToyCorpus.files)
    let dataset = try RetrievalDataset(contentsOf: folder.url)
    var recipe = ToyCorpus.recipe
    recipe.queries.steps = 2
    var session = TrainingSession(recipe: recipe, start: .random(ToyCorpus.configuration()))
    session.phases = [.queries]
    let asker = folder.url.appendingPathComponent("asker")
    _ = try session.run(dataset, to: asker)
    var generator = try QueryGenerator(folder: asker)
    (generator.queriesPerDocument, generator.batchSize) = (2, 7)
    let (whole, file) = (
      folder.url.appendingPathComponent("whole"), folder.url.appendingPathComponent("file")
    )
    func unfinished() throws -> [String] {
      try FileManager.default.contentsOfDirectory(atPath: folder.url.path).filter {
        $0.hasPrefix("file.unfinished-")
      }
    }
    let count = try generator.write(dataset.documents, to: whole)
    var asked = 0
    #expect(throws: CancellationError.self) {
      try generator.write(dataset.documents, to: file) { _ in
        asked += 1
      } shouldStop: {
        asked == 3
      }
    }
    #expect(!FileManager.default.fileExists(atPath: file.path))
    let left = folder.url.appendingPathComponent(try #require(try unfinished().first))
    let lines = try Data(contentsOf: left)
    #expect(lines.count { $0 == 0x0A } == 14)
    // A line in the middle that is another document's is where it goes on, too.
    let whereItIs = try #require(String(data: lines, encoding: .utf8)).split(separator: "\n")
    let gap = (whereItIs[..<5] + whereItIs[6...]).joined(separator: "\n") + "\n"
    try Data(gap.utf8).write(to: left)
    var first = 0
    #expect(throws: CancellationError.self) {
      try generator.write(dataset.documents, to: file) { done in
        if first == 0 { first = done + 1 }
      } shouldStop: {
        true
      }
    }
    #expect(first == 6)
    try (lines + Data("{\"doc_id\":\"d14\",\"que".utf8)).write(to: left)
    var other = generator
    other.seed = 2
    try other.write(dataset.documents, to: folder.url.appendingPathComponent("file2"))
    var done: [Int] = []
    #expect(try generator.write(dataset.documents, to: file) { done.append($0) } == count)
    #expect(done.prefix(2) == [14, 21])
    #expect(try Data(contentsOf: file) == Data(contentsOf: whole))
    #expect(try unfinished().isEmpty)

    // A link leads to what is written, there or not yet.
    let link = folder.url.appendingPathComponent("link")
    try FileManager.default.createSymbolicLink(
      at: link, withDestinationURL: folder.url.appendingPathComponent("linked"))
    try generator.write(dataset.documents, to: link)
    #expect(
      try Data(contentsOf: folder.url.appendingPathComponent("linked")) == Data(contentsOf: whole))
    // A pipe stays a pipe, and the link to it a link.
    let pipe = folder.url.appendingPathComponent("pipe")
    #expect(mkfifo(pipe.path, 0o600) == 0)
    try FileManager.default.removeItem(at: link)
    try FileManager.default.createSymbolicLink(at: link, withDestinationURL: pipe)
    let ended = DispatchSemaphore(value: 0)
    let read = Mutex<Data?>(nil)
    Thread.detachNewThread {
      let data = try? FileHandle(forReadingFrom: pipe).readToEnd()
      read.withLock { $0 = data }
      ended.signal()
    }
    try generator.write(dataset.documents, to: link)
    ended.wait()
    #expect(try read.withLock { $0 } == Data(contentsOf: whole))
    #expect(try FileManager.default.destinationOfSymbolicLink(atPath: link.path) == pipe.path)
  }

  @Test func readsJSONLinesAndTables() throws {
    let expected = [
      Pair(text: "what is it", document: 3), Pair(text: "where", document: 3),
      Pair(text: "who", document: 1),
    ]
    #expect(
      try Self.read(
        """
        {"doc_id": "d3", "queries": ["what is it", "where", ""]}
        {"doc_id": "d1", "queries": ["who"]}
        """) == expected)
    #expect(try Self.read("d3\twhat is it\nd3\twhere\n\nd1\twho\nd1\t \n") == expected)
    // A number is a name; here of no document.
    let error = #expect(throws: TrainingError.self) {
      try Self.read("{\"doc_id\": 7, \"queries\": [\"who\"]}")
    }
    #expect(error?.description.contains("got '7'") == true)
  }

  @Test func aLineStandsForTheDocumentOfItsNumber() throws {
    let lines = (0..<ToyCorpus.documentCount).map { $0 == 4 ? "" : "query \($0)" }
    let pairs = try Self.read(lines.joined(separator: "\n"))
    #expect(pairs.map(\.document) == (0..<ToyCorpus.documentCount).filter { $0 != 4 })
    #expect(pairs.allSatisfy { $0.text == "query \($0.document)" })
    for wrong in [Array(lines.dropLast()), lines + ["more"]] {
      #expect(throws: TrainingError.self) { try Self.read(wrong.joined(separator: "\n")) }
    }
  }

  @Test(arguments: [
    ("{\"doc_id\": \"d3\"}", "line 1 is malformed"), ("d3\tone\ttwo", "line 1 is malformed"),
    ("d1\tx\nd99\tx", "line 2 names an unknown document"), ("d1\tx\n\t", "d1"),
  ])
  func namesTheLine(text: String, reason: String) throws {
    if reason == "d1" { return #expect(try Self.read(text).count == 1) }
    let error = #expect(throws: TrainingError.self) { try Self.read(text) }
    #expect(error?.description.contains(reason) == true)
  }

  @Test func malformedLinesArePassedOverUpToALimit() throws {
    #expect(try Self.read("d1\tx\nd2\nd3\ty\n", limit: 1).map(\.document) == [1, 3])
    #expect(throws: TrainingError.self) { try Self.read("d1\tx\nd2\nd3\n", limit: 1) }
  }

  /// The authors' table, as pandas writes it: a header, and quotes where a query has some.
  @Test func readsATableWithAHeader() throws {
    let expected = [
      Pair(text: "what is it", document: 3), Pair(text: "who said \"no\"", document: 1),
      Pair(text: "where", document: 3),
    ]
    let rows = "what is it\td3\n\"who said \"\"no\"\"\"\td1\nwhere\td3\n"
    #expect(try Self.read("query\toldid\n" + rows) == expected)
    #expect(try Self.read("oldid\tn\tquery\nd3\t1\twhere\n") == [expected[2]])
    #expect(try Self.read("\"Query\"\t OldID\n" + rows) == expected)
    let error = #expect(throws: TrainingError.self) {
      try Self.read("query\toldid\nwhat\td3\td4\n")
    }
    #expect(error?.description.contains("line 2 is malformed") == true)
    // A document may be called so; its query is no header.
    #expect(throws: TrainingError.self) { try Self.read("query\twhat is it\n") }
  }

  /// The last documents may have no query, as a blank line says, or one that is no text.
  @Test func aPredictionsFileMayEndBlank() throws {
    let lines = (0..<ToyCorpus.documentCount).map { $0 > 26 ? "" : "query \($0)" }
    let text = lines.joined(separator: "\n") + "\n"
    #expect(try Self.read(text).map(\.document) == Array(0...26))
    let error = #expect(throws: TrainingError.self) { try Self.read(text + "\n") }
    #expect(error?.description.contains("have 31 lines; expected one for each of 30") == true)
    #expect(throws: TrainingError.self) { try Self.read(String(text.dropLast())) }
  }

  @Test func unknownDocumentsMayBeSkipped() throws {
    let folder = try TemporaryFolder(
      ToyCorpus.files.merging(["generated": "d1\tx\nd99\ty\nd2\tz\nd98\tv\n", "lines": "a\nb\n"]) {
        $1
      })
    let dataset = try RetrievalDataset(contentsOf: folder.url)
    let read = try GeneratedQueries.pairs(
      contentsOf: folder.url.appendingPathComponent("generated"), of: dataset,
      skipsUnknownDocuments: true)
    #expect(read.pairs.map(\.document) == [1, 2] && read.unknownLines == 2)
    // A file of lines with another count is of another corpus, whatever may be skipped.
    #expect(throws: TrainingError.self) {
      try GeneratedQueries.pairs(
        contentsOf: folder.url.appendingPathComponent("lines"), of: dataset,
        skipsUnknownDocuments: true)
    }
  }

  @Test func phaseOneLearnsFromThem() throws {
    var recipe = ToyCorpus.recipe
    recipe.keywords.queryWeight = 0
    recipe.keywords.documentWeight = 0
    recipe.keywords.chunkWeight = 0
    recipe.keywords.generatedWeight = 1
    let folder = try TemporaryFolder(ToyCorpus.files)
    let dataset = try RetrievalDataset(contentsOf: folder.url)
    func objective(_ pairs: [GeneratedQueries.Pair]) throws -> KeywordObjective {
      let corpus = try TrainingCorpus(
        dataset, tokenizer: WordTokenizer(), recipe: recipe, generatedQueries: pairs)
      return try KeywordObjective(corpus, recipe: recipe, key: RandomKey(seed: 1))
    }
    #expect(throws: TrainingError.self) { try objective([]) }
    let text = WordTokenizer.words.prefix(3).joined(separator: " ")
    var one = try objective([GeneratedQueries.Pair(text: text, document: 5)])
    _ = try one.gradients(of: ToyCorpus.model(), batch: 0, key: RandomKey(seed: 2))
    // Nothing but that query, four tokens or fewer where some were dropped.
    #expect(one.tokenCount <= 4 * recipe.keywords.optimization.batchSize)
  }

  /// A network that learns one query for each document writes just these.
  @Test func aTrainedGeneratorWritesItsQueries() throws {
    var recipe = ToyCorpus.recipe
    (recipe.queries.steps, recipe.queries.batchSize) = (150, 12)
    (recipe.queries.learningRate, recipe.queries.decoderLearningRate) = (0.02, 0.02)
    (recipe.queries.warmupSteps, recipe.queries.dropout) = (5, 0)
    (recipe.queries.checkpointInterval, recipe.queries.validationInterval) = (0, 0)
    var files = ToyCorpus.files
    files["qrels/train.tsv"] = "a1\td1\t1\na2\td2\t1\nb3\td3\t1\n"
    let folder = try TemporaryFolder(files)
    let corpus = try TrainingCorpus(
      RetrievalDataset(contentsOf: folder.url), tokenizer: WordTokenizer(), recipe: recipe)
    var objective = try QueryGenerationObjective(corpus, recipe: recipe, key: RandomKey(seed: 1))
    var model = try ToyCorpus.model()
    var trainer = PhaseTrainer(key: RandomKey(seed: 3))
    try trainer.train(&model, &objective)
    let batch = try TokenBatch(
      (1...3).map { corpus.beginning(of: $0) }, vocabularySize: 128)
    let written = try model.generate(batch, maximumLength: 12)
    #expect(written == corpus.questions.map { Array($0.tokens.dropLast()) })
  }
}

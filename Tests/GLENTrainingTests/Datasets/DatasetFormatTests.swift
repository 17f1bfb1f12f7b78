import Foundation
import GLENIndex
import Testing

@testable import GLENTraining

@Suite("Layouts of datasets") struct DatasetFormatTests {
  private static let marco = [
    "collection.tsv": "0\tBees dance.\n7\tWasps \"do\" not.\n",
    "queries.train.tsv": "q1\twho dances\n",
    "queries.dev.tsv": "q2\twho does not\nq1\twho dances\n",
    "qrels.train.tsv": "q1\t0\t0\t1\n", "qrels.dev.small.tsv": "q2\t0\t7\t1\n",
  ]
  private static let tables = [
    "DOC_NQ_title+content.tsv":
      "oldid\tquery\n10\tBees Bees dance.\n11\t\"The \"\"real\"\" wasps\"\n12\tAnts \"march\"\n",
    "DOC_NQ_first64.tsv": "oldid\tquery\n10\tBees\n",
    "GTQ_NQ_train.tsv": "query\toldid\nwho dances\t10\nwho dances\t11\n",
    "GTQ_NQ_dev.tsv": "query\toldid\n\"who \"\"marches\"\"\"\t12\nwho dances\t10\n",
    "GTQ_NQ_dev_seen.tsv": "query\toldid\nwho dances\t10\n",
    "ID_NQ_x.tsv": "oldid\tid\n10\t1\n",
  ]

  @Test func readsMSMARCO() throws {
    let folder = try TemporaryFolder(Self.marco)
    let dataset = try RetrievalDataset(contentsOf: folder.url)
    #expect(dataset.format == .msmarco)
    #expect(
      dataset.documents == [
        Document(id: "0", text: "Bees dance."), Document(id: "7", text: "Wasps \"do\" not."),
      ])
    #expect(dataset.queries.map(\.id) == ["q2", "q1"], "a query in two files is one query")
    #expect(dataset.splits == ["dev.small", "train"])
    #expect(
      try dataset.judgements(split: "dev.small") == [Judgement(query: 0, document: 1, grade: 1)])
    #expect(try dataset.judgements(split: "train") == [Judgement(query: 1, document: 0, grade: 1)])
  }

  @Test func readsTheAuthorsTables() throws {
    let folder = try TemporaryFolder(Self.tables)
    let dataset = try RetrievalDataset(contentsOf: folder.url)
    #expect(dataset.format == .nq320k)
    #expect(
      dataset.documents.map(\.text) == [
        "Bees Bees dance.", "The \"real\" wasps", "Ants \"march\"",
      ])
    #expect(dataset.documents.map(\.id) == ["10", "11", "12"])
    #expect(dataset.queries.map(\.text) == ["who \"marches\"", "who dances"])
    #expect(dataset.queries.map(\.id) == ["q0", "q1"])
    #expect(dataset.queryPosition(of: "q1") == 1)
    #expect(dataset.splits == ["dev", "dev_seen", "train"])
    #expect(try dataset.judgements(split: "train").map(\.document) == [0, 1])
    #expect(try dataset.judgements(split: "train").map(\.query) == [1, 1])
    #expect(try dataset.judgements(split: "dev").map(\.query) == [0, 1])
  }

  @Test func aFileOfDocumentsHasItsFormatInItsName() throws {
    let folder = try TemporaryFolder(Self.marco.merging(Self.tables) { first, _ in first })
    func count(_ name: String) throws -> Int {
      try RetrievalDataset.documents(contentsOf: folder.url.appendingPathComponent(name)).count
    }
    #expect(try count("collection.tsv") == 2)
    #expect(try count("DOC_NQ_title+content.tsv") == 3)
    // Both are in the folder: the format may be asked for.
    let dataset = try RetrievalDataset(contentsOf: folder.url, format: .nq320k)
    #expect(dataset.documents.count == 3)
    #expect(try RetrievalDataset(contentsOf: folder.url).format == .msmarco)
  }

  @Test(arguments: [
    ("collection.tsv", "0\tone\nno tab\n", 2), ("collection.tsv", "\tno id\n", 1),
    ("collection.tsv", "0\tone\ttwo\n", 1), ("queries.dev.tsv", "q2\n", 1),
    ("DOC_NQ_title+content.tsv", "id\ttext\n1\tx\n", 1),
    ("DOC_NQ_title+content.tsv", "oldid\tquery\n1\t\"open\n", 2),
    ("DOC_NQ_title+content.tsv", "oldid\tquery\n\tx\n", 2),
    ("DOC_NQ_title+content.tsv", "oldid\tquery\n1\tx\ty\n", 2),
  ])
  func namesAMalformedLine(name: String, text: String, line: Int) throws {
    var files = name.contains("NQ") ? Self.tables : Self.marco
    files[name] = text
    let folder = try TemporaryFolder(files)
    let error = #expect(throws: TrainingError.self) {
      try RetrievalDataset(contentsOf: folder.url)
    }
    #expect(error?.description.contains("\(name): line \(line) is malformed") == true)
  }

  @Test func countsMalformedLinesUpToALimit() throws {
    var files = Self.marco
    files["collection.tsv"] = "0\tone\nbad\n7\ttwo\nworse\n"
    let folder = try TemporaryFolder(files)
    let dataset = try RetrievalDataset(contentsOf: folder.url, malformedLineLimit: 2)
    #expect(dataset.documents.count == 2 && dataset.skippedLines.count == 2)
    #expect(throws: TrainingError.self) {
      try RetrievalDataset(contentsOf: folder.url, malformedLineLimit: 1)
    }
  }

  @Test func aQueryWithTwoTextsIsAnError() throws {
    var files = Self.marco
    files["queries.train.tsv"] = "q1\twho dances\nq2\tsomething else\n"
    let folder = try TemporaryFolder(files)
    #expect(throws: TrainingError.self) { try RetrievalDataset(contentsOf: folder.url) }
  }

  @Test func aFolderOfNoFormatNamesThemAll() throws {
    let folder = try TemporaryFolder(["notes.txt": "x"])
    let error = #expect(throws: TrainingError.self) {
      try RetrievalDataset(contentsOf: folder.url)
    }
    for name in ["corpus.jsonl", "collection.tsv", "DOC_NQ_*.tsv"] {
      #expect(error?.description.contains(name) == true)
    }
  }

  @Test(arguments: [
    ("a\tb", ["a", "b"]), ("\"a\tb\"\tc", ["a\tb", "c"]), ("\"\"\t\"\"\"\"", ["", "\""]),
    ("a \"b\" c\t", ["a \"b\" c", ""]), ("\"a\"b\tc", ["ab", "c"]), ("\"\"", [""]),
  ])
  func quotesAreAsPandasHasThem(line: String, columns: [String]) throws {
    #expect(try LineColumns.quoted(Array(line.utf8)) == columns)
  }
}

@Suite("Tokens on disk") struct TokenCacheTests {
  private static let texts = ["one two", "", "three", "four five six"]
  private static let vocabulary = Data("vocabulary".utf8)

  private static func encode(_ text: String) -> [Int32] { text.utf8.map { Int32($0) - 100 } }

  /// The tokens, and how many texts were encoded to get them.
  private static func sequences(
    _ folder: TemporaryFolder, _ texts: [String] = texts, vocabulary: Data = vocabulary,
    purpose: String = "test"
  ) -> (tokens: [[Int32]], encoded: Int) {
    var encoded = 0
    let cache = TokenCache(folder: folder.url, vocabulary: vocabulary)
    let sequences = cache.sequences(of: texts, purpose: purpose) {
      encoded += 1
      return Self.encode($0)
    }
    return (Array(sequences), encoded)
  }

  private static func file(_ folder: TemporaryFolder) throws -> URL {
    let names = try FileManager.default.contentsOfDirectory(atPath: folder.url.path)
    return folder.url.appendingPathComponent(try #require(names.first))
  }

  @Test func encodesOnce() throws {
    let folder = try TemporaryFolder()
    let expected = Self.texts.map(Self.encode)
    #expect(Self.sequences(folder) == (expected, 4))
    #expect(Self.sequences(folder) == (expected, 0))
    #expect(TokenSequences(expected).elementsEqual(expected), "and the same in memory")
  }

  @Test func whateverDiffersIsAnotherFile() throws {
    let folder = try TemporaryFolder()
    _ = Self.sequences(folder)
    #expect(Self.sequences(folder, ["one twp"] + Self.texts.dropFirst()).encoded == 4)
    #expect(Self.sequences(folder, ["one two", "three", "", "four five six"]).encoded == 4)
    #expect(Self.sequences(folder, vocabulary: Data("another".utf8)).encoded == 4)
    #expect(Self.sequences(folder, purpose: "other").encoded == 4)
    #expect(Self.sequences(folder).encoded == 0)
  }

  @Test func aDamagedFileIsMadeAgain() throws {
    let folder = try TemporaryFolder()
    let expected = Self.sequences(folder).tokens
    let url = try Self.file(folder)
    let whole = try Data(contentsOf: url)
    for place in stride(from: 0, to: whole.count, by: 3) {
      var damaged = whole
      damaged[place] ^= 0x40
      try damaged.write(to: url)
      #expect(Self.sequences(folder) == (expected, 4), "byte \(place)")
    }
    for count in stride(from: 0, to: whole.count, by: 7) {
      try whole.prefix(count).write(to: url)
      #expect(Self.sequences(folder) == (expected, 4), "\(count) bytes")
    }
    #expect(try Data(contentsOf: url) == whole)
  }

  @Test func aFolderThatCannotBeWrittenIsDoneWithout() throws {
    let folder = try TemporaryFolder(["file": "x"])
    let cache = TokenCache(
      folder: folder.url.appendingPathComponent("file"), vocabulary: Self.vocabulary)
    let tokens = cache.sequences(of: Self.texts, purpose: "", encode: Self.encode)
    #expect(Array(tokens) == Self.texts.map(Self.encode))
  }

  @Test func aCorpusIsTheSameWithAndWithout() throws {
    let folder = try TemporaryFolder(ToyCorpus.files)
    let dataset = try RetrievalDataset(contentsOf: folder.url)
    let kept = try TemporaryFolder()
    let cache = TokenCache(folder: kept.url, vocabulary: Self.vocabulary)
    let plain = try TrainingCorpus(
      dataset, tokenizer: WordTokenizer(), recipe: ToyCorpus.recipe)
    for _ in 0..<2 {
      let cached = try TrainingCorpus(
        dataset, tokenizer: WordTokenizer(), recipe: ToyCorpus.recipe, cache: cache)
      #expect(cached.documents.elementsEqual(plain.documents))
      #expect(cached.keywords == plain.keywords)
      #expect(try FileManager.default.contentsOfDirectory(atPath: kept.url.path).count == 2)
    }
  }
}

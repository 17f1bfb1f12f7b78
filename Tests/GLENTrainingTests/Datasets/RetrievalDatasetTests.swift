import Foundation
import GLENIndex
import GLENTraining
import Testing

struct RetrievalDatasetTests {
  private static let queries = """
    {"_id": "q1", "text": "Who dances?"}
    {"_id": "q2", "text": "Who does not?", "metadata": {"answer": "wasps"}}

    """
  private static let files = [
    "corpus.jsonl": TestData.corpus,
    "queries.jsonl": queries,
    "qrels/test.tsv": "query-id\tcorpus-id\tscore\nq1\td1\t2\nq1\td2\t0\nq2\td2\t1\n",
    "qrels/train.tsv": "q1\td1\t1\n",
  ]

  @Test func readsDocumentsQueriesAndJudgements() throws {
    let folder = try TemporaryFolder(Self.files)
    let dataset = try RetrievalDataset(contentsOf: folder.url)
    #expect(
      dataset.documents == [
        Document(id: "d1", title: "Bees", text: "Bees dance."),
        Document(id: "d2", title: "", text: "Wasps do not."),
      ])
    #expect(dataset.documents.map(\.fullText) == ["Bees Bees dance.", "Wasps do not."])
    #expect(dataset.queries.map(\.text) == ["Who dances?", "Who does not?"])
    #expect(dataset.splits == ["test", "train"])
    #expect(dataset.documentPosition(of: "d2") == 1)
    #expect(dataset.queryPosition(of: "q2") == 1)
    #expect(dataset.queryPosition(of: "d2") == nil)
    let judgements = try dataset.judgements(split: "test")
    #expect(
      judgements == [
        Judgement(query: 0, document: 0, grade: 2), Judgement(query: 0, document: 1, grade: 0),
        Judgement(query: 1, document: 1, grade: 1),
      ])
    #expect(judgements.map(\.isPositive) == [true, false, true])
    // Without a header.
    #expect(
      try dataset.judgements(split: "train") == [Judgement(query: 0, document: 0, grade: 1)])
  }

  @Test func metadataIsReadAsFarAsAnIndexKeepsIt() throws {
    let folder = try TemporaryFolder([
      "corpus.jsonl": """
      {"_id": "1", "text": "a", "metadata": {"year": 2025, "topic": "bees", "draft": false, \
      "cited": ["a"], "none": null, "more": {"year": 1}, "share": -2.5e-1, \
      "large": 9007199254740992, "huge": 1e300, "larger": -9007199254740993}}
      {"_id": "2", "text": "b", "metadata": {}}
      {"_id": "3", "text": "c", "metadata": null}
      """
    ])
    let documents = try RetrievalDataset.documents(contentsOf: folder.url)
    #expect(
      documents.map(\.metadata) == [
        [
          "year": 2025, "topic": "bees", "draft": false, "share": -0.25,
          "large": 9_007_199_254_740_992,
          "huge": 1e300, "larger": "-9007199254740993",
        ], [:], [:],
      ])
    for (value, words) in [
      ("[]", "another kind"), ("\"x\"", "another kind"), ("{\"a\": 1e999}", "got 1e999"),
    ] {
      let line = "{\"_id\": \"1\", \"text\": \"a\", \"metadata\": \(value)}"
      try folder.write(Data(line.utf8), to: "corpus.jsonl")
      let error = #expect(throws: TrainingError.self) {
        try RetrievalDataset.documents(contentsOf: folder.url)
      }
      #expect(error?.description.contains(words) == true, "\(String(describing: error))")
    }
  }

  /// Two spellings of é are two identifiers.
  @Test func identifiersAreComparedByTheirBytes() throws {
    let (composed, decomposed) = ("\u{E9}", "e\u{301}")
    let folder = try TemporaryFolder([
      "corpus.jsonl": """
      {"_id": "\(composed)", "text": "a"}
      {"_id": "\(decomposed)", "text": "b"}
      """,
      "queries.jsonl": """
      {"_id": "\(decomposed)", "text": "c"}
      {"_id": "\(composed)", "text": "d"}
      """,
      "qrels/test.tsv": "\(composed)\t\(decomposed)\t1\n\(composed)\t\(composed)\t2\n",
    ])
    let dataset = try RetrievalDataset(contentsOf: folder.url)
    #expect(dataset.documentPosition(of: composed) == 0)
    #expect(dataset.documentPosition(of: decomposed) == 1)
    #expect(dataset.queryPosition(of: composed) == 1)
    #expect(
      try dataset.judgements(split: "test") == [
        Judgement(query: 1, document: 1, grade: 1), Judgement(query: 1, document: 0, grade: 2),
      ])
  }

  @Test func compressedFilesReadAsPlainOnes() throws {
    let plain = try TemporaryFolder(Self.files)
    var files = Self.files
    files["corpus.jsonl"] = nil
    let folder = try TemporaryFolder(files)
    try folder.write(TestData.compressedCorpus, to: "corpus.jsonl.gz")
    let expected = try RetrievalDataset(contentsOf: plain.url).documents
    #expect(try RetrievalDataset(contentsOf: folder.url).documents == expected)
    #expect(try RetrievalDataset.documents(contentsOf: folder.url) == expected)
    let file = folder.url.appendingPathComponent("corpus.jsonl.gz")
    #expect(try RetrievalDataset.documents(contentsOf: file) == expected)
  }

  @Test func toleratesWhatRealFilesHave() throws {
    let folder = try TemporaryFolder([
      "corpus.jsonl":
        "\u{FEFF}{\"_id\": 7, \"title\": null, \"text\": \"a\", \"extra\": [1]}\r\n\r\n"
        + "{\"text\": \"\", \"_id\": \"8\"}",
      "queries.jsonl": "{\"_id\": 1, \"text\": \"q\"}\r\n",
      "qrels/test.tsv": "\u{FEFF}query-id\tcorpus-id\tscore\r\n1\t7\t1\r\n\r\n1\t8\t-1",
      "qrels/trec.tsv": "1 0 7 3\n1 0 8 0\n1 0 8 0\n",
    ])
    let dataset = try RetrievalDataset(contentsOf: folder.url)
    #expect(dataset.documents == [Document(id: "7", text: "a"), Document(id: "8", text: "")])
    #expect(dataset.queries == [Query(id: "1", text: "q")])
    #expect(try dataset.judgements(split: "test").map(\.grade) == [1, -1])
    #expect(try dataset.judgements(split: "trec").map(\.grade) == [3, 0])
  }

  @Test(arguments: [
    ("{\"_id\": \"d2\", \"text\": \"x\"", "the end of the line"),
    ("{\"text\": \"x\"}", "none"),
    ("{\"_id\": \"d2\"}", "none"),
    ("{\"_id\": \"\", \"text\": \"x\"}", "an empty one"),
    ("{\"_id\": \"a\\tb\", \"text\": \"x\"}", "\"a\\tb\""),
    ("{\"_id\": [], \"text\": \"x\"}", "another kind of value"),
    ("{\"_id\": \"d2\", \"text\": 5}", "another kind of value"),
    ("{\"_id\": \"d2\", \"text\": \"x\", \"title\": {}}", "another kind of value"),
    ("not JSON", "'n' at column 1"),
  ])
  func malformedLinesNameFileAndLine(line: String, got: String) throws {
    let folder = try TemporaryFolder(["corpus.jsonl": TestData.corpus + line + "\n"])
    let path = folder.url.appendingPathComponent("corpus.jsonl").path
    let error = #expect(throws: TrainingError.self) {
      try RetrievalDataset.documents(contentsOf: folder.url)
    }
    guard case .malformedLine(path, 3, _, got) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(error?.description.contains("line 3") == true)
    // The same line passes where one malformed line is allowed.
    #expect(
      try RetrievalDataset.documents(contentsOf: folder.url, malformedLineLimit: 1).count == 2)
  }

  @Test func invalidUTF8NamesFileAndLine() throws {
    let folder = try TemporaryFolder()
    let data =
      Data(TestData.corpus.utf8) + Data("{\"_id\":\"d3\",\"text\":\"".utf8) + Data([0xC3, 0x28])
      + Data("\"}\n".utf8)
    let file = try folder.write(data, to: "corpus.jsonl")
    let error = #expect(throws: TrainingError.self) {
      try RetrievalDataset.documents(contentsOf: file)
    }
    guard case .malformedLine(file.path, 3, "UTF-8 text", _) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
  }

  @Test func theLimitOfMalformedLinesIsPerFileAndReported() throws {
    var files = Self.files
    files["corpus.jsonl"] = "{\n" + TestData.corpus + "{\n"
    files["queries.jsonl"] = Self.queries + "[]\n"
    files["qrels/test.tsv"] = "q1\td1\t1\nq1\td2\tx\nq1\n"
    let folder = try TemporaryFolder(files)
    let dataset = try RetrievalDataset(contentsOf: folder.url, malformedLineLimit: 2)
    #expect(dataset.skippedLines.count == 3)
    let list = try dataset.judgementList(split: "test")
    #expect(list.judgements.count == 1)
    #expect(list.skippedLines.count == 2)
    #expect(throws: TrainingError.self) {
      try RetrievalDataset(contentsOf: folder.url, malformedLineLimit: 1)
    }
  }

  @Test func duplicateIdentifiersAreErrorsAtAnyLimit() throws {
    var files = Self.files
    files["queries.jsonl"] = Self.queries + "{\"_id\": \"q1\", \"text\": \"again\"}\n"
    let folder = try TemporaryFolder(files)
    let path = folder.url.appendingPathComponent("queries.jsonl").path
    #expect(throws: TrainingError.duplicateIdentifier(path: path, line: 3, identifier: "q1")) {
      try RetrievalDataset(contentsOf: folder.url, malformedLineLimit: 9)
    }
  }

  @Test func judgementsThatContradictEachOtherAreErrors() throws {
    var files = Self.files
    files["qrels/train.tsv"] = "q1\td1\t1\nq1\td1\t1\nq1\td1\t2\n"
    let folder = try TemporaryFolder(files)
    let path = folder.url.appendingPathComponent("qrels/train.tsv").path
    let dataset = try RetrievalDataset(contentsOf: folder.url)
    #expect(throws: TrainingError.duplicateIdentifier(path: path, line: 3, identifier: "q1 d1")) {
      try dataset.judgements(split: "train")
    }
  }

  @Test func unknownIdentifiersFailOrAreCounted() throws {
    var files = Self.files
    files["qrels/test.tsv"] = "q1\td1\t1\nq9\td1\t1\nq1\td9\t1\nq2\td2\t1\n"
    let folder = try TemporaryFolder(files)
    let path = folder.url.appendingPathComponent("qrels/test.tsv").path
    let strict = try RetrievalDataset(contentsOf: folder.url)
    #expect(
      throws: TrainingError.unknownIdentifier(path: path, line: 2, kind: "query", identifier: "q9")
    ) {
      try strict.judgements(split: "test")
    }
    let tolerant = try RetrievalDataset(contentsOf: folder.url, skipsUnknownJudgements: true)
    let list = try tolerant.judgementList(split: "test")
    #expect(list.unknownRows == 2)
    #expect(list.judgements.map(\.document) == [0, 1])
    #expect(list.unknownDocuments.map(\.document) == ["d9"])
    // As trec_eval counts them: relevant, and never found.
    let grades = try RelevanceJudgements(tolerant, split: "test").grades
    #expect(grades == ["q1": ["d1": 1, "d9": 1], "q2": ["d2": 1]])
    // One that is there again contradicts itself as any other does, and alone is nothing to measure.
    for (rows, isMeasured) in [
      ("q1\td1\t1\nq1\td9\t1\nq1\td9\t1\n", true), ("q1\td1\t1\nq1\td9\t1\nq1\td9\t0\n", false),
      ("q1\td9\t1\n", false),
    ] {
      files["qrels/test.tsv"] = rows
      let folder = try TemporaryFolder(files)
      let dataset = try RetrievalDataset(contentsOf: folder.url, skipsUnknownJudgements: true)
      let judgements = try? RelevanceJudgements(measuring: "test", of: dataset)
      #expect((judgements != nil) == isMeasured, "\(rows)")
    }
  }

  /// macOS leaves such files beside others on foreign disks.
  @Test func hiddenFilesAreNoSplits() throws {
    var files = Self.files
    files["qrels/test.tsv"] = "\n\nquery-id\tcorpus-id\tscore\nq1\td1\t1\n"
    files["qrels/._test.tsv"] = "Mac OS X"
    let folder = try TemporaryFolder(files)
    let dataset = try RetrievalDataset(contentsOf: folder.url)
    #expect(dataset.splits.allSatisfy { !$0.hasPrefix(".") } && dataset.splits.contains("test"))
    // A header may stand below blank lines.
    #expect(try dataset.judgements(split: "test").count == 1)
  }

  @Test func aDatasetMayBeMadeInMemory() throws {
    let folder = try TemporaryFolder(ToyCorpus.files)
    let read = try RetrievalDataset(contentsOf: folder.url)
    let splits = Dictionary(
      uniqueKeysWithValues: try read.splits.map { ($0, try read.judgements(split: $0)) })
    let made = try RetrievalDataset(
      documents: read.documents, queries: read.queries, judgements: splits)
    #expect(made.splits == read.splits && made.folder == nil)
    #expect(try made.judgements(split: "dev") == read.judgements(split: "dev"))
    #expect(made.documentPosition(of: "d7") == 7 && made.queryPosition(of: "none") == nil)
    // The same model comes of either.
    let weights = try [read, made].map { dataset in
      let output = try TemporaryFolder()
      var session = TrainingSession(
        recipe: ToyCorpus.recipe, start: .random(ToyCorpus.configuration()))
      session.recipe.keywords.optimization.steps = 2
      session.recipe.refinement.optimization.steps = 1
      _ = try session.run(dataset, to: output.url)
      return try Data(contentsOf: output.url.appendingPathComponent("model.safetensors"))
    }
    #expect(weights[0] == weights[1])
    let missing = #expect(throws: TrainingError.self) { try made.judgements(split: "none") }
    #expect(missing?.description.contains("the dataset in memory") == true)
    let twice = read.documents + [read.documents[0]]
    #expect(throws: TrainingError.self) { try RetrievalDataset(documents: twice) }
    for (query, document) in [(0, 99), (99, 0), (-1, 0)] {
      #expect(throws: TrainingError.self) {
        try RetrievalDataset(
          documents: read.documents, queries: read.queries,
          judgements: ["train": [Judgement(query: query, document: document, grade: 1)]])
      }
    }
  }

  @Test func nothingRelevantIsNothingToMeasure() throws {
    var files = Self.files
    files["qrels/test.tsv"] = "q1\td1\t0\n"
    let folder = try TemporaryFolder(files)
    let dataset = try RetrievalDataset(contentsOf: folder.url)
    #expect(throws: TrainingError.self) { try RelevanceJudgements(measuring: "test", of: dataset) }
    #expect(try RelevanceJudgements(dataset, split: "test").queries.isEmpty)
  }

  @Test(arguments: ["q1\td1\tx", "q1\td1\t1.5", "q1\td1", "q1\t\t1", "a\tb\tc\td\t1"])
  func malformedJudgementsAreErrors(row: String) throws {
    var files = Self.files
    files["qrels/test.tsv"] = "query-id\tcorpus-id\tscore\n\(row)\n"
    let folder = try TemporaryFolder(files)
    let path = folder.url.appendingPathComponent("qrels/test.tsv").path
    let dataset = try RetrievalDataset(contentsOf: folder.url)
    let error = #expect(throws: TrainingError.self) { try dataset.judgements(split: "test") }
    guard case .malformedLine(path, 2, _, _) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
  }

  @Test(arguments: ["corpus.jsonl", "queries.jsonl"])
  func missingFilesAreNamedWithWhatAFolderLooksLike(name: String) throws {
    var files = Self.files
    files[name] = nil
    let folder = try TemporaryFolder(files)
    let error = #expect(throws: TrainingError.self) {
      try RetrievalDataset(contentsOf: folder.url)
    }
    guard case .fileNotFound(let path, let expected) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(path.hasSuffix(name))
    #expect(expected.contains("qrels/<split>.tsv"))
  }

  @Test(arguments: ["corpus.jsonl", "queries.jsonl"])
  func emptyFilesAreErrors(name: String) throws {
    var files = Self.files
    files[name] = "\n"
    let folder = try TemporaryFolder(files)
    let error = #expect(throws: TrainingError.self) {
      try RetrievalDataset(contentsOf: folder.url)
    }
    guard case .emptyFile(folder.url.appendingPathComponent(name).path, _) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
  }

  @Test func aMissingSplitNamesThoseThatExist() throws {
    let folder = try TemporaryFolder(Self.files)
    let dataset = try RetrievalDataset(contentsOf: folder.url)
    for split in ["dev", "../qrels/test", ""] {
      #expect(
        throws: TrainingError.missingSplit(
          split: split, path: folder.url.path, available: ["test", "train"])
      ) {
        try dataset.judgements(split: split)
      }
    }
  }

  @Test func aCorpusAloneNeedsNoQueries() throws {
    let folder = try TemporaryFolder(["corpus.jsonl": TestData.corpus])
    #expect(try RetrievalDataset.documents(contentsOf: folder.url).count == 2)
    let missing = folder.url.appendingPathComponent("none.jsonl")
    #expect(throws: TrainingError.self) { try RetrievalDataset.documents(contentsOf: missing) }
  }
}

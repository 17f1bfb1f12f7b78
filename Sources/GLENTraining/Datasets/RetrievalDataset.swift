import GLENIndex
import GLENPlatform

/// A retrieval dataset: documents, queries, and which document answers which query.
///
/// `DatasetFormat` lists the layouts. In BEIR's:
///
/// ```
/// folder/corpus.jsonl       {"_id": "d1", "title": "...", "text": "..."}   one document a line
/// folder/queries.jsonl      {"_id": "q1", "text": "..."}                   one query a line
/// folder/qrels/<split>.tsv  query-id <tab> corpus-id <tab> score          one judgement a line
/// ```
///
/// Each file may be compressed, with `.gz` appended to its name. Documents and queries are read
/// when the dataset is made, judgements when they are asked for. `title` may be missing, `_id` may
/// be a number, and a document may have `metadata`: an object whose strings, numbers and truth values
/// go into the index. Other members are passed over; a byte-order mark, CRLF and blank lines do no
/// harm. Identifiers are compared byte by byte, as `ExactText`.
public struct RetrievalDataset: Sendable {
  /// The folder, or nil for a dataset that was made in memory.
  public let folder: URL?
  /// The documents in the order of their file.
  public let documents: [Document]
  /// The queries in the order of their file.
  public let queries: [Query]
  /// The splits that have judgements, in alphabetical order.
  public let splits: [String]
  /// The malformed lines of the documents and the queries that were left out.
  public let skippedLines: [TrainingError]

  /// The layout of the folder.
  public let format: DatasetFormat

  private let malformedLineLimit: Int
  private let skipsUnknownJudgements: Bool
  private let documentPositions: [ExactText: Int]
  private let queryPositions: [ExactText: Int]
  /// The positions of queries by what judgements call them: their text in NQ320k, otherwise the id.
  private let judgedPositions: [ExactText: Int]
  private let judgementFiles: [String: URL]
  /// Those of a dataset in memory, by split.
  private let givenJudgements: [String: [Judgement]]

  /// Reads the documents and the queries of a folder.
  ///
  /// - Parameters:
  ///   - folder: A folder in one of the layouts.
  ///   - format: The layout; recognised by the folder's files if nil.
  ///   - malformedLineLimit: How many malformed lines to leave out, in each file, before failing.
  ///     An identifier that comes twice always fails.
  ///   - skipsUnknownJudgements: Whether to leave out, and count, judgements that name a query or
  ///     a document that the dataset does not have, instead of failing.
  /// - Throws: `TrainingError`, with file and line where a line is at fault.
  /// - Complexity: Linear in the size of the files; one pass, without holding a file in memory.
  public init(
    contentsOf folder: URL, format: DatasetFormat? = nil, malformedLineLimit: Int = 0,
    skipsUnknownJudgements: Bool = false
  ) throws(TrainingError) {
    let format = if let format { format } else { try DatasetFormat(of: folder) }
    let files = try DatasetFiles(folder, format: format)
    guard !files.queries.isEmpty else {
      let name = ["beir": "queries.jsonl", "msmarco": "queries.train.tsv"][format.rawValue]
      throw .fileNotFound(
        path: folder.appendingPathComponent(name ?? "GTQ_NQ_train.tsv").path,
        expected: format == .beir
          ? "a BEIR folder: corpus.jsonl, queries.jsonl and qrels/<split>.tsv, each plain or .gz"
          : "the queries of the dataset, plain or .gz")
    }
    self.folder = folder
    self.format = format
    self.malformedLineLimit = malformedLineLimit
    self.skipsUnknownJudgements = skipsUnknownJudgements
    judgementFiles = files.judgements
    givenJudgements = [:]
    splits = files.judgements.keys.sorted()

    let corpus = try Self.readDocuments(
      files.corpus, format: format, malformedLineLimit: malformedLineLimit)
    documents = corpus.documents
    documentPositions = corpus.positions
    let read = try Self.readQueries(
      files.queries, format: format, malformedLineLimit: malformedLineLimit)
    queries = read.queries
    judgedPositions = read.positions
    queryPositions =
      format == .nq320k
      ? Dictionary(
        uniqueKeysWithValues: read.queries.enumerated().map { (ExactText($1.id), $0) })
      : read.positions
    skippedLines = corpus.skippedLines + read.skippedLines
  }

  /// Makes a dataset of what a program has in memory.
  ///
  /// ```swift
  /// let dataset = try RetrievalDataset(
  ///   documents: notes, queries: [Query(id: "q1", text: "When do bees sleep?")],
  ///   judgements: ["train": [Judgement(query: 0, document: 3, grade: 1)]])
  /// _ = try TrainingSession(recipe: .small, start: .starter(.bundled())).run(dataset, to: folder)
  /// ```
  ///
  /// Queries and documents are taken to be called apart, whatever their ids.
  ///
  /// - Parameters:
  ///   - documents: Documents of different ids.
  ///   - queries: Queries of different ids; none for phase 1 alone.
  ///   - judgements: By split (`train` is trained on, `dev` validated on) which documents answer which
  ///     queries, by position.
  /// - Throws: `TrainingError.trainingData` for an id that comes twice, or a position that nothing has.
  public init(
    documents: [Document], queries: [Query] = [], judgements: [String: [Judgement]] = [:]
  ) throws(TrainingError) {
    func positions(_ kind: String, _ ids: [String]) throws(TrainingError) -> [ExactText: Int] {
      var positions: [ExactText: Int] = [:]
      for (place, id) in ids.enumerated()
      where positions.updateValue(place, forKey: ExactText(id)) != nil {
        throw .trainingData(reason: "two \(kind) have the id '\(id)'; expected ids that differ")
      }
      return positions
    }
    documentPositions = try positions("documents", documents.map(\.id))
    queryPositions = try positions("queries", queries.map(\.id))
    judgedPositions = queryPositions
    for (split, list) in judgements {
      for judgement in list
      where !documents.indices.contains(judgement.document)
        || !queries.indices.contains(judgement.query)
      {
        throw .trainingData(
          reason: "a judgement of '\(split)' is of query \(judgement.query) and document "
            + "\(judgement.document), and there are \(queries.count) and \(documents.count)")
      }
    }
    (self.documents, self.queries, givenJudgements) = (documents, queries, judgements)
    (folder, judgementFiles, skippedLines) = (nil, [:], [])
    // Its queries and documents are numbered apart, as in that layout.
    (format, malformedLineLimit, skipsUnknownJudgements) = (.msmarco, 0, false)
    splits = judgements.keys.sorted()
  }

  /// Reads a corpus alone, without queries or judgements.
  ///
  /// - Parameters:
  ///   - url: A file of documents or a folder with one, in any of the formats, plain or compressed.
  ///   - given: The format; recognised by the names of files if nil.
  ///   - malformedLineLimit: How many malformed lines to leave out before failing.
  /// - Throws: `TrainingError`, with file and line where a line is at fault.
  public static func documents(
    contentsOf url: URL, format given: DatasetFormat? = nil, malformedLineLimit: Int = 0
  ) throws(TrainingError) -> [Document] {
    try documentList(
      contentsOf: url, format: given, malformedLineLimit: malformedLineLimit
    ).documents
  }

  /// Reads a corpus alone, and reports the malformed lines that were left out.
  ///
  /// - Throws: `TrainingError`, with file and line where a line is at fault.
  public static func documentList(
    contentsOf url: URL, format given: DatasetFormat? = nil, malformedLineLimit: Int = 0
  ) throws(TrainingError) -> (documents: [Document], skippedLines: [TrainingError]) {
    var status = stat()
    guard stat(url.path, &status) == 0 else {
      throw .fileNotFound(
        path: url.path, expected: "a file of documents, or a folder with corpus.jsonl")
    }
    var (file, format) = (url, given ?? DatasetFormat(ofDocuments: url))
    if status.st_mode & S_IFMT == S_IFDIR {
      format = if let given { given } else { try DatasetFormat(of: url) }
      file = try DatasetFiles(url, format: format).corpus
    }
    let read = try readDocuments(file, format: format, malformedLineLimit: malformedLineLimit)
    return (read.documents, read.skippedLines)
  }

  /// What messages call it.
  var name: String { folder?.path ?? "the dataset in memory" }

  /// The position of a document in `documents`, by its identifier.
  public func documentPosition(of id: String) -> Int? { documentPositions[ExactText(id)] }

  /// The position of a query in `queries`, by its identifier.
  public func queryPosition(of id: String) -> Int? { queryPositions[ExactText(id)] }

  /// Reads the judgements of a split.
  ///
  /// - Parameter split: The name of a file in `qrels` without its extension, or what stands for it
  ///   in another format.
  /// - Returns: The judgements in the order of the file; grades of 0 and below are kept.
  /// - Throws: `TrainingError`; for an unknown split it names those that exist.
  public func judgements(split: String) throws(TrainingError) -> [Judgement] {
    try judgementList(split: split).judgements
  }

  /// Reads the judgements of a split, and reports what was left out.
  ///
  /// A row that repeats an earlier one is left out silently; one that contradicts it fails.
  ///
  /// - Parameter split: The name of a file in `qrels` without its extension, or what stands for it
  ///   in another format.
  /// - Throws: `TrainingError`; for an unknown split it names those that exist.
  public func judgementList(split: String) throws(TrainingError) -> JudgementList {
    var list = JudgementList()
    if let given = givenJudgements[split] {
      list.judgements = given
      return list
    }
    guard let url = judgementFiles[split] else {
      throw .missingSplit(split: split, path: name, available: splits)
    }
    var file = DatasetFile(url, malformedLineLimit: malformedLineLimit)
    var grades: [Pair: Int] = [:]
    var unknownGrades: [JudgementList.UnknownDocument: Int] = [:]
    let entry = format.entryParser()
    var isFirst = true
    try file.forEachRow { [format] line, number throws(LineProblem) in
      defer { isFirst = false }
      guard format == .nq320k else { return try JudgementRow(line: line, isFirst: isFirst) }
      return try entry(line, number).map { JudgementRow(query: $0.text, document: $0.id, grade: 1) }
    } _: { row, number throws(TrainingError) in
      guard let query = judgedPositions[ExactText(row.query)] else {
        return try noteUnknown(row.query, kind: "query", at: number, of: url, in: &list)
      }
      guard let document = documentPositions[ExactText(row.document)] else {
        try noteUnknown(row.document, kind: "document", at: number, of: url, in: &list)
        let unknown = JudgementList.UnknownDocument(
          query: query, document: row.document, grade: row.grade)
        var key = unknown
        key.grade = 0
        guard let earlier = unknownGrades.updateValue(row.grade, forKey: key) else {
          list.unknownDocuments.append(unknown)
          return
        }
        if earlier != row.grade {
          throw .duplicateIdentifier(
            path: url.path, line: number, identifier: row.query + " " + row.document)
        }
        return
      }
      let earlier = grades.updateValue(row.grade, forKey: Pair(query: query, document: document))
      guard let earlier else {
        list.judgements.append(Judgement(query: query, document: document, grade: row.grade))
        return
      }
      if earlier != row.grade {
        throw .duplicateIdentifier(
          path: url.path, line: number, identifier: row.query + " " + row.document)
      }
    }
    list.skippedLines = file.skippedLines
    return list
  }

  /// A query and a document, by position.
  private struct Pair: Hashable {
    var query: Int
    var document: Int
  }

  private func noteUnknown(
    _ identifier: String, kind: String, at line: Int, of url: URL, in list: inout JudgementList
  ) throws(TrainingError) {
    guard skipsUnknownJudgements else {
      throw .unknownIdentifier(path: url.path, line: line, kind: kind, identifier: identifier)
    }
    list.unknownRows += 1
  }

  private static func readDocuments(
    _ url: URL, format: DatasetFormat, malformedLineLimit: Int
  ) throws(TrainingError) -> (
    documents: [Document], positions: [ExactText: Int], skippedLines: [TrainingError]
  ) {
    var file = DatasetFile(url, malformedLineLimit: malformedLineLimit)
    var documents: [Document] = []
    var positions: [ExactText: Int] = [:]
    try file.forEachEntry(format, positions: &positions) { entry in
      documents.append(entry.document)
    }
    return (documents, positions, file.skippedLines)
  }

  /// Reads all files of queries: in MS MARCO a query may be in several, with the same text; in
  /// NQ320k a query is its text, and gets a number as id.
  private static func readQueries(
    _ urls: [URL], format: DatasetFormat, malformedLineLimit: Int
  ) throws(TrainingError) -> (
    queries: [Query], positions: [ExactText: Int], skippedLines: [TrainingError]
  ) {
    var queries: [Query] = []
    var positions: [ExactText: Int] = [:]
    var skippedLines: [TrainingError] = []
    for url in urls {
      var file = DatasetFile(url, malformedLineLimit: malformedLineLimit)
      if format == .beir {
        try file.forEachEntry(format, positions: &positions) { entry in
          queries.append(Query(id: entry.id, text: entry.text))
        }
      } else {
        try file.forEachRow(parse: format.entryParser()) { entry, number throws(TrainingError) in
          let key = ExactText(format == .nq320k ? entry.text : entry.id)
          if let earlier = positions[key] {
            guard queries[earlier].text == entry.text else {
              throw .duplicateIdentifier(path: url.path, line: number, identifier: key.text)
            }
            return
          }
          positions[key] = queries.count
          let id = format == .nq320k ? "q\(queries.count)" : entry.id
          queries.append(Query(id: id, text: entry.text))
        }
      }
      skippedLines += file.skippedLines
    }
    if let url = urls.first, queries.isEmpty {
      throw .emptyFile(path: url.path, expected: "at least one query")
    }
    return (queries, positions, skippedLines)
  }
}

import Foundation
import GLENIndex

/// A retrieval dataset in BEIR's layout: documents, queries, and which document answers which query.
///
/// ```
/// folder/corpus.jsonl       {"_id": "d1", "title": "...", "text": "..."}   one document a line
/// folder/queries.jsonl      {"_id": "q1", "text": "..."}                   one query a line
/// folder/qrels/<split>.tsv  query-id <tab> corpus-id <tab> score          one judgement a line
/// ```
///
/// Each file may be compressed, with `.gz` appended to its name. Documents and queries are read
/// when the dataset is made, judgements when they are asked for. `title` may be missing, `_id` may
/// be a number, other members are passed over; a byte-order mark, CRLF and blank lines do no harm.
public struct RetrievalDataset: Sendable {
  /// The folder.
  public let folder: URL
  /// The documents in the order of their file.
  public let documents: [Document]
  /// The queries in the order of their file.
  public let queries: [Query]
  /// The splits that have judgements, in alphabetical order.
  public let splits: [String]
  /// The malformed lines of the documents and the queries that were left out.
  public let skippedLines: [TrainingError]

  private let malformedLineLimit: Int
  private let skipsUnknownJudgements: Bool
  private let documentPositions: [String: Int]
  private let queryPositions: [String: Int]

  /// Reads the documents and the queries of a folder.
  ///
  /// - Parameters:
  ///   - folder: A folder in BEIR's layout.
  ///   - malformedLineLimit: How many malformed lines to leave out, in each file, before failing.
  ///     An identifier that comes twice always fails.
  ///   - skipsUnknownJudgements: Whether to leave out, and count, judgements that name a query or
  ///     a document that the dataset does not have, instead of failing.
  /// - Throws: `TrainingError`, with file and line where a line is at fault.
  /// - Complexity: Linear in the size of the files; one pass, without holding a file in memory.
  public init(
    contentsOf folder: URL, malformedLineLimit: Int = 0, skipsUnknownJudgements: Bool = false
  ) throws(TrainingError) {
    self.folder = folder
    self.malformedLineLimit = malformedLineLimit
    self.skipsUnknownJudgements = skipsUnknownJudgements

    let corpusURL = try Self.requiredFile("corpus.jsonl", in: folder)
    let queriesURL = try Self.requiredFile("queries.jsonl", in: folder)
    let corpus = try Self.readDocuments(corpusURL, malformedLineLimit: malformedLineLimit)
    documents = corpus.documents
    documentPositions = corpus.positions

    var queryFile = DatasetFile(queriesURL, malformedLineLimit: malformedLineLimit)
    var queries: [Query] = []
    var positions: [String: Int] = [:]
    try queryFile.forEachEntry(positions: &positions) { entry in
      queries.append(Query(id: entry.id, text: entry.text))
    }
    self.queries = queries
    queryPositions = positions
    skippedLines = corpus.skippedLines + queryFile.skippedLines
    splits = Self.splits(in: folder)
  }

  /// Reads a corpus alone, without queries or judgements.
  ///
  /// - Parameters:
  ///   - url: A file like `corpus.jsonl`, or a folder that holds `corpus.jsonl`; either may be
  ///     compressed.
  ///   - malformedLineLimit: How many malformed lines to leave out before failing.
  /// - Throws: `TrainingError`, with file and line where a line is at fault.
  public static func documents(
    contentsOf url: URL, malformedLineLimit: Int = 0
  ) throws(TrainingError) -> [Document] {
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: url.path, isDirectory: &isFolder) else {
      throw .fileNotFound(
        path: url.path, expected: "a file of documents, or a folder with corpus.jsonl")
    }
    let file = isFolder.boolValue ? try requiredFile("corpus.jsonl", in: url) : url
    return try readDocuments(file, malformedLineLimit: malformedLineLimit).documents
  }

  /// The position of a document in `documents`, by its identifier.
  public func documentPosition(of id: String) -> Int? { documentPositions[id] }

  /// The position of a query in `queries`, by its identifier.
  public func queryPosition(of id: String) -> Int? { queryPositions[id] }

  /// Reads the judgements of a split.
  ///
  /// - Parameter split: The name of a file in `qrels`, without its extension.
  /// - Returns: The judgements in the order of the file; grades of 0 and below are kept.
  /// - Throws: `TrainingError`; for an unknown split it names those that exist.
  public func judgements(split: String) throws(TrainingError) -> [Judgement] {
    try judgementList(split: split).judgements
  }

  /// Reads the judgements of a split, and reports what was left out.
  ///
  /// A row that repeats an earlier one is left out silently; one that contradicts it fails.
  ///
  /// - Parameter split: The name of a file in `qrels`, without its extension.
  /// - Throws: `TrainingError`; for an unknown split it names those that exist.
  public func judgementList(split: String) throws(TrainingError) -> JudgementList {
    let qrels = folder.appendingPathComponent("qrels")
    guard splits.contains(split), let url = DatasetFile.url(named: split + ".tsv", in: qrels) else {
      throw .missingSplit(split: split, path: folder.path, available: splits)
    }
    var file = DatasetFile(url, malformedLineLimit: malformedLineLimit)
    var list = JudgementList()
    var grades: [Pair: Int] = [:]
    try file.forEachRow { line, number throws(LineProblem) in
      try JudgementRow(line: line, isFirst: number == 1)
    } _: { row, number throws(TrainingError) in
      guard let query = queryPositions[row.query] else {
        return try noteUnknown(row.query, kind: "query", at: number, of: url, in: &list)
      }
      guard let document = documentPositions[row.document] else {
        return try noteUnknown(row.document, kind: "document", at: number, of: url, in: &list)
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

  private static func requiredFile(
    _ name: String, in folder: URL
  ) throws(TrainingError) -> URL {
    guard let url = DatasetFile.url(named: name, in: folder) else {
      throw .fileNotFound(
        path: folder.appendingPathComponent(name).path,
        expected: "a BEIR folder: corpus.jsonl, queries.jsonl and qrels/<split>.tsv, "
          + "each plain or .gz")
    }
    return url
  }

  private static func readDocuments(
    _ url: URL, malformedLineLimit: Int
  ) throws(TrainingError) -> (
    documents: [Document], positions: [String: Int], skippedLines: [TrainingError]
  ) {
    var file = DatasetFile(url, malformedLineLimit: malformedLineLimit)
    var documents: [Document] = []
    var positions: [String: Int] = [:]
    try file.forEachEntry(positions: &positions) { entry in
      documents.append(Document(id: entry.id, title: entry.title, text: entry.text))
    }
    return (documents, positions, file.skippedLines)
  }

  private static func splits(in folder: URL) -> [String] {
    let qrels = folder.appendingPathComponent("qrels").path
    let names = (try? FileManager.default.contentsOfDirectory(atPath: qrels)) ?? []
    let splits = names.compactMap { name -> String? in
      [".tsv", ".tsv.gz"].first { name.hasSuffix($0) }.map { String(name.dropLast($0.count)) }
    }
    return Set(splits).sorted()
  }
}

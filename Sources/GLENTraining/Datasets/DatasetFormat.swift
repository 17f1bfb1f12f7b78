import GLENPlatform

/// How a folder lays out documents, queries and judgements.
///
/// Every file may be compressed, with `.gz` appended to its name.
public enum DatasetFormat: String, Sendable, CaseIterable {
  /// `corpus.jsonl`, `queries.jsonl` and `qrels/<split>.tsv`.
  case beir
  /// `collection.tsv` (id, text), `queries.<split>.tsv` (id, text) and `qrels.<split>.tsv`.
  case msmarco
  /// The tables of GLEN's authors, with headers and quotes as pandas writes them: `DOC_NQ_*.tsv`
  /// (`oldid`, `query`: the text) and `GTQ_NQ_<split>.tsv` (`query`, `oldid`).
  case nq320k

  /// The format of a folder, by its files.
  ///
  /// - Throws: `TrainingError.fileNotFound` if it is none of these.
  public init(of folder: URL) throws(TrainingError) {
    let format = Self.allCases.first { (try? DatasetFiles(folder, format: $0)) != nil }
    guard let format else {
      throw .fileNotFound(
        path: folder.appendingPathComponent("corpus.jsonl").path,
        expected: "a BEIR folder: corpus.jsonl, queries.jsonl and qrels/<split>.tsv, or MS MARCO's "
          + "collection.tsv, or NQ320k's DOC_NQ_*.tsv, each plain or .gz")
    }
    self = format
  }

  /// The format of a file of documents, by its name.
  init(ofDocuments file: URL) {
    let name = file.lastPathComponent
    self = name.hasPrefix("DOC_") ? .nq320k : name.contains(".tsv") ? .msmarco : .beir
  }

  /// Turns the lines of a file of documents or queries into entries, nil for a header.
  func entryParser() -> (_ line: [UInt8], _ number: Int) throws(LineProblem) -> DatasetEntry? {
    switch self {
    case .beir:
      return { line, _ throws(LineProblem) in try DatasetEntry(line: line) }
    case .msmarco:
      return { line, _ throws(LineProblem) in
        let columns = try LineColumns.tabbed(line)
        guard columns.count == 2, !columns[0].isEmpty, line.contains(0x09) else {
          throw LineProblem(
            expected: "an id, a tab and a text", got: "\(columns.count) columns or no id")
        }
        return DatasetEntry(id: columns[0], title: "", text: columns[1])
      }
    case .nq320k:
      var header: (id: Int, text: Int, count: Int)?
      return { line, _ throws(LineProblem) in
        let columns = try LineColumns.quoted(line)
        guard let places = header else {
          guard let id = columns.firstIndex(of: "oldid"),
            let text = columns.firstIndex(where: { $0 == "query" || $0 == "doc_content" })
          else {
            throw LineProblem(
              expected: "a header with 'oldid' and 'query'",
              got: "'\(columns.joined(separator: " ").prefix(80))'")
          }
          header = (id, text, columns.count)
          return nil
        }
        guard columns.count == places.count, !columns[places.id].isEmpty else {
          throw LineProblem(
            expected: "\(places.count) columns with an oldid",
            got: "\(columns.count) columns or no oldid")
        }
        return DatasetEntry(id: columns[places.id], title: "", text: columns[places.text])
      }
    }
  }
}

/// The files of a dataset's folder.
struct DatasetFiles {
  /// The documents.
  let corpus: URL
  /// The queries; in NQ320k the same as the judgements.
  let queries: [URL]
  /// The judgements by split.
  let judgements: [String: URL]

  /// Finds the files of a format.
  ///
  /// - Throws: `TrainingError.fileNotFound` without documents or queries.
  init(_ folder: URL, format: DatasetFormat) throws(TrainingError) {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
    /// The files between a prefix and `.tsv`, by what stands between; plain ones win.
    func tables(_ prefix: String, _ names: [String], in folder: URL) -> [String: URL] {
      var tables: [String: URL] = [:]
      for suffix in [".tsv.gz", ".tsv"] {
        // Not what file systems leave beside them, such as macOS's `._test.tsv`.
        for name in names
        where name.hasPrefix(prefix) && name.hasSuffix(suffix) && !name.hasPrefix(".") {
          let split = String(name.dropFirst(prefix.count).dropLast(suffix.count))
          tables[split] = folder.appendingPathComponent(name)
        }
      }
      return tables
    }
    func required(_ name: String, _ expected: String) throws(TrainingError) -> URL {
      guard let url = DatasetFile.url(named: name, in: folder) else {
        throw .fileNotFound(
          path: folder.appendingPathComponent(name).path, expected: expected)
      }
      return url
    }
    switch format {
    case .beir:
      let expected =
        "a BEIR folder: corpus.jsonl, queries.jsonl and qrels/<split>.tsv, each plain or .gz"
      corpus = try required("corpus.jsonl", expected)
      queries = DatasetFile.url(named: "queries.jsonl", in: folder).map { [$0] } ?? []
      let qrels = folder.appendingPathComponent("qrels")
      judgements = tables(
        "", (try? FileManager.default.contentsOfDirectory(atPath: qrels.path)) ?? [], in: qrels)
    case .msmarco:
      let expected = "MS MARCO's collection.tsv, queries.<split>.tsv and qrels.<split>.tsv"
      corpus = try required("collection.tsv", expected)
      queries = tables("queries.", names, in: folder).sorted { $0.key < $1.key }.map(\.value)
      judgements = tables("qrels.", names, in: folder)
    case .nq320k:
      let tables = (
        documents: tables("DOC_NQ_", names, in: folder),
        queries: tables("GTQ_NQ_", names, in: folder)
      )
      // The whole text if it is there, otherwise its beginning.
      let choice = ["title+content", "first64"].first { tables.documents[$0] != nil }
      guard let corpus = (choice ?? tables.documents.keys.min()).flatMap({ tables.documents[$0] })
      else {
        throw .fileNotFound(
          path: folder.appendingPathComponent("DOC_NQ_title+content.tsv").path,
          expected: "NQ320k's DOC_NQ_*.tsv and GTQ_NQ_<split>.tsv")
      }
      self.corpus = corpus
      queries = tables.queries.sorted { $0.key < $1.key }.map(\.value)
      judgements = tables.queries
    }
  }
}

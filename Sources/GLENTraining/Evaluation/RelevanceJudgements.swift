import GLENIndex
import GLENPlatform

/// Which documents are relevant to which queries, and to what degree, by identifier.
public struct RelevanceJudgements: Sendable, Equatable {
  /// For every judged query, the grade of every judged document; above 0 is relevant.
  public private(set) var grades: [ExactText: [ExactText: Int]]

  /// Creates judgements.
  public init(grades: [ExactText: [ExactText: Int]] = [:]) {
    self.grades = grades
  }

  /// The judgements of a split of a dataset.
  ///
  /// Documents that the dataset lacks, where it may (`skipsUnknownJudgements`), are judged as well: they
  /// are relevant and never found, as in trec_eval.
  ///
  /// - Throws: `TrainingError` when the split cannot be read.
  public init(_ dataset: RetrievalDataset, split: String) throws(TrainingError) {
    let list = try dataset.judgementList(split: split)
    self.init(list.judgements, of: dataset)
    for row in list.unknownDocuments {
      let query = ExactText(dataset.queries[row.query].id)
      grades[query, default: [:]][ExactText(row.document)] = row.grade
    }
  }

  /// The judgements of a split that is to be measured.
  ///
  /// - Throws: as `init(_:split:)`, and `TrainingError.emptyFile` where nothing that the dataset has is relevant.
  public init(measuring split: String, of dataset: RetrievalDataset) throws(TrainingError) {
    try self.init(dataset, split: split)
    let isMeasurable = grades.values.contains { grades in
      grades.contains { $0.value > 0 && dataset.documentPosition(of: $0.key.text) != nil }
    }
    guard isMeasurable else {
      throw .emptyFile(
        path: "the judgements of the split '\(split)'",
        expected: "at least one grade above 0, of a document of the corpus")
    }
  }

  /// Judgements of a dataset, by identifier; those outside the dataset are left out.
  public init(_ judgements: [Judgement], of dataset: RetrievalDataset) {
    grades = [:]
    for judgement in judgements
    where dataset.queries.indices.contains(judgement.query)
      && dataset.documents.indices.contains(judgement.document)
    {
      let query = dataset.queries[judgement.query].id
      let document = dataset.documents[judgement.document].id
      grades[ExactText(query), default: [:]][ExactText(document)] = judgement.grade
    }
  }

  /// Reads a file of judgements without its dataset: BEIR's three columns or TREC's four.
  ///
  /// - Throws: `TrainingError`, with file and line where a line is at fault.
  public init(contentsOf url: URL) throws(TrainingError) {
    guard FileManager.default.fileExists(atPath: url.path) else {
      throw .fileNotFound(
        path: url.path,
        expected: "judgements, lines of 'query document grade' or 'query 0 document grade'")
    }
    var grades: [ExactText: [ExactText: Int]] = [:]
    var file = DatasetFile(url, malformedLineLimit: 0)
    var isFirst = true
    try file.forEachRow { line, _ throws(LineProblem) in
      defer { isFirst = false }
      return try JudgementRow(line: line, isFirst: isFirst)
    } _: { row, number throws(TrainingError) in
      let earlier = grades[ExactText(row.query), default: [:]].updateValue(
        row.grade, forKey: ExactText(row.document))
      if let earlier, earlier != row.grade {
        throw .duplicateIdentifier(
          path: url.path, line: number, identifier: row.query + " " + row.document)
      }
    }
    self.grades = grades
  }

  /// The queries that have at least one relevant document, in the order of their bytes.
  ///
  /// These are the queries that an evaluation averages over.
  public var queries: [String] {
    grades.filter { $0.value.values.contains { $0 > 0 } }.keys.sorted().map(\.text)
  }

  /// The judged queries that do not find the document of their own id.
  ///
  /// In BEIR's layout, as by BEIR's evaluator: in some of its corpora, ArguAna, queries are documents. But a
  /// query finds its own document where that is judged relevant: there queries and documents are
  /// numbered apart, as they always are in the other layouts, and equal ids say nothing.
  public func queriesWithoutOwnDocument(in dataset: RetrievalDataset) -> Set<ExactText> {
    guard dataset.format == .beir else { return [] }
    return Set(
      grades.lazy.filter { query, grades in
        grades[query, default: 0] <= 0 && dataset.documentPosition(of: query.text) != nil
      }.map(\.key))
  }

  /// The queries of which a relevant document shares its identifier with another document of an index.
  ///
  /// Collision ranking decides these alone; the paper's Table 5 has a row of them.
  ///
  /// - Complexity: O(documents of the index).
  public func collidingQueries(in index: IndexSnapshot) -> Set<ExactText> {
    func tokens(_ name: ExactText) -> [Int32]? {
      index.document(withID: name.text).map(index.tables.tokens(ofDocument:))
    }
    let relevant = grades.mapValues { $0.filter { $0.value > 0 }.keys.compactMap(tokens) }
    var counts: [[Int32]: Int] = [:]
    for identifier in relevant.values.joined() { counts[identifier] = 0 }
    for document in 0..<index.documentCount where index.isLiving(document) {
      counts[index.tables.tokens(ofDocument: document)]? += 1
    }
    return Set(relevant.filter { $0.value.contains { counts[$0, default: 0] > 1 } }.keys)
  }

  /// How many documents are relevant to any query, and how many of these an index lacks.
  ///
  /// - Throws: `TrainingError.otherCorpus` if the index has none of them, so that every measure would
  ///   be 0 whatever the ranking.
  public func relevantDocuments(
    in index: IndexSnapshot
  ) throws(TrainingError) -> (count: Int, missing: Int) {
    let relevant = Set(grades.values.flatMap { $0.filter { $0.value > 0 }.keys })
    let missing = relevant.count { index.document(withID: $0.text) == nil }
    guard relevant.isEmpty || missing < relevant.count else {
      throw .otherCorpus(problem: "the index has none of the relevant documents")
    }
    return (relevant.count, missing)
  }
}

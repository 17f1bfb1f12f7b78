/// Answers from a closure: every document is a token, and the closure says which come first.
private struct ScriptedScoring: QueryScoring {
  let documents: [String]
  let numbers: [ExactText: Int]
  let answer: @Sendable (String) throws -> [String]

  func scores(of questions: [String]) throws -> [QueryScores] {
    try questions.map { question in
      var logits = [Float](repeating: -.infinity, count: documents.count)
      for (place, id) in try answer(question).enumerated() {
        guard let number = numbers[ExactText(id)] else {
          throw IndexError.invalidSearch(
            "search: the script answers with a document that is not there; expected the id of one "
              + "of the \(documents.count) documents, got \"\(id)\"; add it, or correct the script")
        }
        logits[number] = max(logits[number], -Float(place))
      }
      return try QueryScores(
        logits: logits, identifierLength: 1, vocabularySize: documents.count)
    }
  }

  func piece(_ token: Int32) -> String { documents[Int(token)] }
}

extension Retriever {
  /// A retriever for an app's tests: no model, no folder, and the answers that a closure gives.
  ///
  /// ```swift
  /// let retriever = try Retriever(answeringFrom: [
  ///   Document(id: "hive", title: "The bees' front door", text: "..."),
  ///   Document(id: "bread", title: "What yeast does to dough", text: "..."),
  /// ]) { question in question.contains("bee") ? ["hive", "bread"] : [] }
  /// #expect(try await retriever.search("Where do bees live?").first?.id == "hive")
  /// #expect(try await retriever.search("What is the time?").isEmpty)
  /// ```
  ///
  /// Everything around the model is the real thing: batches, time limits, filters, probabilities.
  /// A document's identifier is one token, its word the document's id; each next answer is e times
  /// less probable than the one before.
  ///
  /// - Parameters:
  ///   - documents: the documents that there are, at least one.
  ///   - configuration: how callers are batched.
  ///   - answer: for a question the ids of the documents that answer it, best first; others are no
  ///     hits. What it throws is thrown to the caller.
  /// - Throws: `IndexError.invalidDocuments` for no documents or two of one id.
  public init(
    answeringFrom documents: [Document], configuration: RetrieverConfiguration = .init(),
    _ answer: @escaping @Sendable (_ question: String) throws -> [String]
  ) throws {
    guard !documents.isEmpty else {
      throw IndexError.invalidDocuments("make retriever: there are no documents; expected one")
    }
    let ids = documents.map(\.id)
    var records = DocumentRecords()
    for (number, document) in documents.enumerated() {
      records.append(
        id: document.id, title: document.title, metadata: document.metadata,
        tokens: [Int32(number)], weights: [1])
    }
    let segment = try IndexSegment(
      records, identifierLength: 1, vocabularySize: ids.count, weightFormat: .float32)
    let numbers = Dictionary(zip(ids.map { ExactText($0) }, ids.indices)) { first, _ in first }
    try self.init(
      model: ScriptedScoring(documents: ids, numbers: numbers, answer: answer),
      snapshot: IndexSnapshot(
        [segment], identifierLength: 1, vocabularySize: ids.count, modelFingerprint: ""),
      configuration: configuration)
  }
}

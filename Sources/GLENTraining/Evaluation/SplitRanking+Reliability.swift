import GLENIndex

extension SplitRanking {
  /// The best hit of each query with its probability, judged.
  ///
  /// A query whose judgements are all 0 counts as one that the corpus does not answer. A filter
  /// or `depth` plays no part: only the best hit is looked at.
  ///
  /// - Throws: what searching throws.
  public func judgedAnswers(
    to queries: [Query], by retriever: Retriever, against judgements: RelevanceJudgements
  ) throws -> [JudgedAnswer] {
    var answers: [JudgedAnswer] = []
    try forEachQuery(queries, retriever) { query, scores in
      let grades = judgements.grades[ExactText(query.id)] ?? [:]
      let filter = allowedDocuments(for: query, in: retriever.snapshot).map(retriever.filter)
      answers.append(
        JudgedAnswer(
          try retriever.hits(
            for: scores, of: query.text, limit: 1,
            options: SearchOptions(mode: mode, filter: filter)),
          correct: Set(grades.filter { $0.value > 0 }.keys)))
    }
    return answers
  }
}

import GLENIndex

extension SplitRanking {
  /// The best hit of each query with its probability, judged.
  ///
  /// A query whose judgements are all 0 counts as one that the corpus does not answer. `depth` plays no part,
  /// because only the best hit is looked at, nor does `withoutOwnDocument`: a search knows no query's id.
  ///
  /// - Throws: what searching throws.
  public func judgedAnswers(
    to queries: [Query], by retriever: Retriever, against judgements: RelevanceJudgements
  ) throws -> [JudgedAnswer] {
    var answers: [JudgedAnswer] = []
    try forEachQuery(queries, retriever) { query, scores in
      let grades = judgements.grades[ExactText(query.id)] ?? [:]
      answers.append(
        JudgedAnswer(
          try retriever.hits(
            for: scores, of: query.text, limit: 1, options: SearchOptions(mode: mode)),
          correct: Set(grades.filter { $0.value > 0 }.keys)))
    }
    return answers
  }
}

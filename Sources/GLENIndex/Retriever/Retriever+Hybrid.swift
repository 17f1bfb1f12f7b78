extension Retriever {
  /// The documents that answer a question by their identifiers and their keywords together.
  ///
  /// The hits come in the fused order; their scores and similarities are the identifiers' own.
  ///
  /// - Parameters:
  ///   - question: plain text.
  ///   - limit: the most documents.
  ///   - hybrid: how the two rankings become one.
  /// - Throws: `IndexError.invalidSearch` if the index keeps no keywords; as the other searches.
  public func search(
    _ question: String, limit: Int = 10, hybrid: Hybrid
  ) throws -> [SearchHit] {
    let scores = try model.generator.scores(of: [model.tokens(ofQuery: question)])
    return try scores.flatMap { scores in
      try rank(scores, question: question, limit: limit, hybrid: hybrid).map { hit($0.ranked) }
    }
  }

  /// Ranks the documents by scores that are already there and by the question's keywords.
  ///
  /// Each search contributes its best `limit` documents, and no fewer than a hundred.
  ///
  /// - Throws: `IndexError`, as `search`.
  public func rank(
    _ scores: QueryScores, question: String, limit: Int, hybrid: Hybrid,
    isAllowed: DocumentSet? = nil
  ) throws(IndexError) -> [FusedDocument] {
    guard let keywords = snapshot.keywords else {
      throw .invalidSearch(
        "search with keywords: the index keeps none; expected keywords in every segment, got "
          + "segments without; index the corpus with keywords, or search without them")
    }
    return try HybridSearch(snapshot.tables, keywords: keywords).candidates(
      scores, pieces: model.keywords(of: question), depth: max(limit, 100), isAllowed: isAllowed
    ).fused(hybrid, limit: limit)
  }
}

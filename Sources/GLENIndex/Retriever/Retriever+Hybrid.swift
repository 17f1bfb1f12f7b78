extension Retriever {
  /// Ranks the documents by scores that are already there and by the question's keywords.
  ///
  /// Each search contributes its best `limit` documents, and no fewer than a hundred.
  ///
  /// - Throws: `IndexError.invalidSearch` if the index keeps no keywords; as other searches.
  public func rank(
    _ scores: QueryScores, question: String, limit: Int, hybrid: Hybrid,
    isAllowed: DocumentSet? = nil
  ) throws(IndexError) -> [FusedDocument] {
    guard let keywords = snapshot.keywords else {
      throw .invalidSearch(
        "search with keywords: the index keeps none; expected keywords in every segment, got "
          + "segments without; index the corpus with keywords, or search without them")
    }
    return try HybridSearch(
      snapshot.tables, keywords: keywords, threadCount: batcher.threadCount
    ).candidates(
      scores, pieces: self.keywords(of: question), depth: max(limit, 100), isAllowed: isAllowed
    ).fused(hybrid, limit: limit)
  }

  /// The pieces by which a text's keywords are searched.
  ///
  /// - Throws: `IndexError.invalidSearch` for a test double, which has no vocabulary.
  public func keywords(of text: String) throws(IndexError) -> [Int32] {
    guard let model else {
      throw .invalidSearch(
        "search with keywords: this retriever is a test double; expected one with a model folder, "
          + "which cuts a text into pieces; search without keywords")
    }
    return model.keywords(of: text)
  }
}

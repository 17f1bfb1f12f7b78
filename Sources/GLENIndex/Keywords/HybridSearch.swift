/// Searches identifiers and keywords of the same documents and joins what they find.
public struct HybridSearch: Sendable {
  /// The documents' identifiers.
  public let tables: IdentifierTables
  /// The documents' pieces, with the same numbers.
  public let keywords: KeywordSearch
  /// The most threads that search the identifiers.
  public let threadCount: Int

  /// A search over both.
  ///
  /// - Throws: ``IndexError/invalidDocuments(_:)`` if they do not hold equally many documents.
  public init(
    _ tables: IdentifierTables, keywords: KeywordSearch, threadCount: Int = 1
  ) throws(IndexError) {
    guard tables.documentCount == keywords.documentCount else {
      throw .invalidDocuments(
        "search identifiers and keywords: they are not of the same documents; expected keywords of "
          + "\(tables.documentCount), got \(keywords.documentCount); index the keywords again")
    }
    self.tables = tables
    self.keywords = keywords
    self.threadCount = threadCount
  }

  /// The best documents of either search, with both scores of each.
  ///
  /// The scores that one list lacks are looked up, so what is made of the candidates is exact over
  /// the union of both lists.
  ///
  /// - Parameters:
  ///   - scores: The query's score table.
  ///   - pieces: The query's pieces.
  ///   - depth: How many documents each search contributes.
  ///   - isAllowed: The documents that may be returned, or nil for all; deleted ones never are.
  /// - Throws: ``IndexError/invalidSearch(_:)`` if the query's table does not fit the index.
  /// - Complexity: That of an exact search and of a keyword search.
  public func candidates(
    _ scores: QueryScores, pieces: [Int32], depth: Int = 100, isAllowed: DocumentSet? = nil
  ) throws(IndexError) -> HybridCandidates {
    let search = ExactSearch(tables, threadCount: threadCount)
    let keywordScores = keywords.scores(of: pieces)
    return try HybridCandidates(
      ranked: try search.rank(scores, limit: depth, isAllowed: isAllowed),
      keywords: keywordScores.best(depth, isAllowed: tables.allowed(isAllowed)),
      scores: keywordScores
    ) { others throws(IndexError) in
      try search.rank(scores, limit: others.count, isAllowed: others)
    }
  }
}

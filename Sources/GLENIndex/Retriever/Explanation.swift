import GLENPlatform

/// Why a document stands where it stands for a question: everything that its rank is made of.
public struct Explanation: Sendable, Codable, Hashable {
  /// One position of an identifier.
  public struct Step: Sendable, Codable, Hashable {
    /// The token.
    public var token: Int32
    /// Its word.
    public var piece: String
    /// The query's logit of the token, w^q.
    public var queryLogit: Float
    /// The query's probability of the token over the full vocabulary.
    public var queryProbability: Double
    /// The document's own logit of the token, w^d, as the index keeps it.
    public var documentLogit: Float
    /// The document's own probability of the token; nil where its text was not at hand.
    public var documentProbability: Double?
  }

  /// A document that was left out, beside the one that is explained.
  public struct Rejection: Sendable, Codable, Hashable {
    /// The document.
    public var hit: SearchHit
    /// Its identifier's positions.
    public var steps: [Step]
    /// What it lost to the explained document at each position, in log-probability.
    ///
    /// Below 0 where it is the better one. They add up to the difference of the scores.
    public var losses: [Double]
    /// The position at which it lost most; nil if both have the same identifier, so that the cosine,
    /// or the order of indexing, decided.
    public var decidingStep: Int?
  }

  /// The question.
  public var question: String
  /// The document that is explained.
  public var hit: SearchHit
  /// Its place in the ranking, from 1; nil if it is not among the best `limit` documents.
  public var rank: Int?
  /// Its identifier's positions.
  public var steps: [Step]
  /// The best document that is not among the best `limit`; nil if there is none but this one.
  public var rejected: Rejection?
}

extension Retriever {
  /// Explains a document's rank.
  ///
  /// - Parameters:
  ///   - id: the document's own name: one of the hits, or any other of the index.
  ///   - question: the question that was asked.
  ///   - limit: how many documents the search returns; the best one below is what is compared.
  ///   - options: those of the search, which is not a hybrid one.
  ///   - document: the document as it was indexed, for its own probabilities; an index keeps no texts.
  /// - Throws: as searching; `IndexError.invalidSearch` if no document has the id, or for a hybrid search.
  public func explain(
    _ id: String, for question: String, limit: Int = 10, options: SearchOptions = SearchOptions(),
    document: Document? = nil
  ) async throws -> Explanation {
    try await batcher.value(of: [question], timeLimit: options.timeLimit) { scores in
      try explain(
        id, for: question, scores: scores[0], limit: limit, options: options, document: document)
    }
  }

  /// Explains a document's rank by scores that are already there.
  ///
  /// - Throws: `IndexError`; what the model throws if a document's text is given.
  public func explain(
    _ id: String, for question: String, scores: QueryScores, limit: Int = 10,
    options: SearchOptions = SearchOptions(), document: Document? = nil
  ) throws -> Explanation {
    guard options.hybrid == nil else {
      throw IndexError.invalidSearch(
        "explain: a hybrid search ranks by keywords, too; expected options without `hybrid`, since only "
          + "what identifiers contribute can be explained")
    }
    guard let number = snapshot.document(withID: id) else {
      throw IndexError.invalidSearch(
        "explain: no document is called \"\(id)\"; expected one of the index's \(snapshot.livingCount) "
          + "names; take it from a hit")
    }
    let limit = min(max(limit, 0), snapshot.documentCount)
    let ranked = try rank(scores, limit: limit + 1, mode: options.mode, filter: options.filter)
    let place = ranked.prefix(limit).firstIndex { $0.document == number }
    let only = filter(DocumentSet([number], capacity: snapshot.documentCount))
    guard let own = try rank(scores, limit: 1, filter: only).first else {
      throw IndexError.invalidSearch(
        "explain: the document \"\(id)\" cannot be ranked; expected one that the index still has")
    }
    let probabilities = try CorpusProbabilities(
      scores, snapshot.tables, threadCount: batcher.threadCount)
    func hit(_ ranked: RankedDocument) -> SearchHit {
      self.hit(ranked, probability: probabilities.probability(ofDocument: ranked.document))
    }
    let text = try document.flatMap { document in
      try model.map { try $0.generator.scores(of: [$0.tokens(of: document)]) }?.first
    }
    var explanation = Explanation(
      question: question, hit: hit(own), rank: place.map { $0 + 1 },
      steps: steps(of: own, scores, document: text))
    if let other = ranked.dropFirst(limit).first, other.document != number,
      other.score > -.infinity
    {
      explanation.rejected = rejection(of: other, as: hit(other), beside: explanation, scores)
    }
    return explanation
  }

  private func steps(
    of ranked: RankedDocument, _ scores: QueryScores, document: QueryScores?
  ) -> [Explanation.Step] {
    let weights = snapshot.tables.weights(ofDocument: ranked.document)
    return snapshot.tables.tokens(ofDocument: ranked.document).enumerated().map { step, token in
      Explanation.Step(
        token: token, piece: scoring.piece(token), queryLogit: scores.logit(step, Int(token)),
        queryProbability: scores.probability(step, token), documentLogit: weights[step],
        documentProbability: document?.probability(step, token))
    }
  }

  private func rejection(
    of other: RankedDocument, as hit: SearchHit, beside explained: Explanation,
    _ scores: QueryScores
  ) -> Explanation.Rejection {
    let steps = steps(of: other, scores, document: nil)
    // The normaliser of a step is the same for both.
    let losses = zip(explained.steps, steps).map { Double($0.queryLogit) - Double($1.queryLogit) }
    let isSame = hit.tokens == explained.hit.tokens
    return Explanation.Rejection(
      hit: hit, steps: steps, losses: losses,
      decidingStep: isSame ? nil : losses.indices.max { losses[$0] < losses[$1] })
  }
}

extension QueryScores {
  /// A token's probability at a step, over all tokens that are not masked.
  fileprivate func probability(_ step: Int, _ token: Int32) -> Double {
    logit(step, Int(token)) == -.infinity
      ? 0 : exp(Double(logit(step, Int(token))) - logNormalizers[step])
  }
}

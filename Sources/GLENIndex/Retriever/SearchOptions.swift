/// What a search is asked for beyond the question and the number of hits.
public struct SearchOptions: Sendable {
  /// Exact, unless the paper's beam search is wanted.
  public var mode: SearchMode

  /// Keywords beside identifiers: how the two rankings become one; nil for identifiers alone.
  ///
  /// The index must keep keywords. Both searches are exact then, whatever ``mode`` says, and the hits
  /// come in the fused order with the scores of their identifiers.
  public var hybrid: Hybrid?

  /// The documents that may be hits, made by ``Retriever/filter(where:)``; nil for all.
  public var filter: DocumentFilter?

  /// What the best hit's probability must reach; where it does not, there are no hits.
  ///
  /// This is how a retriever says "no good answer". ``AbstentionThreshold`` finds a good value.
  public var minimumProbability: Double

  /// Whether hits have their probability among the corpus; that costs one more pass over the
  /// identifiers, and is done whatever this says if ``minimumProbability`` is above 0.
  public var includesProbabilities: Bool

  /// How long a call may take from its beginning; nil for as long as it takes.
  public var timeLimit: Duration?

  /// An exact search of all documents with probabilities and without a time limit, but for what is
  /// given.
  public init(
    mode: SearchMode = .exact, hybrid: Hybrid? = nil, filter: DocumentFilter? = nil,
    minimumProbability: Double = 0, includesProbabilities: Bool = true, timeLimit: Duration? = nil
  ) {
    self.mode = mode
    self.hybrid = hybrid
    self.filter = filter
    self.minimumProbability = minimumProbability
    self.includesProbabilities = includesProbabilities
    self.timeLimit = timeLimit
  }
}

/// How identifiers are searched.
public enum SearchMode: Sendable, Hashable {
  /// Every stored identifier is scored; the answer is the true top-k.
  case exact
  /// The paper's constrained beam search of the given width.
  case beam(Int)
}

import GLENModel
import GLENTensor

/// The losses of ranking-based identifier refinement.
///
/// Equations (5) to (8) of the paper.
public struct RefinementLoss: Sendable {
  /// The weight of the pointwise loss in the whole, λ_point.
  public var pointwiseWeight: Float = 0.5
  /// The weight of the distance in the pointwise loss, λ_dist.
  public var distanceWeight: Float = 0.5
  /// The temperature τ of the identifier representations.
  public var temperature: Float = 1
  /// Whether the pairwise loss counts (an ablation leaves it out).
  public var hasPairwise = true

  /// The paper's weights.
  public init() {}

  /// The parts of the loss, for one batch of queries.
  public struct Parts: Sendable {
    /// L = L_pair + λ_point (CE + λ_dist dist).
    public var total: Tensor
    /// L_pair: cross-entropy of the relevances, over all documents of the batch.
    public var pairwise: Tensor
    /// Cross-entropy of the query's states against the positive's identifier.
    public var retrieval: Tensor
    /// The mean of 1 - cos(w^q, w^d).
    public var distance: Tensor
    /// rel(q, d) for each query and each document, `[queries, documents]`.
    public var relevances: Tensor
    /// Each document's current identifier, n tokens a document.
    public var identifiers: [Int32]
  }

  /// Computes the losses.
  ///
  /// - Parameters:
  ///   - model: the (tracked) model.
  ///   - queries: tokens of each query.
  ///   - documents: tokens of `documents.count / queries.count` documents for each query in turn,
  ///     its positive first.
  ///   - settings: the identifier's length and how steps are fed.
  ///   - mask: `[vocabulary]`, -infinity where no identifier may go.
  /// - Throws: `ModelError.input`, `TensorError`.
  public func parts(
    _ model: T5Model, queries: [[Int32]], documents: [[Int32]], settings: IdentifierSettings,
    mask: Tensor, dropout: Dropout = .none
  ) throws -> Parts {
    try Self.requireShares(queries, documents)
    let batch = try TokenBatch(
      queries + documents, vocabularySize: model.configuration.vocabularySize, on: model.backend)
    let states = try model.rollout(  // [queries + documents, n, width]
      batch, steps: settings.identifierLength, feedback: Self.feedback(settings, mask: mask),
      dropout: dropout)
    let (steps, width) = (states.shape[1], states.width)
    let rows = try states.reshaped(to: [batch.count, steps * width])
    func part(_ range: Range<Int>) throws -> Tensor {
      try gather(rows, rows: TokenIDs(range.map { Int32($0) }, on: model.backend))
        .reshaped(to: [range.count, steps, width])
    }
    return try parts(
      queryStates: part(0..<queries.count), documentStates: part(queries.count..<batch.count),
      table: model.table, scale: model.configuration.headScale, mask: mask)
  }

  /// Throws `ModelError.input` unless every query has as many documents.
  static func requireShares(_ queries: [[Int32]], _ documents: [[Int32]]) throws {
    guard !queries.isEmpty, !documents.isEmpty, documents.count % queries.count == 0 else {
      throw ModelError.input(
        reason: "\(documents.count) documents cannot be shared by \(queries.count) queries")
    }
  }

  /// What the steps of the rollout are fed.
  static func feedback(_ settings: IdentifierSettings, mask: Tensor) -> T5Model.Feedback {
    settings.feedsTokens ? .bestTokens(mask: mask) : .states
  }

  /// The losses, given the states of queries and documents, `[count, n, width]`.
  func parts(
    queryStates: Tensor, documentStates: Tensor, table: Tensor, scale: Float, mask: Tensor
  ) throws -> Parts {
    let (queries, documents) = (queryStates.shape[0], documentStates.shape[0])
    let (n, width) = (queryStates.shape[1], queryStates.width)
    let queryRows = try queryStates.reshaped(to: [queries, n * width])
    let queryStates = try queryStates.reshaped(to: [queries * n, width])
    let documentStates = try documentStates.reshaped(to: [documents * n, width])

    let pass = try identifierRepresentation(
      states: documentStates, table: table, scale: scale, temperature: temperature, mask: mask)
    // rel(q, d) = (1/n) Σ_t q_t · r_t, and q_t = m^-1/2 h_t.
    let relevances = try linear(
      queryRows, pass.representations.reshaped(to: [documents, n * width]),
      scale: scale / Float(n))
    let positives = (0..<queries).map { $0 * (documents / queries) }
    let pairwise = try crossEntropy(
      logits: relevances, targets: TokenIDs(positives.map { Int32($0) }, on: table.backend))

    let identifiers = try pass.tokens.values()
    let targets = positives.flatMap { identifiers[$0 * n..<($0 + 1) * n] }
    let retrieval = try crossEntropy(
      states: queryStates, table: table, scale: scale,
      targets: TokenIDs(targets, on: table.backend), mask: mask)
    let distance = try self.distance(
      queryStates: queryStates, documentStates: documentStates, table: table, scale: scale,
      unmasked: pass.unmaskedTokens.values(), positives: positives)

    let pointwise = try add(retrieval, distance, scale: distanceWeight)
    let total = try add(
      scaled(pairwise, by: hasPairwise ? 1 : 0), pointwise, scale: pointwiseWeight)
    return Parts(
      total: total, pairwise: pairwise.detached, retrieval: retrieval.detached,
      distance: distance.detached, relevances: relevances.detached, identifiers: identifiers)
  }

  /// The pointwise loss's distance.
  ///
  /// dist = mean over queries of 1 - cos(w_q, w_d), with w_d[t] the greatest (unmasked) logit of
  /// the positive document at step t, and w_q[t] the query's logit at the same token. Where that
  /// token is a masked one, its plain logit counts: -infinity has no cosine.
  private func distance(
    queryStates: Tensor, documentStates: Tensor, table: Tensor, scale: Float, unmasked: [Int32],
    positives: [Int]
  ) throws -> Tensor {
    let n = queryStates.shape[0] / positives.count
    let rows = positives.flatMap { $0 * n..<($0 + 1) * n }
    let tokens = rows.map { unmasked[$0] }
    let embeddings = try gather(table, rows: TokenIDs(tokens, on: table.backend))
    let states = try gather(
      documentStates, rows: TokenIDs(rows.map { Int32($0) }, on: table.backend))
    let shape = [positives.count, n]
    let queryWeights = try scaled(rowDot(queryStates, embeddings), by: scale)
    let documentWeights = try scaled(rowDot(states, embeddings), by: scale)
    let distances = try cosineDistance(
      queryWeights.reshaped(to: shape), documentWeights.reshaped(to: shape))
    return try sum(distances, scale: 1 / Float(positives.count))
  }
}

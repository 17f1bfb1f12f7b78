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
    guard !queries.isEmpty, !documents.isEmpty, documents.count % queries.count == 0 else {
      throw ModelError.input(
        reason: "\(documents.count) documents cannot be shared by \(queries.count) queries")
    }
    let c = model.configuration
    let n = settings.identifierLength
    let each = documents.count / queries.count
    let batch = try TokenBatch(
      queries + documents, vocabularySize: c.vocabularySize, on: model.backend)
    let states = try model.rollout(  // [queries + documents, n, width]
      batch, steps: n, feedback: settings.feedsTokens ? .bestTokens(mask: mask) : .states,
      dropout: dropout)
    let rows = try states.reshaped(to: [batch.count, n * c.width])
    let queryRows = try gather(rows, rows: Self.range(0..<queries.count, on: model.backend))
    let documentRows = try gather(
      rows, rows: Self.range(queries.count..<batch.count, on: model.backend))
    let queryStates = try queryRows.reshaped(to: [queries.count * n, c.width])
    let documentStates = try documentRows.reshaped(to: [documents.count * n, c.width])

    let pass = try identifierRepresentation(
      states: documentStates, table: model.table, scale: c.headScale, temperature: temperature,
      mask: mask)
    // rel(q, d) = (1/n) Σ_t q_t · r_t, and q_t = m^-1/2 h_t.
    let relevances = try linear(
      queryRows, pass.representations.reshaped(to: [documents.count, n * c.width]),
      scale: c.headScale / Float(n))
    let positives = (0..<queries.count).map { $0 * each }
    let pairwise = try crossEntropy(
      logits: relevances, targets: TokenIDs(positives.map { Int32($0) }, on: model.backend))

    let identifiers = try pass.tokens.values()
    let targets = positives.flatMap { identifiers[$0 * n..<($0 + 1) * n] }
    let retrieval = try crossEntropy(
      states: queryStates, table: model.table, scale: c.headScale,
      targets: TokenIDs(targets, on: model.backend), mask: mask)
    let distance = try self.distance(
      model, queryStates: queryStates, documentStates: documentStates,
      unmasked: pass.unmaskedTokens.values(), positives: positives, n: n, settings: settings)

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
    _ model: T5Model, queryStates: Tensor, documentStates: Tensor, unmasked: [Int32],
    positives: [Int], n: Int, settings: IdentifierSettings
  ) throws -> Tensor {
    let rows = positives.flatMap { $0 * n..<($0 + 1) * n }
    let tokens = rows.map { unmasked[$0] }
    let embeddings = try gather(model.table, rows: TokenIDs(tokens, on: model.backend))
    let states = try gather(
      documentStates, rows: TokenIDs(rows.map { Int32($0) }, on: model.backend))
    let shape = [positives.count, n]
    let scale = model.configuration.headScale
    let queryWeights = try scaled(rowDot(queryStates, embeddings), by: scale)
    let documentWeights = try scaled(rowDot(states, embeddings), by: scale)
    let distances = try cosineDistance(
      queryWeights.reshaped(to: shape), documentWeights.reshaped(to: shape))
    return try sum(distances, scale: 1 / Float(positives.count))
  }

  private static func range(
    _ range: Range<Int>, on backend: any Backend
  ) throws -> TokenIDs {
    try TokenIDs(range.map { Int32($0) }, on: backend)
  }
}

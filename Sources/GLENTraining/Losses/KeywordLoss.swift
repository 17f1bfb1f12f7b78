import GLENModel
import GLENTensor

/// The loss of keyword-based identifier assignment.
///
/// Equation (4) of the paper.
public struct KeywordLoss: Sendable {
  /// Whether each step is fed the target before it instead of the state (the paper's ablation).
  public var feedsTokens = false
  /// The weight of the contrast between texts and their corrupted copies; 0 for none.
  public var contrastWeight: Float = 0

  /// The loss of Equation (4) alone.
  public init() {}

  /// The parts of the loss, for one batch.
  public struct Parts: Sendable {
    /// The cross-entropy, and the contrast times its weight.
    public var total: Tensor
    /// The mean cross-entropy of the states against the keywords.
    public var keywords: Tensor
    /// What tells texts and their copies from other texts; nil where it has no weight.
    public var contrast: Tensor?
  }

  /// The mean cross-entropy alone; as `parts`.
  ///
  /// - Throws: `ModelError.input`, `TensorError`.
  public static func value(
    _ model: T5Model, _ batch: TokenBatch, targets: [[Int32]], feedsTokens: Bool = false,
    dropout: Dropout = .none
  ) throws -> Tensor {
    var loss = KeywordLoss()
    loss.feedsTokens = feedsTokens
    return try loss.parts(model, batch, targets: targets, dropout: dropout).total
  }

  /// The mean cross-entropy of a rollout's states against keyword tokens, and the contrast.
  ///
  /// - Parameters:
  ///   - model: the (tracked) model.
  ///   - batch: packed queries, documents or chunks; for the contrast texts, and then a corrupted
  ///     copy of each in the same order.
  ///   - targets: for each sequence its tokens, all of one length; an id below 0 is left out.
  /// - Throws: `ModelError.input` for targets of unequal lengths, or a contrast over an odd number
  ///   of sequences; `TensorError`.
  public func parts(
    _ model: T5Model, _ batch: TokenBatch, targets: [[Int32]], dropout: Dropout = .none
  ) throws -> Parts {
    guard let steps = targets.first?.count, steps > 0, targets.count == batch.count,
      targets.allSatisfy({ $0.count == steps })
    else {
      throw ModelError.input(
        reason: "the keyword loss needs targets of one length for \(batch.count) sequences")
    }
    let size = model.configuration.vocabularySize
    if let wrong = targets.joined().first(where: { Int($0) >= size }) {
      throw ModelError.input(reason: "the target \(wrong) is outside the vocabulary of \(size)")
    }
    guard contrastWeight == 0 || batch.count % 2 == 0 else {
      throw ModelError.input(
        reason: "the contrast needs a copy of each text, and \(batch.count) sequences are odd")
    }
    var feedback = T5Model.Feedback.states
    if feedsTokens {
      feedback = .tokens(
        try (0..<steps - 1).map { step in
          try TokenIDs(targets.map { max($0[step], 0) }, on: model.backend)
        })
    }
    let scale = model.configuration.headScale
    let states = try model.rollout(batch, steps: steps, feedback: feedback, dropout: dropout)
    let keywords = try crossEntropy(
      states: states.reshaped(to: [states.rows, states.width]), table: model.table, scale: scale,
      targets: TokenIDs(Array(targets.joined()), on: model.backend))
    guard contrastWeight != 0 else {
      return Parts(total: keywords, keywords: keywords.detached, contrast: nil)
    }
    let contrast = try KeywordContrast.value(
      states, scale: scale, counts: targets.map { $0.map { $0 >= 0 } })
    return Parts(
      total: try add(keywords, contrast, scale: contrastWeight), keywords: keywords.detached,
      contrast: contrast.detached)
  }
}

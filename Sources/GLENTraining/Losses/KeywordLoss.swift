import GLENModel
import GLENTensor

/// The loss of keyword-based identifier assignment.
///
/// Equation (4) of the paper.
public enum KeywordLoss {
  /// The mean cross-entropy of a rollout's states against keyword tokens.
  ///
  /// - Parameters:
  ///   - model: the (tracked) model.
  ///   - batch: packed queries, documents or chunks.
  ///   - targets: for each sequence its tokens, all of one length; an id below 0 is left out.
  ///   - feedsTokens: whether each step is fed the target before it instead of the state (the
  ///     paper's ablation).
  /// - Returns: a scalar.
  /// - Throws: `ModelError.input` for targets of unequal lengths; `TensorError`.
  public static func value(
    _ model: T5Model, _ batch: TokenBatch, targets: [[Int32]], feedsTokens: Bool = false,
    dropout: Dropout = .none
  ) throws -> Tensor {
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
    var feedback = T5Model.Feedback.states
    if feedsTokens {
      feedback = .tokens(
        try (0..<steps - 1).map { step in
          try TokenIDs(targets.map { max($0[step], 0) }, on: model.backend)
        })
    }
    let states = try model.rollout(batch, steps: steps, feedback: feedback, dropout: dropout)
    let flat = try TokenIDs(Array(targets.joined()), on: model.backend)
    return try crossEntropy(
      states: states.reshaped(to: [states.rows, states.width]), table: model.table,
      scale: model.configuration.headScale, targets: flat)
  }
}

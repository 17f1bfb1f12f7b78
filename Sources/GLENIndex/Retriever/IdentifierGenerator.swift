import GLENModel
import GLENTensor

/// A model at work without training: documents become identifiers, queries become scores.
public struct IdentifierGenerator: Sendable {
  /// The network.
  public let model: T5Model
  /// The identifier's length and the tokens that it may not have.
  public let settings: IdentifierSettings
  let mask: Tensor
  let maskedTokens: [Int]

  /// A generator over a model.
  ///
  /// - Throws: `TensorError.outOfMemory`.
  public init(model: T5Model, settings: IdentifierSettings) throws {
    self.model = model
    self.settings = settings
    let size = model.configuration.vocabularySize
    mask = try settings.mask(vocabularySize: size, on: model.backend)
    maskedTokens = settings.maskedTokens.map(Int.init).filter { (0..<size).contains($0) }
  }

  private var feedback: T5Model.Feedback {
    settings.feedsTokens ? .bestTokens(mask: mask) : .states
  }

  /// The decoder's states of texts, h₁ to hₙ: `[texts, n, width]`.
  ///
  /// - Throws: `ModelError.input`, `TensorError`.
  public func states(of texts: [[Int32]]) throws -> Tensor {
    let batch = try TokenBatch(
      texts, vocabularySize: model.configuration.vocabularySize, on: model.backend)
    return try model.rollout(batch, steps: settings.identifierLength, feedback: feedback)
  }
}

import GLENModel
import GLENTensor

/// A model at work without training: documents become identifiers, queries become scores.
public struct IdentifierGenerator: Sendable {
  /// The network.
  public let model: T5Model
  /// The identifier's length and the tokens that it may not have.
  public let settings: IdentifierSettings
  /// What errors call the model: its folder, where it has one.
  let name: String
  let mask: Tensor
  let maskedTokens: [Int]
  private let rollouts: RecordedRollouts

  /// A generator over a model.
  ///
  /// - Parameters:
  ///   - model: the network.
  ///   - settings: the identifier's length and the tokens that it may not have.
  ///   - name: what errors call the model.
  /// - Throws: `TensorError.outOfMemory`.
  public init(model: T5Model, settings: IdentifierSettings, name: String = "the model") throws {
    self.model = model
    self.settings = settings
    self.name = name
    let size = model.configuration.vocabularySize
    mask = try settings.mask(vocabularySize: size, on: model.backend)
    maskedTokens = settings.maskedTokens.map(Int.init).filter { (0..<size).contains($0) }
    rollouts = RecordedRollouts(
      of: model, steps: settings.identifierLength,
      feedback: settings.feedsTokens ? .bestTokens(mask: mask) : .states)
  }

  /// The decoder's states of texts, h₁ to hₙ: `[texts, n, width]`.
  ///
  /// - Throws: `ModelError.input`, `TensorError`.
  public func states(of texts: [[Int32]]) throws -> Tensor {
    try rollouts.states(of: texts)
  }

  /// Whether every state, a row of the tensor, is made of numbers and is not zero.
  ///
  /// Weights may be finite and yet so large that what they make of a text is not. Where the square of a
  /// number overflows, a norm divides by infinity, and the state that comes out is zero.
  func areSound(_ states: Tensor) throws -> Bool {
    let values = try states.values()
    let width = model.configuration.width
    return stride(from: 0, to: values.count, by: width).allSatisfy { first in
      let largest = Self.largestMagnitude(of: values[first..<first + width])
      return largest > 0 && largest < .infinity
    }
  }

  /// The largest magnitude of some numbers; not finite if one of them is not.
  static func largestMagnitude(of values: ArraySlice<Float>) -> Float {
    // Integer work, which vectorises; the magnitude of NaN is above that of infinity.
    var largest: UInt32 = 0
    for value in values {
      let magnitude = value.bitPattern & 0x7FFF_FFFF
      largest = magnitude > largest ? magnitude : largest
    }
    return Float(bitPattern: largest)
  }

  /// What is wrong where numbers have overflowed on their way through the network.
  func overflow(_ operation: String) -> String {
    "\(operation): numbers overflow in \(name); expected finite states and logits of a text, got NaN, "
      + "an infinity or zeros, so some of its weights are too large; train the model again, or take an "
      + "intact copy"
  }
}

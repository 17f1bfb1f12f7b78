import GLENTensor

/// Whether and how a forward computation drops values: the rate, and the key of this place.
public struct Dropout: Sendable {
  /// The probability of dropping.
  public var rate: Float
  /// The key of the random numbers.
  public var key: RandomKey
  /// The tokens of a larger batch that come before those of this one.
  ///
  /// With them and `sequencesBefore`, a part of a batch drops what it would drop in the whole.
  public var tokensBefore = 0
  /// The sequences of a larger batch that come before those of this one.
  public var sequencesBefore = 0
  /// Which of the two counts here, by what a row is.
  private var firstRow = 0

  /// Dropout of the given rate; the key belongs to one forward computation.
  public init(rate: Float, key: RandomKey) {
    self.rate = rate
    self.key = key
  }

  /// No dropout.
  public static let none = Dropout(rate: 0, key: RandomKey(seed: 0))

  /// The same rate with a key of its own for the place that `index` names.
  func split(_ index: Int) -> Dropout {
    var part = self
    if rate != 0 { part.key = key.split(index) }
    return part
  }

  /// For a stack whose rows are tokens.
  var ofTokens: Dropout { startingAt(tokensBefore) }
  /// For a stack whose rows are sequences.
  var ofSequences: Dropout { startingAt(sequencesBefore) }

  private func startingAt(_ row: Int) -> Dropout {
    var result = self
    result.firstRow = row
    return result
  }

  /// What an operation needs to know of it.
  var mask: DropoutMask { DropoutMask(rate: rate, key: key, firstRow: firstRow) }

  func callAsFunction(_ x: Tensor) throws(TensorError) -> Tensor { try dropout(x, mask) }

  /// x Wᵀ, dropped, plus the residual.
  func residual(
    _ x: Tensor, _ weight: Tensor, adding residual: consuming Tensor
  ) throws(TensorError) -> Tensor {
    if rate == 0 {
      return try linear(x, weight, adding: consume residual, rounding: .inputGradient)
    }
    return try add(residual, self(linear(x, weight, rounding: [.result, .inputGradient])))
  }
}

import GLENTensor

/// Whether and how a forward computation drops values: the rate, and the key of this place.
public struct Dropout: Sendable {
  /// The probability of dropping.
  public var rate: Float
  /// The key of the random numbers.
  public var key: RandomKey

  /// Dropout of the given rate; the key belongs to one forward computation.
  public init(rate: Float, key: RandomKey) {
    self.rate = rate
    self.key = key
  }

  /// No dropout.
  public static let none = Dropout(rate: 0, key: RandomKey(seed: 0))

  /// The same rate with a key of its own for the place that `index` names.
  func split(_ index: Int) -> Dropout {
    rate == 0 ? self : Dropout(rate: rate, key: key.split(index))
  }

  func callAsFunction(_ x: Tensor) throws -> Tensor { try dropout(x, rate: rate, key: key) }

  /// x Wᵀ, dropped, plus the residual.
  func residual(_ x: Tensor, _ weight: Tensor, adding residual: Tensor) throws -> Tensor {
    if rate == 0 { return try linear(x, weight, adding: residual) }
    return try add(residual, self(linear(x, weight)))
  }
}

/// Which values dropout drops: each with the probability `rate`, by the random numbers of `key`.
public struct DropoutMask: Sendable {
  /// The probability of dropping.
  public var rate: Float
  /// The key of the random numbers.
  public var key: RandomKey
  /// How many rows of a larger batch come before the first one: a part of a batch then drops what it
  /// would drop in the whole.
  public var firstRow: Int

  /// A mask of the given rate.
  public init(rate: Float, key: RandomKey, firstRow: Int = 0) {
    (self.rate, self.key, self.firstRow) = (rate, key, firstRow)
  }
}

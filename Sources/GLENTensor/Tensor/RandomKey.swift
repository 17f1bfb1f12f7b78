/// A key for random numbers: the same key gives the same numbers on every device, in any order.
public struct RandomKey: Sendable, Hashable, Codable {
  /// The key of the generator.
  public var seed: UInt64
  /// One of 2^64 independent streams under the same key.
  public var stream: UInt64

  /// The key for a seed.
  public init(seed: UInt64, stream: UInt64 = 0) {
    self.seed = seed
    self.stream = stream
  }

  /// A key of its own for the part that `index` names.
  public func split(_ index: Int) -> RandomKey {
    let number = UInt64(bitPattern: Int64(index)) &+ 1
    return RandomKey(seed: seed, stream: Self.mix(stream &+ 0x9E37_79B9_7F4A_7C15 &* number))
  }

  /// Spreads every bit of the input over all bits of the output (SplitMix64's finaliser).
  static func mix(_ value: UInt64) -> UInt64 {
    var z = value
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}

/// A small sequential generator (SplitMix64) for shuffles and initial weights.
public struct SeededGenerator: RandomNumberGenerator, Sendable {
  private var state: UInt64

  /// A generator whose numbers depend on nothing but the key.
  public init(_ key: RandomKey) {
    state = RandomKey.mix(key.seed) ^ RandomKey.mix(key.stream &+ 0x632B_E59B_D9B4_E019)
  }

  /// The next 64 random bits.
  public mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    return RandomKey.mix(state)
  }
}

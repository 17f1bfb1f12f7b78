/// Numbers as unsigned integers that have the same order.
enum SortKey {
  /// The key of a number that is not NaN; both zeros have the same key.
  static func key(of value: Float) -> UInt32 {
    let bits = (value + 0).bitPattern
    return bits >> 31 == 0 ? bits | 0x8000_0000 : ~bits
  }

  /// The number that has a key.
  static func value(ofKey key: UInt32) -> Float {
    Float(bitPattern: key >> 31 == 1 ? key & 0x7FFF_FFFF : ~key)
  }

  /// A key that looks random and depends on nothing but its arguments.
  static func shuffled(seed: UInt64, document: UInt32) -> UInt32 {
    UInt32(truncatingIfNeeded: mix(seed &+ mix(UInt64(document))) >> 32)
  }

  /// The output function of SplitMix64.
  private static func mix(_ value: UInt64) -> UInt64 {
    var z = value &+ 0x9E37_79B9_7F4A_7C15
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}

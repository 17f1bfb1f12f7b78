import GLENPlatform

/// The logarithm of a sum of exponentials, in double precision, eight numbers at a time.
enum LogSumExp {
  typealias Lanes = SIMD8<Double>

  /// The value for some logits, -infinity if all are, or nil if one is NaN or +infinity.
  static func value(of logits: UnsafeBufferPointer<Float>) -> Double? {
    guard let largest = largest(of: logits) else { return nil }
    guard largest > -.infinity else { return -.infinity }
    let shift = Lanes(repeating: Double(largest))
    let bytes = UnsafeRawBufferPointer(logits)
    var sums = Lanes.zero
    var index = 0
    while index + Lanes.scalarCount <= logits.count {
      let chunk = bytes.loadUnaligned(fromByteOffset: 4 * index, as: SIMD8<Float>.self)
      sums += exponentials(Lanes(chunk) - shift)
      index += Lanes.scalarCount
    }
    var rest = Lanes(repeating: -.infinity)
    for lane in 0..<logits.count - index { rest[lane] = Double(logits[index + lane]) }
    sums += exponentials(rest - shift)
    return Double(largest) + log(sums.sum())
  }

  /// The largest logit, or nil if one is NaN or +infinity; integer work, which vectorises.
  private static func largest(of logits: UnsafeBufferPointer<Float>) -> Float? {
    var largest = Int32.min
    var magnitude: Int32 = 0
    for logit in logits {
      let bits = Int32(bitPattern: logit.bitPattern)
      let ordered = bits ^ ((bits >> 31) & 0x7FFF_FFFF)
      largest = ordered > largest ? ordered : largest
      let positive = bits & 0x7FFF_FFFF
      magnitude = positive > magnitude ? positive : magnitude
    }
    guard magnitude <= 0x7F80_0000, largest < 0x7F80_0000 else { return nil }
    return Float(bitPattern: UInt32(bitPattern: largest ^ ((largest >> 31) & 0x7FFF_FFFF)))
  }

  /// e to the power of each number, all of them at most 0.
  static func exponentials(of numbers: [Double]) -> [Double] {
    var result: [Double] = []
    result.reserveCapacity(numbers.count + Lanes.scalarCount)
    for first in stride(from: 0, to: numbers.count, by: Lanes.scalarCount) {
      let count = min(Lanes.scalarCount, numbers.count - first)
      var lanes = Lanes.zero
      for lane in 0..<count { lanes[lane] = numbers[first + lane] }
      lanes = exponentials(lanes)
      for lane in 0..<count { result.append(lanes[lane]) }
    }
    return result
  }

  /// e to the power of numbers that are at most 0, with a relative error below 1e-14.
  ///
  /// Below -700 the result is 0: it cannot change a sum that holds a 1.
  @inline(__always)
  private static func exponentials(_ numbers: Lanes) -> Lanes {
    let isTiny = numbers .< Lanes(repeating: -700)
    let x = numbers.replacing(with: 0, where: isTiny)
    // Adding 1.5 * 2^52 rounds to an integer and leaves it in the low bits.
    let rounder = Lanes(repeating: 6_755_399_441_055_744)
    let shifted = x * 1.442_695_040_888_963_4 + rounder
    let power = shifted - rounder
    let r = x - power * 0.693_147_180_369_123_8 - power * 1.908_214_929_270_587_7e-10
    // The series of e^r for |r| <= ln(2) / 2, up to the 11th power.
    var series = Lanes(repeating: 1.0 / 39_916_800)
    series = series * r + 1.0 / 3_628_800
    series = series * r + 1.0 / 362_880
    series = series * r + 1.0 / 40_320
    series = series * r + 1.0 / 5_040
    series = series * r + 1.0 / 720
    series = series * r + 1.0 / 120
    series = series * r + 1.0 / 24
    series = series * r + 1.0 / 6
    series = series * r + 0.5
    series = series * r + 1
    series = series * r + 1
    let exponent = unsafeBitCast(shifted, to: SIMD8<UInt64>.self) &+ 1023
    let scale = unsafeBitCast(exponent &<< 52, to: Lanes.self)
    return (series * scale).replacing(with: 0, where: isTiny)
  }
}

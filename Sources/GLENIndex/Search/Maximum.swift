/// The largest of many numbers, sixteen at a time: one after the other would wait for itself.
enum Maximum {
  /// The largest number, or -infinity if there is none; the numbers are not NaN.
  @inline(__always)
  static func value(of numbers: UnsafeBufferPointer<Float>) -> Float {
    let bytes = UnsafeRawBufferPointer(numbers)
    var lanes = SIMD16<Float>(repeating: -.infinity)
    var index = 0
    while index + 16 <= numbers.count {
      let chunk = bytes.loadUnaligned(fromByteOffset: 4 * index, as: SIMD16<Float>.self)
      lanes.replace(with: chunk, where: chunk .> lanes)
      index += 16
    }
    var largest = value(of: lanes)
    while index < numbers.count {
      largest = numbers[index] > largest ? numbers[index] : largest
      index += 1
    }
    return largest
  }

  /// The largest lane, by halves.
  @inline(__always)
  private static func value(of lanes: SIMD16<Float>) -> Float {
    var eight = lanes.lowHalf
    eight.replace(with: lanes.highHalf, where: lanes.highHalf .> eight)
    var four = eight.lowHalf
    four.replace(with: eight.highHalf, where: eight.highHalf .> four)
    var two = four.lowHalf
    two.replace(with: four.highHalf, where: four.highHalf .> two)
    return two.x > two.y ? two.x : two.y
  }
}

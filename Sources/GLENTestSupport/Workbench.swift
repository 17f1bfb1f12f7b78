import GLENTensor

/// Seeded inputs and guarded outputs for one run of a case.
///
/// Every region is fenced by known values on both sides, so that a kernel that writes past its extents
/// is found out. It begins at an odd offset, or, for what reads several numbers at once, at a whole 32
/// bytes.
final class Workbench {
  let backend: any Backend
  private var generator: SeededGenerator
  private var comparisons: [Comparison] = []
  private var fenced: [(region: Region, count: Int)] = []

  private static let fence: Float = 12345.5
  private let before: Int
  private static let after = 9

  init(_ backend: any Backend, named name: String, isAligned: Bool) {
    self.backend = backend
    before = isAligned ? 8 : 7
    let hash = name.utf8.reduce(0xCBF2_9CE4_8422_2325 as UInt64) {
      ($0 ^ UInt64($1)) &* 0x100_0000_01B3
    }
    generator = SeededGenerator(RandomKey(seed: hash))
  }

  /// Seeded values.
  func values(_ count: Int, in range: ClosedRange<Float> = -2...2) -> [Float] {
    (0..<count).map { _ in Float.random(in: range, using: &generator) }
  }

  /// Seeded whole numbers.
  func integers(_ count: Int, in range: Range<Int32>) -> [Int32] {
    (0..<count).map { _ in Int32.random(in: range, using: &generator) }
  }

  /// Seeded places, each once, at most `count` of them.
  func places(_ count: Int, of extent: Int) -> [Int] {
    if extent <= count { return Array(0..<extent) }
    var places: Set<Int> = [0, extent - 1]
    while places.count < count { places.insert(Int.random(in: 0..<extent, using: &generator)) }
    return places.sorted()
  }

  /// Values on the backend.
  func region(_ values: [Float]) throws -> Region {
    let fence = { [Float](repeating: Self.fence, count: $0) }
    let all = fence(before) + values + fence(Self.after)
    let storage = try Storage(byteCount: all.count * 4, on: backend)
    all.withUnsafeBytes { backend.upload($0, to: Region(storage)) }
    let region = Region(storage, offset: before)
    fenced.append((region, values.count))
    return region
  }

  /// Whole numbers on the backend.
  func region(_ values: [Int32]) throws -> Region {
    let storage = try Storage(byteCount: values.count * 4, on: backend)
    values.withUnsafeBytes { backend.upload($0, to: Region(storage)) }
    return Region(storage)
  }

  /// Room for results that are assigned: it holds nothing but NaN.
  func output(_ count: Int) throws -> Region {
    try region([Float](repeating: .nan, count: count))
  }

  /// Room for results, and what they are added to: random numbers to accumulate on, otherwise NaN
  /// in memory and zeros to reckon with.
  func destination(
    _ count: Int, accumulating: Bool
  ) throws -> (region: Region, old: [Double]) {
    if !accumulating { return (try output(count), [Double](repeating: 0, count: count)) }
    let old = values(count)
    return (try region(old), old.map(Double.init))
  }

  /// The values in a region.
  func read(_ region: Region, _ count: Int) throws -> [Float] {
    var values = [Float](repeating: 0, count: count)
    try values.withUnsafeMutableBytes { try backend.download(region, into: $0) }
    return values
  }

  /// The whole numbers in a region.
  func readIntegers(_ region: Region, _ count: Int) throws -> [Int32] {
    var values = [Int32](repeating: 0, count: count)
    try values.withUnsafeMutableBytes { try backend.download(region, into: $0) }
    return values
  }

  /// Notes what a region holds and should hold.
  func expect(_ label: String, _ region: Region, _ expected: [Double]) throws {
    expect(label, try read(region, expected.count), expected)
  }

  /// Notes values and what they should be.
  func expect(_ label: String, _ values: [Float], _ expected: [Double]) {
    comparisons.append(Comparison(label: label, values: values, expected: expected))
  }

  /// All comparisons, the fences among them.
  func finish() throws -> [Comparison] {
    for (index, (region, count)) in fenced.enumerated() {
      let left = try read(Region(region.storage), before)
      let right = try read(region.advanced(by: count), Self.after)
      expect(
        "fence of region \(index)", left + right,
        [Double](repeating: Double(Self.fence), count: before + Self.after))
    }
    return comparisons
  }
}

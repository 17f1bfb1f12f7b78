import CGLENKernels
import Testing

@testable import GLENTensor

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

@Suite("Numerics")
struct NumericsTests {
  /// exp(x) as the kernels compute it: a row's probabilities for a log sum of zero.
  private func exponentials(_ x: [Float]) -> [Float] {
    var values = x
    var logSum: Float = 0
    glen_attention_probabilities_again(1, values.count, 0, nil, &logSum, &values)
    return values
  }

  @Test func exponentialsAreAccurate() {
    var x: [Float] = []
    for step in 0...1_750_000 { x.append(-87 + Float(step) * 1e-4) }
    let worst =
      zip(x, exponentials(x)).map { x, y -> (Double, Float) in
        let exact = exp(Double(x))
        return (abs(Double(y) - exact) / exact, x)
      }.max { $0.0 < $1.0 } ?? (1, 0)
    // 8.3e-8 with AVX-512; 2^-23 is one unit in the last place of 1.
    #expect(worst.0 < 1.25 * 0x1p-23, "relative error \(worst.0) at \(worst.1)")
    #expect(worst.0 > 0)
  }

  @Test func exponentialsHaveTheirLimits() {
    let values = exponentials([-.infinity, -1000, -87.4, 0, 1000, .infinity, .nan])
    #expect(values[0..<4] == [0, 0, 0, 1])
    // Beyond the range of float it stays what it was there.
    #expect(values[4].isFinite && values[4] > 2e38)
    #expect(values[5].isFinite)
    #expect(values[6].isNaN)
  }

  /// x sigmoid(2u) is 0 or x far out, and its slope 0 or 1, though the square of x is infinite there.
  @Test func aGatedGELUHasItsLimits() throws {
    let x: [Float] = [-3e38, -2e19, -1e13, -1e12, -30, -10, -6, 6, 10, 30, 1e13, 2e19, 1e38]
    let gate = try Tensor(x, shape: [x.count])
    let ones = try Tensor(repeating: 1, shape: [x.count])
    let (values, pullback) = try valueWithPullback(of: [gate]) {
      [try gatedGELU(gate: $0[0], up: ones)]
    }
    let slopes = try #require(try pullback([ones])["0"]).values()
    for (place, (y, slope)) in try zip(values[0].values(), slopes).enumerated() {
      let isPositive = x[place] > 0
      #expect(abs(y - (isPositive ? x[place] : 0)) <= 1e-6, "at \(x[place])")
      #expect(abs(slope - (isPositive ? 1 : 0)) < 1e-5, "at \(x[place])")
    }
    let nothing = try Tensor([.nan], shape: [1])
    #expect(try gatedGELU(gate: nothing, up: nothing).values()[0].isNaN)
  }

  /// A loss depends on what the logits differ by, not on where they lie.
  @Test(arguments: [0, 100, 1024, 4096] as [Float])
  func aSmallLossKeepsItsDigits(offset: Float) throws {
    let logits = try Tensor([offset, offset - 10, offset - 10], shape: [1, 3])
    let loss = try crossEntropy(logits: logits, targets: TokenIDs([0])).scalar()
    let exact = log1p(2 * exp(-10.0))
    #expect(abs(Double(loss) - exact) < 0.01 * exact)
  }

  private func softmax(_ x: [Float], width: Int, mask: [Float]? = nil) throws -> [Float] {
    let tensor = try Tensor(x, shape: [x.count / width, width])
    let maskTensor = try mask.map { try Tensor($0, shape: [width]) }
    tensor.backend.softmax(
      tensor.region, mask: maskTensor?.region, scale: 1, rows: tensor.rows, width: width)
    return try tensor.values()
  }

  @Test(arguments: [1, 3, 17, 31, 32, 33, 64, 100, 1000])
  func rowsOfASoftmaxSumToOne(width: Int) throws {
    var generator = SeededGenerator(RandomKey(seed: 1))
    let x = (0..<5 * width).map { _ in Float.random(in: -50...50, using: &generator) }
    let y = try softmax(x, width: width)
    for row in 0..<5 {
      let part = y[row * width..<(row + 1) * width]
      #expect(abs(part.reduce(0, +) - 1) < 1e-5)
      #expect(part.allSatisfy { $0 >= 0 })
    }
  }

  @Test func maskedColumnsGetNothing() throws {
    #expect(
      try softmax([1, 5, 1, -3], width: 4, mask: [0, -.infinity, 0, -.infinity]) == [
        0.5, 0, 0.5, 0,
      ])
    #expect(try softmax([-.infinity, 2, 2], width: 3) == [0, 0.5, 0.5])
  }

  @Test func hugeLogitsStayFinite() throws {
    #expect(try softmax([1e30, 1e30, -1e30], width: 3) == [0.5, 0.5, 0])
    #expect(try softmax([-3e38, 3e38], width: 2) == [0, 1])
    let logits = try Tensor([1e6, -1e6, 0], shape: [1, 3])
    let (loss, gradients) = try valueAndGradient(of: [logits]) {
      try crossEntropy(logits: $0[0], targets: TokenIDs([1]))
    }
    #expect(try loss.scalar() == 2e6)
    #expect(try gradients["0"]?.values() == [1, -1, 0])
  }

  /// A row without anything to choose has no distribution: it says so instead of inventing one.
  @Test func aRowOfNothingIsNotANumber() throws {
    let y = try softmax([-.infinity, -.infinity, 1, 2], width: 2)
    #expect(y[0].isNaN && y[1].isNaN)
    #expect(!y[2].isNaN && !y[3].isNaN)
  }

  @Test(arguments: [3, 40, 200], [0, 1, 2])
  func whatIsNotANumberStaysSo(width: Int, place: Int) throws {
    var row = [Float](repeating: 1, count: width)
    row[place] = .nan
    #expect(try softmax(row, width: width).allSatisfy(\.isNaN))
    let x = try Tensor(row, shape: [1, width])
    let ones = try Tensor(repeating: 1, shape: [1, width])
    let weight = try Tensor(repeating: 1, shape: [width])
    let offsets = try SequenceOffsets(lengths: [1])
    #expect(try relu(x).values()[place].isNaN)
    #expect(try gatedGELU(gate: x, up: ones).values()[place].isNaN)
    #expect(try rmsNorm(x, weight: weight, epsilon: 0).values().allSatisfy(\.isNaN))
    #expect(try rowDot(x, ones).values()[0].isNaN)
    #expect(try cosineDistance(x, ones).values()[0].isNaN)
    #expect(try sum(x).scalar().isNaN)
    #expect(try linear(x, ones).values()[0].isNaN)
    #expect(try crossEntropy(logits: x, targets: TokenIDs([0])).scalar().isNaN)
    #expect(
      try attention(
        queries: x, keys: x, values: ones, heads: 1, queryOffsets: offsets, keyOffsets: offsets
      ).values().allSatisfy(\.isNaN))
    let (_, gradients) = try valueAndGradient(of: [x]) { try sum(relu($0[0])) }
    #expect(try gradients["0"]?.values()[place] == 1)
  }

  /// The arg max passes over what is not a number, and gives column 0 where nothing is left.
  @Test(arguments: [3, 200])
  func argMaxPassesOverWhatIsNotANumber(width: Int) throws {
    func argMax(_ row: [Float], mask: [Float]? = nil) throws -> (Int32, Float) {
      let x = try Tensor(row, shape: [1, width])
      let indices = try TokenIDs([-5])
      let values = try Tensor([0], shape: [1])
      let maskTensor = try mask.map { try Tensor($0, shape: [width]) }
      x.backend.argMax(
        x.region, mask: maskTensor?.region, indices: indices.region, values: values.region, rows: 1,
        width: width)
      return (try indices.values()[0], try values.scalar())
    }
    var row = [Float](repeating: .nan, count: width)
    #expect(try argMax(row) == (0, -.infinity))
    row[2] = 7
    #expect(try argMax(row) == (2, 7))
    let closed = [Float](repeating: -.infinity, count: width)
    #expect(try argMax(row, mask: closed) == (0, -.infinity))
    #expect(try argMax(closed) == (0, -.infinity))
    // A masked column does not win by being equal, either.
    row = [Float](repeating: 1, count: width)
    var mask = closed
    mask[width - 1] = 0
    #expect(try argMax(row, mask: mask) == (Int32(width - 1), 1))
  }

  @Test func ignoredTargetsCountForNothing() throws {
    let logits = try Tensor([1, 2, 9, 9, 3, 1], shape: [3, 2])
    let (loss, gradients) = try valueAndGradient(of: [logits]) {
      try crossEntropy(logits: $0[0], targets: TokenIDs([0, -1, 1]))
    }
    let expected = (log(1 + exp(1.0)) + log(1 + exp(2.0))) / 2
    #expect(abs(Double(try loss.scalar()) - expected) < 1e-6)
    #expect(try gradients["0"]?.values()[2...3] == [0, 0])
  }

  @Test func allTargetsIgnoredIsALossOfZero() throws {
    let x = try Tensor([1, 2, 3, 4], shape: [2, 2])
    let (loss, gradients) = try valueAndGradient(of: [x]) {
      try add(
        crossEntropy(logits: $0[0], targets: TokenIDs([-1, -1])),
        crossEntropy(states: $0[0], table: $0[0], scale: 1, targets: TokenIDs([-1, -7])))
    }
    #expect(try loss.scalar() == 0)
    #expect(try gradients["0"]?.values() == [0, 0, 0, 0])
  }

  @Test func identifiersAreTheBestTokens() throws {
    let states = try Tensor([1, 0, 0, 1, -1, -1], shape: [3, 2])
    let table = try Tensor([5, 0, 1, 1, 0, 7, -1, -1], shape: [4, 2])
    let mask = try Tensor([-.infinity, 0, 0, 0], shape: [4])
    let pass = try identifierRepresentation(
      states: states, table: table, scale: 2, temperature: 1, mask: mask, scoresPerChunk: 4)
    #expect(try pass.tokens.values() == [1, 2, 3])
    #expect(try pass.unmaskedTokens.values() == [0, 2, 3])
    let best = try bestTokens(states: states, table: table, scale: 2, mask: mask)
    #expect(try best.tokens.values() == [1, 2, 3])
    #expect(try best.weights.values() == [2, 14, 4])
  }

  @Test(arguments: [1, 3])
  func columnsWithMuchAreKept(threads: Int) throws {
    let backend = CPUBackend(threadCount: threads)
    let (rows, width) = (50, 3000)
    var values = [Float](repeating: 1e-9, count: rows * width)
    values[3 * width + 7] = 0.5
    values[49 * width + 2999] = 1e-3
    values[20 * width + 1000] = .nan
    values[width] = 0.25
    let x = try Tensor(values, shape: [rows, width], on: backend)
    let columns = try TokenIDs(unset: width, below: width, on: backend)
    func keep(atMost limit: Int) -> Int? {
      backend.keepColumns(
        of: x.region, atLeast: 1e-3, atMost: limit, columns: columns.region, rows: rows,
        width: width)
    }
    #expect(keep(atMost: 3) == nil)
    #expect(try x.values()[0..<rows * width].elementsEqual(values) { $0 == $1 || $0.isNaN })
    #expect(keep(atMost: 4) == 4)
    #expect(try columns.values()[0..<4] == [0, 7, 1000, 2999])
    let kept = try x.values()[0..<rows * 4]
    #expect(kept[4..<8] == [0.25, 1e-9, 1e-9, 1e-9])
    #expect(kept[12..<16] == [1e-9, 0.5, 1e-9, 1e-9])
    #expect(kept[82].isNaN && kept[81] == 1e-9)
    #expect(kept[199] == 1e-3)
  }

  /// Tokens of next to no probability have no gradient at all, those of some have theirs.
  @Test func rowsThatDoNotMatterAreLeftOut() throws {
    let states = try Tensor([1, 0, 0, 1], shape: [2, 2])
    // Logits of the first state: 30, 10, and 0 for 98 rows; e^-20 is above 2^-25 / 100, e^-30 is not.
    let rows = [[30, 0], [10, 30]] + [[Float]](repeating: [0, 0], count: 98)
    let table = try Tensor(rows.flatMap { $0 }, shape: [100, 2])
    let (_, gradients) = try valueAndGradient(of: [states, table]) { x in
      let pass = try identifierRepresentation(
        states: x[0], table: x[1], scale: 1, temperature: 1, mask: nil)
      return try sum(pass.representations)
    }
    let values = try #require(try gradients["1"]?.values())
    #expect(values[4...].allSatisfy { $0 == 0 })
    #expect(values[0..<4].allSatisfy { $0 != 0 })
    // All rows get theirs where as many matter.
    let (_, dense) = try valueAndGradient(of: [states, table]) { x in
      let pass = try identifierRepresentation(
        states: x[0], table: x[1], scale: 1, temperature: 20, mask: nil)
      return try sum(pass.representations)
    }
    #expect(try dense["1"]?.values().allSatisfy { $0 != 0 } == true)
  }
}

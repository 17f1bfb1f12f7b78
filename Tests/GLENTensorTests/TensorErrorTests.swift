import Testing

@testable import GLENTensor

@Suite("Errors of tensors and operations")
struct TensorErrorTests {
  private let x = Result { try Tensor([1, 2, 3, 4, 5, 6], shape: [2, 3]) }
  private let other = CPUBackend(threadCount: 1)

  /// The text of the error that the body throws.
  private func text(_ body: () throws -> Void) -> String {
    do {
      try body()
      return "nothing was thrown"
    } catch let error as TensorError {
      return error.description
    } catch {
      return "not a TensorError: \(error)"
    }
  }

  @Test func shapesThatDoNotFit() throws {
    let x = try x.get()
    let y = try Tensor([1, 2], shape: [2])
    let offsets = try SequenceOffsets(lengths: [2])
    let cases: [(String, () throws -> Void)] = [
      (
        "Tensor: the shapes do not fit; expected 4 values for [2, 2], got 1",
        { _ = try Tensor([1], shape: [2, 2]) }
      ),
      ("scalar: the shapes do not fit; expected one element, got [2]", { _ = try y.scalar() }),
      ("add: the shapes do not fit; expected [2, 3], got [2]", { _ = try add(x, y) }),
      (
        "gatedGELU: the shapes do not fit; expected [2, 3], got [2]",
        { _ = try gatedGELU(gate: x, up: y) }
      ),
      (
        "reshaped: the shapes do not fit; expected 6 elements, got [4]",
        { _ = try x.reshaped(to: [4]) }
      ),
      (
        "linear: the shapes do not fit; expected [..., k] and [n, k], got [2, 3] and [2]",
        { _ = try linear(x, y) }
      ),
      (
        "linear: the shapes do not fit; expected a residual of [2, 2], got [2, 3]",
        { _ = try linear(x, x, adding: x) }
      ),
      (
        "rmsNorm: the shapes do not fit; expected a weight of [3], got [2]",
        { _ = try rmsNorm(x, weight: y, epsilon: 0) }
      ),
      (
        "gather: the shapes do not fit; expected a table [rows, width], got [2]",
        { _ = try gather(y, rows: TokenIDs([0])) }
      ),
      (
        "stack: the shapes do not fit; expected steps of [2, 3], got [2]",
        { _ = try stack([x, y]) }
      ),
      ("rowDot: the shapes do not fit; expected [2, 3] twice, got [2]", { _ = try rowDot(x, y) }),
      (
        "cosineDistance: the shapes do not fit; expected [2, 3] twice, got [2]",
        { _ = try cosineDistance(x, y) }
      ),
      (
        "crossEntropy: the shapes do not fit; expected logits [1, classes], got [2, 3]",
        { _ = try crossEntropy(logits: x, targets: TokenIDs([0])) }
      ),
      (
        "crossEntropy: the shapes do not fit; expected states [2, m], a table [V, m], a mask [V], "
          + "got [2, 3], [2, 3], [3]",
        {
          _ = try crossEntropy(
            states: x, table: x, scale: 1, targets: TokenIDs([0, 1]),
            mask: Tensor([0, 0, 0], shape: [3]))
        }
      ),
      (
        "crossEntropy: the shapes do not fit; expected states [2, m], a table [V, m], a mask [V], "
          + "got [2, 3], [0, 3], []",
        {
          _ = try crossEntropy(
            states: x, table: Tensor([], shape: [0, 3]), scale: 1, targets: TokenIDs([-1, -1]))
        }
      ),
      (
        "identifierRepresentation: the shapes do not fit; expected states [count, m], "
          + "a table [V, m], a mask [V], got [2, 3], [2], []",
        {
          _ = try identifierRepresentation(states: x, table: y, scale: 1, temperature: 1, mask: nil)
        }
      ),
      (
        "bestTokens: the shapes do not fit; expected states [count, m], a table [V, m], a mask [V], "
          + "got [2], [2, 3], []",
        { _ = try bestTokens(states: y, table: x, scale: 1, mask: nil) }
      ),
      (
        "RelativePositionBias: the shapes do not fit; expected [buckets, heads], got [2]",
        {
          _ = try RelativePositionBias(
            table: y, length: 1, isBidirectional: true, maximumDistance: 9)
        }
      ),
      (
        "attention: the shapes do not fit; expected queries [2, h·d], keys and values [2, h·d], "
          + "a bias of 2 heads that reaches far enough, got [2, 3], [2, 3], [2, 3], []",
        {
          _ = try attention(
            queries: x, keys: x, values: x, heads: 2, queryOffsets: offsets, keyOffsets: offsets)
        }
      ),
      (
        "attention: the shapes do not fit; expected queries [2, h·d], keys and values [2, h·d], "
          + "a bias of 3 heads that reaches far enough, got [2, 3], [2, 3], [2, 3], [2, 3]",
        {
          _ = try attention(
            queries: x, keys: x, values: x, heads: 3, queryOffsets: offsets, keyOffsets: offsets,
            bias: RelativePositionBias(
              table: x, length: 1, isBidirectional: false, maximumDistance: 9))
        }
      ),
      (
        "pullback: the shapes do not fit; expected [2, 3], got [2]",
        { _ = try valueWithPullback(of: [x]) { $0 }.pullback([y]) }
      ),
      (
        "valueAndGradient: the shapes do not fit; expected a scalar, got [2, 3]",
        { _ = try valueAndGradient(of: [x]) { $0[0] } }
      ),
      (
        "gradient of a: the shapes do not fit; expected [2, 3], got [2]",
        {
          var (first, second) = (Gradients(), Gradients())
          first["a"] = x
          second["a"] = y
          try first.add(second)
        }
      ),
    ]
    for (expected, body) in cases { #expect(text(body) == expected) }
  }

  @Test func argumentsOutsideTheirRange() throws {
    let x = try x.get()
    let offsets = try SequenceOffsets(lengths: [2])
    let one = try SequenceOffsets(lengths: [1])
    let row = try Tensor([1, 2, 3], shape: [1, 3])
    func attend(_ dropout: Float) throws {
      _ = try attention(
        queries: x, keys: x, values: x, heads: 1, queryOffsets: offsets, keyOffsets: offsets,
        dropout: DropoutMask(rate: dropout, key: RandomKey(seed: 1)))
    }
    func bias(_ buckets: Int, both: Bool, _ distance: Int) throws {
      _ = try RelativePositionBias(
        table: Tensor(repeating: 0, shape: [buckets, 1]), length: 9, isBidirectional: both,
        maximumDistance: distance)
    }
    let tooFew = { (buckets: Int, distance: Int, least: Int, exact: Int) in
      "RelativePositionBias: \(buckets) buckets up to distance \(distance) leave nothing to divide; "
        + "expected \(least) buckets or more and a distance above \(exact)"
    }
    let cases: [(String, () throws -> Void)] = [
      (
        "dropout: the rate is 1.0; expected 0 or more and below 1",
        { _ = try dropout(x, DropoutMask(rate: 1, key: RandomKey(seed: 1))) }
      ),
      (
        "dropout: the rate is -0.5; expected 0 or more and below 1",
        { _ = try dropout(x, DropoutMask(rate: -0.5, key: RandomKey(seed: 1))) }
      ),
      (
        "dropout: the rate is nan; expected 0 or more and below 1",
        { _ = try dropout(x, DropoutMask(rate: .nan, key: RandomKey(seed: 1))) }
      ),
      ("attention: the dropout is 1.0; expected 0 or more and below 1", { try attend(1) }),
      ("attention: the dropout is nan; expected 0 or more and below 1", { try attend(.nan) }),
      ("attention: the dropout is -1.0; expected 0 or more and below 1", { try attend(-1) }),
      (
        "attention: sequence 0 has more queries than keys; the first of them would see nothing",
        {
          _ = try attention(
            queries: x, keys: row, values: row, heads: 1, queryOffsets: offsets, keyOffsets: one,
            isCausal: true)
        }
      ),
      ("stack: there are no steps", { _ = try stack([]) }),
      (
        "identifierRepresentation: the temperature is 0.0; expected a number above 0 with an inverse",
        {
          _ = try identifierRepresentation(states: x, table: x, scale: 1, temperature: 0, mask: nil)
        }
      ),
      (
        "identifierRepresentation: the temperature is inf; expected a number above 0 with an inverse",
        {
          _ = try identifierRepresentation(
            states: x, table: x, scale: 1, temperature: .infinity, mask: nil)
        }
      ),
      (
        "identifierRepresentation: the temperature is 1e-45; expected a number above 0 with an inverse",
        {
          _ = try identifierRepresentation(
            states: x, table: x, scale: 1, temperature: .leastNonzeroMagnitude, mask: nil)
        }
      ),
      (
        "SequenceOffsets: over 2147483647 rows; use a smaller batch",
        { _ = try SequenceOffsets(lengths: [5, Int.max]) }
      ),
      (
        "SequenceOffsets: sequence 1 is empty; give it an end token",
        { _ = try SequenceOffsets(lengths: [1, 0]) }
      ),
      (
        "SequenceOffsets: over 2147483647 rows; use a smaller batch",
        { _ = try SequenceOffsets(lengths: [1, Int.max - 1]) }
      ),
      (
        "pullback: 1 values need as many seeds, not 0",
        { _ = try valueWithPullback(of: [x]) { $0 }.pullback([]) }
      ),
      (
        "pullback: it was called before",
        {
          let pullback = try valueWithPullback(of: [x]) { $0 }.pullback
          _ = try pullback([x])
          _ = try pullback([x])
        }
      ),
      (
        "gather: a row number lies outside the table's 0 ..< 2",
        { _ = try gather(x, rows: TokenIDs([0, 2])) }
      ),
      (
        "gather: a row number lies outside the table's 0 ..< 2",
        { _ = try gather(x, rows: TokenIDs([0, -1])) }
      ),
      (
        "crossEntropy: target 3 lies outside the classes 0 ..< 3",
        { _ = try crossEntropy(logits: x, targets: TokenIDs([0, 3])) }
      ),
      (
        "crossEntropy: target 2 lies outside the classes 0 ..< 2",
        { _ = try crossEntropy(states: x, table: x, scale: 1, targets: TokenIDs([0, 2])) }
      ),
      (tooFew(3, 9, 4, 0), { try bias(3, both: true, 9) }),
      (tooFew(1, 9, 2, 0), { try bias(1, both: false, 9) }),
      (tooFew(8, 2, 4, 2), { try bias(8, both: true, 2) }),
      (tooFew(8, -3, 2, 4), { try bias(8, both: false, -3) }),
      (
        "add: the operands belong to two differentiations",
        {
          _ = try valueWithPullback(of: [x]) { outer in
            try valueWithPullback(of: [x]) { [try add($0[0], outer[0])] }.values
          }
        }
      ),
      (
        "joined: the operands belong to two differentiations",
        {
          _ = try valueWithPullback(of: [x]) { outer in
            try valueWithPullback(of: [x]) { [try joined([x, outer[0], $0[0]])] }.values
          }
        }
      ),
      (
        "stack: the operands belong to two differentiations",
        {
          _ = try valueWithPullback(of: [x]) { outer in
            try valueWithPullback(of: [x]) { [try stack([x, outer[0], $0[0]])] }.values
          }
        }
      ),
      (
        "valueWithPullback: a value belongs to another differentiation",
        {
          _ = try valueWithPullback(of: [x]) { outer in
            try valueWithPullback(of: [x]) { [$0[0], outer[0]] }.values
          }
        }
      ),
    ]
    for (expected, body) in cases { #expect(text(body) == expected) }
  }

  @Test func operandsOnTwoBackends() throws {
    let x = try x.get()
    let y = try x.moved(to: other)
    let weight = try Tensor([1, 1, 1], shape: [3], on: other)
    let ids = try TokenIDs([0, 1], on: other)
    let here = try SequenceOffsets(lengths: [2])
    let there = try SequenceOffsets(lengths: [2], on: other)
    let mask = try Tensor([0, 0], shape: [2], on: other)
    let operations: [(String, () throws -> Void)] = [
      ("add", { _ = try add(x, y) }),
      ("gatedGELU", { _ = try gatedGELU(gate: x, up: y) }),
      ("linear", { _ = try linear(x, y) }),
      ("linear", { _ = try linear(x, x, adding: y) }),
      ("rmsNorm", { _ = try rmsNorm(x, weight: weight, epsilon: 0) }),
      ("stack", { _ = try stack([x, y]) }),
      ("rowDot", { _ = try rowDot(x, y) }),
      ("cosineDistance", { _ = try cosineDistance(x, y) }),
      ("gather", { _ = try gather(x, rows: ids) }),
      ("crossEntropy", { _ = try crossEntropy(logits: x, targets: ids) }),
      ("crossEntropy", { _ = try crossEntropy(states: x, table: x, scale: 1, targets: ids) }),
      (
        "crossEntropy",
        { _ = try crossEntropy(states: x, table: y, scale: 1, targets: TokenIDs([0, 0])) }
      ),
      (
        "crossEntropy",
        {
          _ = try crossEntropy(
            states: x, table: x, scale: 1, targets: TokenIDs([0, 0]), mask: mask)
        }
      ),
      (
        "identifierRepresentation",
        {
          _ = try identifierRepresentation(states: x, table: y, scale: 1, temperature: 1, mask: nil)
        }
      ),
      ("bestTokens", { _ = try bestTokens(states: x, table: x, scale: 1, mask: mask) }),
      (
        "attention",
        {
          _ = try attention(
            queries: x, keys: x, values: y, heads: 1, queryOffsets: here, keyOffsets: here)
        }
      ),
      (
        "attention",
        {
          _ = try attention(
            queries: x, keys: x, values: x, heads: 1, queryOffsets: here, keyOffsets: there)
        }
      ),
      ("pullback", { _ = try valueWithPullback(of: [x]) { $0 }.pullback([y]) }),
      (
        "gradient of a",
        {
          var (first, second) = (Gradients(), Gradients())
          first["a"] = x
          second["a"] = y
          try first.add(second)
        }
      ),
    ]
    for (name, body) in operations {
      #expect(
        text(body)
          == "\(name): operands live on different backends, cpu and cpu; move one of them")
    }
  }

  @Test func memoryThatThereIsNot() {
    #expect(
      text { _ = try Tensor(unset: [1 << 55], on: other) }
        == "cpu: no memory for 144115188075855872 bytes beside 0 in use; a smaller batch or chunk needs less"
    )
    #expect(other.peakByteCount == 0)
    #expect(
      TensorError.backendFailure(backend: "gpu", reason: "it is lost").description
        == "gpu: it is lost")
  }
}

/// A device: memory, and the arithmetic on it.
///
/// The contract, the same for every operation:
/// - the caller allocates outputs, has checked every extent, and keeps the storages alive;
/// - nothing is checked and no tensor is allocated inside a backend;
/// - work happens in the order of the calls; `download` and `synchronize` wait for it, and report
///   what failed on the way;
/// - matrices are row-major; `accumulating` adds to the destination, otherwise it is overwritten
///   and may hold anything before.
///
/// Forward and backward of an operation stand side by side. Equations are those of the operation
/// layer, which holds all checks and all knowledge of tapes.
public protocol Backend: AnyObject, Sendable {
  /// What to call the device in messages.
  var name: String { get }
  /// Whether multiplications are cheap beside memory and the number of operations, as with matrix
  /// units; without them the number of multiplications decides between two ways to the same result.
  var hasMatrixUnits: Bool { get }

  // MARK: Memory

  /// Memory of `byteCount` bytes, aligned to 64; zero bytes are allowed.
  func allocate(byteCount: Int) throws(TensorError) -> UnsafeMutableRawPointer
  /// Gives memory back, once the work issued so far no longer needs it.
  func free(_ address: UnsafeMutableRawPointer, byteCount: Int)
  /// Gives some of the free memory back to the system until it is used again, gaps first.
  ///
  /// For work in equal parts, after each; see `MemoryPool.discardIdle`.
  func discardIdleMemory()
  /// Copies host memory in; the source may be reused at once.
  func upload(_ bytes: UnsafeRawBufferPointer, to region: Region)
  /// Waits, then copies to host memory.
  func download(_ region: Region, into bytes: UnsafeMutableRawBufferPointer) throws(TensorError)
  /// Copies `count` elements.
  func copy(_ source: Region, to destination: Region, count: Int)
  /// Copies (or adds) rows of `width` elements between matrices with their own row strides.
  func copyRows(
    _ source: Region, stride sourceStride: Int, to destination: Region,
    stride destinationStride: Int, rows: Int, width: Int, accumulating: Bool)
  /// stacked[b, t] = steps[t][b], for steps of `rows` rows.
  func stack(_ steps: [Region], into stacked: Region, rows: Int, width: Int)
  /// steps[t][b] = stacked[b, t], or added to that; no two steps are one, and a step that is nil is
  /// passed over.
  func unstack(
    _ stacked: Region, into steps: [(region: Region, accumulating: Bool)?], rows: Int, width: Int)
  /// Sets `count` elements.
  func fill(_ region: Region, with value: Float, count: Int)
  /// Waits for all work issued so far.
  func synchronize() throws(TensorError)
  /// Takes down the work that `body` gives to this backend, without doing it, so that it can be done
  /// again and again as one piece; nil where a backend does not do that, or not this work.
  ///
  /// `body` may read no results. What it reads of the device's memory must outlive the recording, and
  /// what it makes is the recording's. The same work must have been done before: what is made once and
  /// kept, such as rounded weights, must be there.
  func recording(of body: () throws -> Tensor) -> (any RecordedWork)?

  // MARK: Products

  /// C = alpha op(A) op(B) + beta C.
  func matrixProduct(_ product: MatrixProduct)
  /// Several products of equal extents.
  func matrixProducts(_ products: MatrixProductBatch)

  // MARK: Elementwise

  /// y += scale x.
  func addScaled(_ x: Region, scale: Float, to y: Region, count: Int)
  /// y = scale x.
  func scale(_ x: Region, by scale: Float, into y: Region, count: Int)
  /// y = max(x, 0).
  func relu(_ x: Region, into y: Region, count: Int)
  /// dx = dy where y > 0.
  func reluBackward(y: Region, dy: Region, dx: Region, count: Int, accumulating: Bool)
  /// y = gelu(gate) up, with the tanh form of gelu.
  func gatedGELU(gate: Region, up: Region, into y: Region, count: Int)
  /// The gradients of `gatedGELU`.
  func gatedGELUBackward(
    gate: Region, up: Region, dy: Region, dGate: Region, dUp: Region, count: Int,
    accumulatingGate: Bool, accumulatingUp: Bool)
  /// y = x / (1 - rate) where the random number of the element is at least `rate`, else 0. Element
  /// i has number `first + i`. The backward is the same call on the gradient.
  func dropout(
    _ x: Region, rate: Float, key: RandomKey, first: Int, into y: Region, count: Int,
    accumulating: Bool)

  // MARK: Rows

  /// y = x weight / rms(x) for each row; `inverse` keeps 1 / rms.
  func rmsNorm(
    _ x: Region, weight: Region, epsilon: Float, into y: Region, inverse: Region, rows: Int,
    width: Int)
  /// The gradients of `rmsNorm`; that of the weight always accumulates.
  func rmsNormBackward(
    x: Region, weight: Region, inverse: Region, dy: Region, dx: Region, dWeight: Region?,
    rows: Int, width: Int, accumulating: Bool)
  /// x = softmax(scale (x + mask)) for each row, in place. The mask is one row of 0 and -infinity.
  /// A row of nothing but -infinity becomes NaN.
  func softmax(_ x: Region, mask: Region?, scale: Float, rows: Int, width: Int)
  /// dy = scale y (dy - sum(y dy)) for each row, in place.
  func softmaxBackward(y: Region, dy: Region, scale: Float, rows: Int, width: Int)
  /// Each row's -log softmax at its target; the logits become scale (softmax - one hot). A target
  /// below 0 counts for nothing.
  func crossEntropy(
    _ logits: Region, targets: Region, scale: Float, losses: Region, rows: Int, width: Int)
  /// x += mask for each row.
  func addMask(_ mask: Region, to x: Region, rows: Int, width: Int)
  /// The first greatest element of each row that the mask leaves, and its value. What is not a
  /// number is passed over; where nothing is left, the element is 0 and the value -infinity.
  func argMax(
    _ x: Region, mask: Region?, indices: Region, values: Region, rows: Int, width: Int)
  /// Leaves of a matrix, in place, the columns in which some row has at least `least` or what is not
  /// a number, lists them in `columns`, which has room for `width`, and gives their number.
  ///
  /// Nil, with the matrix as it was, where they are more than `limit` or a backend has no use for it: the
  /// number has to be known to the caller, who would wait for the device.
  func keepColumns(
    of x: Region, atLeast least: Float, atMost limit: Int, columns: Region, rows: Int, width: Int
  ) -> Int?
  /// out[r] = sum_i a[r, i] b[r, i].
  func rowDot(_ a: Region, _ b: Region, into out: Region, rows: Int, width: Int)
  /// y[r, i] = scale[r] x[r, i].
  func rowScale(
    _ x: Region, by scale: Region, into y: Region, rows: Int, width: Int, accumulating: Bool)
  /// out[r] = 1 - cos(a[r], b[r]), computed in double; 1 where a row is zero.
  func cosineDistance(_ a: Region, _ b: Region, into out: Region, rows: Int, width: Int)
  /// The gradients of `cosineDistance`.
  func cosineDistanceBackward(
    _ a: Region, _ b: Region, dOut: Region, dA: Region, dB: Region, rows: Int, width: Int,
    accumulatingA: Bool, accumulatingB: Bool)

  // MARK: Tables

  /// out[i] = table[rows[i]].
  func gather(_ table: Region, rows: Region, into out: Region, count: Int, width: Int)
  /// table[rows[i]] += x[i], in an order that does not change from run to run.
  func scatterAdd(_ x: Region, rows: Region, into table: Region, count: Int, width: Int)

  // MARK: Attention

  /// Multi-head attention on packed sequences.
  func attention(_ attention: AttentionArguments)
  /// The gradients of `attention`.
  func attentionBackward(_ attention: AttentionArguments, _ gradients: AttentionGradients)

  // MARK: Reductions and the optimiser

  /// out[0] = scale * sum of x.
  func sum(_ x: Region, scale: Float, into out: Region, count: Int)
  /// out[i] = sum of the squares of the i-th of several runs of elements.
  func sumsOfSquares(_ runs: [(x: Region, count: Int)], into out: Region)
  /// One step of AdamW on each of several parameters, in place; none is listed twice.
  func adamW(_ updates: [AdamWUpdate])
}

/// C[m, n] = alpha op(A)[m, k] op(B)[k, n] + beta C; a stride is the distance between rows as they
/// lie in memory.
public struct MatrixProduct: Sendable {
  /// Rows of C, columns of C, and the extent that is summed over.
  public var m: Int, n: Int, k: Int
  /// The operands and the result.
  public var a: Region, b: Region, c: Region
  /// Whether A lies in memory as `[k, m]`, B as `[n, k]`.
  public var transposeA = false, transposeB = false
  /// The factors.
  public var alpha: Float = 1, beta: Float = 0
  /// Whether C may be left in the precision that factors of products have on the backend, because
  /// that is enough for what reads it: products, activations, attention and norms' gradients.
  public var isRoundable = false

  /// A product with its extents, operands and factors.
  public init(
    m: Int, n: Int, k: Int, a: Region, b: Region, c: Region, transposeA: Bool = false,
    transposeB: Bool = false, alpha: Float = 1, beta: Float = 0, isRoundable: Bool = false
  ) {
    (self.m, self.n, self.k) = (m, n, k)
    (self.a, self.b, self.c) = (a, b, c)
    (self.transposeA, self.transposeB) = (transposeA, transposeB)
    (self.alpha, self.beta, self.isRoundable) = (alpha, beta, isRoundable)
  }
}

/// Products of equal extents, C_i[m, n] = op(A_i)[m, k] op(B_i)[k, n] + beta C_i, whose matrices may
/// be columns of wider ones.
public struct MatrixProductBatch: Sendable {
  /// One side of all products: matrix i begins `i step` elements behind the region, and its rows as
  /// they lie in memory are `stride` elements apart.
  public struct Matrices: Sendable {
    /// Where the first matrix begins.
    public var region: Region
    /// The distance between rows, and between matrices.
    public var stride: Int, step: Int

    /// Matrices in a region.
    public init(_ region: Region, stride: Int, step: Int) {
      (self.region, self.stride, self.step) = (region, stride, step)
    }
  }

  /// The number of products, rows of C, columns of C, and the extent that is summed over.
  public var count: Int, m: Int, n: Int, k: Int
  /// The operands and the results.
  public var a: Matrices, b: Matrices, c: Matrices
  /// Whether each A lies in memory as `[k, m]`, each B as `[n, k]`.
  public var transposeA: Bool, transposeB: Bool
  /// The factor of what C holds before.
  public var beta: Float

  /// Products with their extents, operands and factor.
  public init(
    count: Int, m: Int, n: Int, k: Int, a: Matrices, b: Matrices, c: Matrices,
    transposeA: Bool = false, transposeB: Bool = false, beta: Float = 0
  ) {
    (self.count, self.m, self.n, self.k) = (count, m, n, k)
    (self.a, self.b, self.c) = (a, b, c)
    (self.transposeA, self.transposeB) = (transposeA, transposeB)
    self.beta = beta
  }
}

/// The numbers of one AdamW step.
public struct AdamWStep: Sendable {
  /// The learning rate.
  public var rate: Float
  /// The decay of the two moments.
  public var beta1: Float, beta2: Float
  /// What keeps the division finite.
  public var epsilon: Float
  /// The decoupled weight decay.
  public var decay: Float
  /// 1 - beta^t for the two moments.
  public var correction1: Float, correction2: Float
  /// What the gradient is multiplied with first (clipping, accumulation).
  public var gradientScale: Float

  /// The numbers of update number `update`, counted from 1.
  public init(
    rate: Float, beta1: Float, beta2: Float, epsilon: Float, decay: Float, update: Int,
    gradientScale: Float = 1
  ) {
    self.rate = rate
    self.beta1 = beta1
    self.beta2 = beta2
    self.epsilon = epsilon
    self.decay = decay
    self.gradientScale = gradientScale
    correction1 = Float(1 - Self.power(beta1, update))
    correction2 = Float(1 - Self.power(beta2, update))
  }

  private static func power(_ base: Float, _ exponent: Int) -> Double {
    var (result, square, rest) = (1.0, Double(base), max(exponent, 0))
    while rest > 0 {
      if rest & 1 == 1 { result *= square }
      square *= square
      rest >>= 1
    }
    return result
  }
}

/// One step of AdamW on one parameter.
public struct AdamWUpdate: Sendable {
  /// What is read, and what is written over; `count` elements each.
  public var gradient: Region, weight: Region, firstMoment: Region, secondMoment: Region
  /// How many elements the parameter has.
  public var count: Int
  /// The numbers of the step.
  public var step: AdamWStep

  /// A step on a parameter.
  public init(
    gradient: Region, weight: Region, firstMoment: Region, secondMoment: Region, count: Int,
    step: AdamWStep
  ) {
    (self.gradient, self.weight) = (gradient, weight)
    (self.firstMoment, self.secondMoment) = (firstMoment, secondMoment)
    (self.count, self.step) = (count, step)
  }
}

/// Operands and results of multi-head attention on packed sequences.
///
/// For sequence s and head h, with the rows of s and the columns of h:
/// `output = dropout(softmax(Q Kᵀ + bias)) V`. T5 does not scale the product. Query i of a sequence
/// stands at key position `i + keys - queries`.
public struct AttentionArguments: Sendable {
  /// The number of sequences and of heads, and the width of a head.
  public var sequences: Int, heads: Int, headWidth: Int
  /// The longest sequence of queries and of keys.
  public var longestQueries: Int, longestKeys: Int
  /// All rows of queries and of keys.
  public var totalQueries: Int, totalKeys: Int
  /// Whether a query sees only keys up to its own position.
  public var isCausal: Bool
  /// [totalQueries, heads headWidth], [totalKeys, heads headWidth] twice.
  public var queries: Region, keys: Region, values: Region
  /// [sequences + 1] row numbers.
  public var queryOffsets: Region, keyOffsets: Region
  /// The relative position bias, if the layer has one.
  public var bias: Bias?
  /// The dropout of the probabilities, if there is one.
  ///
  /// Row r of the queries, head h and key j of its sequence have the number
  /// `((firstRow + r) heads + h) randomNumbersPerRow + j`.
  public var dropout: DropoutMask?
  /// [totalQueries, heads headWidth].
  public var output: Region
  /// [heads, totalQueries]: the logarithm of each softmax's denominator, kept for the backward.
  public var logSums: Region

  /// How many random numbers each row of probabilities has for itself, whatever the lengths of the
  /// other sequences.
  public static let randomNumbersPerRow = 1 << 20

  /// Attention with its extents, operands and results.
  public init(
    sequences: Int, heads: Int, headWidth: Int, longestQueries: Int, longestKeys: Int,
    totalQueries: Int, totalKeys: Int, isCausal: Bool, queries: Region, keys: Region,
    values: Region, queryOffsets: Region, keyOffsets: Region, bias: Bias?,
    dropout: DropoutMask?, output: Region, logSums: Region
  ) {
    (self.sequences, self.heads, self.headWidth) = (sequences, heads, headWidth)
    (self.longestQueries, self.longestKeys) = (longestQueries, longestKeys)
    (self.totalQueries, self.totalKeys) = (totalQueries, totalKeys)
    self.isCausal = isCausal
    (self.queries, self.keys, self.values) = (queries, keys, values)
    (self.queryOffsets, self.keyOffsets) = (queryOffsets, keyOffsets)
    (self.bias, self.dropout) = (bias, dropout)
    (self.output, self.logSums) = (output, logSums)
  }

  /// The bias of a head for a distance d between key and query position:
  /// `table[bucketOfDistance[d + reach], head]`.
  public struct Bias: Sendable {
    /// [buckets, heads].
    public var table: Region
    /// [2 reach + 1] bucket numbers.
    public var bucketOfDistance: Region
    /// The greatest distance that occurs.
    public var reach: Int

    /// A bias with its table and its buckets.
    public init(table: Region, bucketOfDistance: Region, reach: Int) {
      (self.table, self.bucketOfDistance, self.reach) = (table, bucketOfDistance, reach)
    }
  }
}

/// The gradients that attention's backward reads and writes.
public struct AttentionGradients: Sendable {
  /// The gradient of the output.
  public var dOutput: Region
  /// The gradients of the operands.
  public var dQueries: Region, dKeys: Region, dValues: Region
  /// Whether each is added to.
  public var accumulatingQueries: Bool, accumulatingKeys: Bool, accumulatingValues: Bool
  /// The gradient of the bias table, always added to.
  public var dBias: Region?

  /// The gradient that is read, and those that are written.
  public init(
    dOutput: Region, dQueries: Region, dKeys: Region, dValues: Region, accumulatingQueries: Bool,
    accumulatingKeys: Bool, accumulatingValues: Bool, dBias: Region?
  ) {
    self.dOutput = dOutput
    (self.dQueries, self.dKeys, self.dValues) = (dQueries, dKeys, dValues)
    self.accumulatingQueries = accumulatingQueries
    self.accumulatingKeys = accumulatingKeys
    self.accumulatingValues = accumulatingValues
    self.dBias = dBias
  }
}

/// Work that a device does again as one piece.
public protocol RecordedWork: AnyObject, Sendable {
  /// Writes ids where the work reads them, and gives a copy of what it makes of them; nil if it can no
  /// longer be done, because what it reads is gone.
  ///
  /// Several threads may ask.
  func result(for ids: [Int32], in region: Region) throws(TensorError) -> Tensor?
}

extension Backend {
  /// Step by step.
  public func stack(_ steps: [Region], into stacked: Region, rows: Int, width: Int) {
    for (index, step) in steps.enumerated() {
      copyRows(
        step, stride: width, to: stacked.advanced(by: index * width), stride: steps.count * width,
        rows: rows, width: width, accumulating: false)
    }
  }

  /// Step by step.
  public func unstack(
    _ stacked: Region, into steps: [(region: Region, accumulating: Bool)?], rows: Int, width: Int
  ) {
    for (index, step) in steps.enumerated() {
      guard let step else { continue }
      copyRows(
        stacked.advanced(by: index * width), stride: steps.count * width, to: step.region,
        stride: width, rows: rows, width: width, accumulating: step.accumulating)
    }
  }

  /// Memory costs the same wherever it is.
  public func discardIdleMemory() {}

  /// Nothing is recorded.
  public func recording(of body: () throws -> Tensor) -> (any RecordedWork)? { nil }

  /// Columns are not left out.
  public func keepColumns(
    of x: Region, atLeast least: Float, atMost limit: Int, columns: Region, rows: Int, width: Int
  ) -> Int? { nil }

  /// No.
  public var hasMatrixUnits: Bool { false }
}

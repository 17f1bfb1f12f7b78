import CGLENKernels

extension CPUBackend {
  /// Splits rows so that a part has at least about `elements` elements.
  private func parallelRows(
    _ rows: Int, width: Int, elements: Int = 1 << 14, _ body: (Range<Int>) -> Void
  ) {
    parallel(rows, grain: 1 + elements / max(width, 1), body)
  }

  /// y = x weight / rms(x).
  public func rmsNorm(
    _ x: Region, weight: Region, epsilon: Float, into y: Region, inverse: Region, rows: Int,
    width: Int
  ) {
    let (x, weight, y, inverse) = (x.floats, weight.floats, y.floats, inverse.floats)
    parallelRows(rows, width: width) {
      let i = $0.lowerBound
      glen_rms_norm(
        $0.count, width, epsilon, x + i * width, weight, y + i * width, inverse + i)
    }
  }

  /// The gradients of `rmsNorm`.
  public func rmsNormBackward(
    x: Region, weight: Region, inverse: Region, dy: Region, dx: Region, dWeight: Region?,
    rows: Int, width: Int, accumulating: Bool
  ) {
    let (x, weight, inverse) = (x.floats, weight.floats, inverse.floats)
    let (dy, dx) = (dy.floats, dx.floats)
    // Each part sums the weight's gradient for itself; the parts are added in order. How many there
    // are depends on the extents alone, so that the sum is the same for any number of threads.
    let parts = max(1, min(32, (rows * width) >> 14))
    let partial = UnsafeMutablePointer<Float>.allocate(capacity: parts * width)
    defer { partial.deallocate() }
    partial.initialize(repeating: 0, count: parts * width)
    parallel(parts, grain: 1) {
      for part in $0 {
        let first = rows * part / parts
        let count = rows * (part + 1) / parts - first
        glen_rms_norm_backward(
          count, width, x + first * width, weight, inverse + first, dy + first * width,
          dx + first * width, partial + part * width, accumulating ? 1 : 0)
      }
    }
    guard let dWeight else { return }
    for part in 0..<parts { glen_add_scaled(width, 1, partial + part * width, dWeight.floats) }
  }

  /// Softmax of each row, in place.
  public func softmax(_ x: Region, mask: Region?, scale: Float, rows: Int, width: Int) {
    let (x, mask) = (x.floats, mask?.floats)
    parallelRows(rows, width: width) {
      glen_softmax($0.count, width, scale, mask, x + $0.lowerBound * width)
    }
  }

  /// The gradient of `softmax`, in place.
  public func softmaxBackward(y: Region, dy: Region, scale: Float, rows: Int, width: Int) {
    let (y, dy) = (y.floats, dy.floats)
    parallelRows(rows, width: width) {
      let i = $0.lowerBound * width
      glen_softmax_backward($0.count, width, scale, y + i, dy + i)
    }
  }

  /// Losses and gradient of the logits, in place.
  public func crossEntropy(
    _ logits: Region, targets: Region, scale: Float, losses: Region, rows: Int, width: Int
  ) {
    let (logits, targets, losses) = (logits.floats, targets.integers, losses.floats)
    parallelRows(rows, width: width) {
      let i = $0.lowerBound
      glen_cross_entropy($0.count, width, scale, targets + i, logits + i * width, losses + i)
    }
  }

  /// x += mask for each row.
  public func addMask(_ mask: Region, to x: Region, rows: Int, width: Int) {
    let (mask, x) = (mask.floats, x.floats)
    parallelRows(rows, width: width) {
      for row in $0 { glen_add_scaled(width, 1, mask, x + row * width) }
    }
  }

  /// The first greatest element of each row.
  public func argMax(
    _ x: Region, mask: Region?, indices: Region, values: Region, rows: Int, width: Int
  ) {
    let (x, mask, indices, values) = (x.floats, mask?.floats, indices.integers, values.floats)
    parallelRows(rows, width: width) {
      let i = $0.lowerBound
      glen_arg_max($0.count, width, mask, x + i * width, indices + i, values + i)
    }
  }

  /// The dot product of each pair of rows.
  public func rowDot(_ a: Region, _ b: Region, into out: Region, rows: Int, width: Int) {
    let (a, b, out) = (a.floats, b.floats, out.floats)
    parallelRows(rows, width: width) {
      let i = $0.lowerBound
      glen_row_dot($0.count, width, a + i * width, b + i * width, out + i)
    }
  }

  /// Each row times its factor.
  public func rowScale(
    _ x: Region, by scale: Region, into y: Region, rows: Int, width: Int, accumulating: Bool
  ) {
    let (x, scale, y) = (x.floats, scale.floats, y.floats)
    if rows == 1 {
      // One long row: a whole tensor times a scalar.
      parallel(width, grain: 1 << 15) {
        let i = $0.lowerBound
        glen_row_scale(1, $0.count, scale, x + i, y + i, accumulating ? 1 : 0)
      }
      return
    }
    parallelRows(rows, width: width) {
      let i = $0.lowerBound
      glen_row_scale(
        $0.count, width, scale + i, x + i * width, y + i * width, accumulating ? 1 : 0)
    }
  }

  /// The cosine distance of each pair of rows.
  public func cosineDistance(_ a: Region, _ b: Region, into out: Region, rows: Int, width: Int) {
    let (a, b, out) = (a.floats, b.floats, out.floats)
    parallelRows(rows, width: width) {
      let i = $0.lowerBound
      glen_cosine_distance($0.count, width, a + i * width, b + i * width, out + i)
    }
  }

  /// The gradients of `cosineDistance`.
  public func cosineDistanceBackward(
    _ a: Region, _ b: Region, dOut: Region, dA: Region, dB: Region, rows: Int, width: Int,
    accumulatingA: Bool, accumulatingB: Bool
  ) {
    let (a, b, dOut, dA, dB) = (a.floats, b.floats, dOut.floats, dA.floats, dB.floats)
    parallelRows(rows, width: width) {
      let i = $0.lowerBound
      glen_cosine_distance_backward(
        $0.count, width, a + i * width, b + i * width, dOut + i, dA + i * width, dB + i * width,
        accumulatingA ? 1 : 0, accumulatingB ? 1 : 0)
    }
  }

  /// Rows of a table.
  public func gather(_ table: Region, rows: Region, into out: Region, count: Int, width: Int) {
    let (table, rows, out) = (table.floats, rows.integers, out.floats)
    parallelRows(count, width: width) {
      let i = $0.lowerBound
      glen_gather($0.count, width, table, rows + i, out + i * width)
    }
  }

  /// Adds to rows of a table; threads share the columns, so that no two write the same element and
  /// each element's sum has one order.
  public func scatterAdd(_ x: Region, rows: Region, into table: Region, count: Int, width: Int) {
    let (x, rows, table) = (x.floats, rows.integers, table.floats)
    parallel(width, grain: 16 + (1 << 14) / max(count, 1)) {
      glen_scatter_add(count, width, $0.lowerBound, $0.upperBound, x, rows, table)
    }
  }

  /// Leaves out the columns in which no row has much.
  public func keepColumns(
    of x: Region, atLeast least: Float, atMost limit: Int, columns: Region, rows: Int, width: Int
  ) -> Int? {
    let (x, columns) = (x.floats, columns.integers)
    var count = 0
    // A few rows often tell already that there are too many.
    for looked in Set([min(rows, 8), rows]).sorted() {
      parallel(width, grain: 1 + (1 << 16) / max(looked, 1)) {
        glen_mark_columns(looked, width, $0.lowerBound, $0.upperBound, least, x, columns)
      }
      // The list takes the place of the marks: it is never longer than what has been read of them.
      count = 0
      for column in 0..<width where columns[column] != 0 {
        columns[count] = Int32(column)
        count += 1
      }
      if count > limit { return nil }
    }
    glen_keep_columns(rows, width, count, columns, x)
    return count
  }
}

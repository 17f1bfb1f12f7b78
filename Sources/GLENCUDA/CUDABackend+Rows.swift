import GLENTensor

/// The kernels of `rmsNorm`, and of both its gradients at once, for rows of a usual width that a warp
/// reads four numbers at a time.
private struct FourRows {
  let norm: Kernel, gradients: Kernel

  /// Those for the width, where there are any.
  init?(width: Int, regions: Region...) {
    guard regions.allSatisfy({ $0.offset % 4 == 0 }) else { return nil }
    switch width {
    case 256: (norm, gradients) = (.rmsNorm256, .rmsNormGradients256)
    case 512: (norm, gradients) = (.rmsNorm512, .rmsNormGradients512)
    case 768: (norm, gradients) = (.rmsNorm768, .rmsNormGradients768)
    case 1024: (norm, gradients) = (.rmsNorm1024, .rmsNormGradients1024)
    default: return nil
    }
  }
}

extension CUDABackend {
  /// Starts a kernel with one column of blocks a row, of as many threads as the row has work for.
  func launchRows(_ kernel: Kernel, rows: Int, width: Int, _ arguments: KernelArgument...) {
    guard width > 0 else { return }
    let threads = Self.threads(for: width)
    let columns = min((width + 4 * threads - 1) / (4 * threads), 4096)
    launch(kernel, blocks: (rows, columns, 1), threads: threads, all: arguments)
  }

  /// Starts a kernel with one block a row.
  private func launchWholeRows(
    _ kernel: Kernel, rows: Int, width: Int, _ arguments: KernelArgument...
  ) {
    launch(kernel, blocks: (rows, 1, 1), threads: Self.threads(for: width), all: arguments)
  }

  /// Whole warps.
  private static func threads(for width: Int) -> Int {
    min(max(width + 31, 32) / 32 * 32, Kernel.threads)
  }

  /// y = x weight / rms(x).
  public func rmsNorm(
    _ x: Region, weight: Region, epsilon: Float, into y: Region, inverse: Region, rows: Int,
    width: Int
  ) {
    let rounded = roundedTarget(y, count: rows * width)
    let isAlone = isAlone(rounded, count: rows * width)
    forgetRounded(y)
    let result = KernelArgument.settled(isAlone ? nil : y)
    if let kernels = FourRows(width: width, regions: x, weight, y) {
      let rowsOfBlock = Kernel.threads / 32
      launch(
        kernels.norm, blocks: ((rows + rowsOfBlock - 1) / rowsOfBlock, 1, 1), .input(x),
        .input(weight), result, .at(inverse), .count(rows), .number(epsilon), .address(rounded))
    } else {
      launchWholeRows(
        .rmsNorm, rows: rows, width: width, .input(x), .input(weight), result, .at(inverse),
        .count(width), .number(epsilon), .address(rounded))
    }
    keep(rounded, of: y, count: rows * width, isAlone: isAlone)
  }

  /// The gradients of `rmsNorm`.
  public func rmsNormBackward(
    x: Region, weight: Region, inverse: Region, dy: Region, dx: Region, dWeight: Region?,
    rows: Int, width: Int, accumulating: Bool
  ) {
    guard rows > 0 else { return }
    // A row for each warp of a block, at least.
    let parts = min((rows + 7) / 8, 256), count = rows * width
    let kernels = FourRows(width: width, regions: x, weight, dy, dx)
    if let dWeight {
      withScratch(floats: parts * width) { memory in
        if let kernels {
          // The layer below multiplies with it.
          let rounded = roundedTarget(dx, count: count)
          let dy = Self.source(dy, count: count)
          launch(
            kernels.gradients, blocks: (parts, 1, 1), .input(x), .input(weight), .input(inverse),
            dy.elements, dy.halves, accumulating ? .at(dx) : .replacing(dx, count: count),
            .address(memory), .count(rows), .flag(accumulating), .address(rounded))
          keep(rounded, of: dx, count: count)
        } else {
          // First: dx may be where dy is.
          launchRows(
            .rmsNormWeightParts, rows: parts, width: width, .input(x), .input(inverse), .input(dy),
            .address(memory), .count(rows), .count(width))
        }
        launch(
          .addParts, blocks: ((width + 31) / 32, 1, 1), .address(memory), .count(parts),
          .at(dWeight), .count(width))
      }
      if kernels != nil { return }
    }
    launchWholeRows(
      .rmsNormBackward, rows: rows, width: width, .input(x), .input(weight), .input(inverse),
      .input(dy), .at(dx), .count(width), .flag(accumulating))
  }

  /// Softmax of each row, in place.
  public func softmax(_ x: Region, mask: Region?, scale: Float, rows: Int, width: Int) {
    launchWholeRows(
      .softmax, rows: rows, width: width, .at(x), .at(mask), .number(scale), .count(width))
  }

  /// The gradient of `softmax`, in place.
  public func softmaxBackward(y: Region, dy: Region, scale: Float, rows: Int, width: Int) {
    launchWholeRows(
      .softmaxBackward, rows: rows, width: width, .at(y), .at(dy), .number(scale), .count(width))
  }

  /// Losses and gradient of the logits, in place.
  public func crossEntropy(
    _ logits: Region, targets: Region, scale: Float, losses: Region, rows: Int, width: Int
  ) {
    launchWholeRows(
      .crossEntropy, rows: rows, width: width, .at(logits), .at(targets), .number(scale),
      .at(losses), .count(width))
  }

  /// x += mask for each row.
  public func addMask(_ mask: Region, to x: Region, rows: Int, width: Int) {
    launchRows(.addMask, rows: rows, width: width, .at(mask), .at(x), .count(width))
  }

  /// The first greatest element of each row.
  public func argMax(
    _ x: Region, mask: Region?, indices: Region, values: Region, rows: Int, width: Int
  ) {
    launchWholeRows(
      .argMax, rows: rows, width: width, .input(x), .input(mask), .at(indices), .at(values),
      .count(width))
  }

  /// The dot product of each pair of rows.
  public func rowDot(_ a: Region, _ b: Region, into out: Region, rows: Int, width: Int) {
    launchWholeRows(.rowDot, rows: rows, width: width, .at(a), .at(b), .at(out), .count(width))
  }

  /// Each row times its factor.
  public func rowScale(
    _ x: Region, by scale: Region, into y: Region, rows: Int, width: Int, accumulating: Bool
  ) {
    launchRows(
      .rowScale, rows: rows, width: width, .at(x), .at(scale), .at(y), .count(width),
      .flag(accumulating))
  }

  /// The cosine distance of each pair of rows.
  public func cosineDistance(_ a: Region, _ b: Region, into out: Region, rows: Int, width: Int) {
    launchWholeRows(
      .cosineDistance, rows: rows, width: width, .at(a), .at(b), .at(out), .count(width))
  }

  /// The gradients of `cosineDistance`.
  public func cosineDistanceBackward(
    _ a: Region, _ b: Region, dOut: Region, dA: Region, dB: Region, rows: Int, width: Int,
    accumulatingA: Bool, accumulatingB: Bool
  ) {
    launchWholeRows(
      .cosineDistanceBackward, rows: rows, width: width, .at(a), .at(b), .at(dOut), .at(dA),
      .at(dB), .count(width), .flag(accumulatingA), .flag(accumulatingB))
  }

  /// Rows of a table.
  public func gather(_ table: Region, rows: Region, into out: Region, count: Int, width: Int) {
    launchRows(
      .gather, rows: count, width: width, .input(table), .input(rows), .at(out), .count(width))
  }

  /// Adds to rows of a table, each row's additions in their order by one block.
  public func scatterAdd(_ x: Region, rows: Region, into table: Region, count: Int, width: Int) {
    launchRows(
      .scatterAdd, rows: count, width: width, .input(x), .input(rows), .count(count), .at(table),
      .count(width))
  }
}

/// A low precision of weights, for inference: products read fewer bytes and multiply more numbers at
/// once.
public enum LowPrecision: String, Sendable, Codable, CaseIterable {
  /// Eight bits and a scale for each row; activations are rounded to eight bits with a scale for each
  /// row, and products are summed exactly.
  case int8
  /// The upper half of a float32, for weights and activations; products are summed in float32.
  case bf16
}

/// A matrix of low precision in the order that the processor's products read it in.
///
/// `CGLENKernels/packed.c` describes the order.
final class PackedMatrix: Sendable {
  let precision: LowPrecision
  let rows: Int, columns: Int
  let values: Storage
  /// One number for each row; int8 only.
  let scales: Storage?
  /// The processor that holds it.
  let backend: CPUBackend

  /// The most columns of a matrix: the exact sums of int8 products have 32 bits.
  static let mostColumns = 65536

  init(
    _ precision: LowPrecision, rows: Int, columns: Int, values: Storage, scales: Storage?,
    on backend: CPUBackend
  ) {
    (self.precision, self.rows, self.columns) = (precision, rows, columns)
    (self.values, self.scales, self.backend) = (values, scales, backend)
  }

  /// The extents of the packed numbers: panels of 16 rows, groups of four bytes of a row, the rows of
  /// the panel, the numbers of the group.
  static func shape(_ precision: LowPrecision, rows: Int, columns: Int) -> [Int] {
    let numbers = precision == .int8 ? 4 : 2
    return [(rows + 15) / 16, (columns + numbers - 1) / numbers, 16, numbers]
  }
}

extension Tensor {
  /// What the values are rounded to; nil for float32, which all operations take.
  ///
  /// Low precision is for weights on the processor: `linear` multiplies with them, and `gather` and
  /// `bestTokens` look tables up. Everything else, differentiation included, is an error.
  public var precision: LowPrecision? { packed?.precision }

  /// The matrix in low precision, `[rows, columns]`.
  ///
  /// - Throws: `TensorError.invalidArgument` for a tensor that is not on the processor, is tracked, or
  ///   holds a value that is not a number; `.shapeMismatch` for other than a matrix of at most 65,536
  ///   columns; `.outOfMemory`.
  /// - Complexity: O(count).
  public func packed(as precision: LowPrecision) throws(TensorError) -> Tensor {
    _ = try Operation.tape("packed", self)
    try Operation.require(
      shape.count == 2 && width <= PackedMatrix.mostColumns, "packed",
      expected: "[rows, columns] with at most \(PackedMatrix.mostColumns) columns", got: "\(shape)")
    guard let backend = backend as? CPUBackend, !isTracked else {
      throw .invalidArgument(
        operation: "packed",
        reason: "low precision is for inference on the processor; pack an untracked tensor there")
    }
    guard try values().allSatisfy(\.isFinite) else {
      throw .invalidArgument(
        operation: "packed", reason: "a value is not a number; expected finite weights")
    }
    let packedShape = PackedMatrix.shape(precision, rows: shape[0], columns: shape[1])
    let byteCount = packedShape.product * (precision == .int8 ? 1 : 2)
    let matrix = PackedMatrix(
      precision, rows: shape[0], columns: shape[1],
      values: try Storage(byteCount: byteCount, on: backend),
      scales: precision == .int8 ? try Storage(byteCount: shape[0] * 4, on: backend) : nil,
      on: backend)
    backend.pack(region, into: matrix)
    return Tensor(matrix)
  }
}

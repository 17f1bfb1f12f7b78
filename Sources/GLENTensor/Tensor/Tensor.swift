/// A dense, row-major array of float32 values with value semantics.
///
/// Copies share memory. What writes in place (the optimiser, through `inout`, and a few operations and
/// pullbacks) does so only into memory that nobody else holds. An operation runs on the backend where its operands live. A tensor that belongs to a tape
/// (see `valueWithPullback`) makes every operation on it be recorded.
public struct Tensor: Sendable {
  /// The extents, slowest first.
  ///
  /// A scalar has the shape `[]`.
  public let shape: [Int]
  /// The memory; at least `count` elements.
  public internal(set) var storage: Storage
  /// This value's place on a tape, if it is being differentiated.
  var node: Node?
  /// The matrix of low precision that this is, if the memory holds other than float32.
  let packed: PackedMatrix?

  /// A tensor over existing memory.
  init(shape: [Int], storage: Storage, node: Node? = nil) {
    self.shape = shape
    self.storage = storage
    self.node = node
    self.packed = nil
  }

  /// A matrix of low precision.
  init(_ matrix: PackedMatrix) {
    shape = [matrix.rows, matrix.columns]
    storage = matrix.values
    packed = matrix
  }

  /// A tensor with unspecified contents.
  ///
  /// - Throws: `TensorError.invalidArgument` for an impossible shape, `.outOfMemory`.
  public init(unset shape: [Int], on backend: any Backend) throws(TensorError) {
    guard shape.isPossible else { throw Self.impossible(shape) }
    self.shape = shape
    storage = try Storage(byteCount: shape.product * 4, on: backend)
    packed = nil
  }

  /// A tensor filled with one value.
  ///
  /// - Throws: `TensorError.invalidArgument` for an impossible shape, `.outOfMemory`.
  public init(
    repeating value: Float, shape: [Int], on backend: any Backend = CPUBackend.shared
  ) throws(TensorError) {
    try self.init(unset: shape, on: backend)
    backend.fill(region, with: value, count: count)
  }

  /// A tensor with the given values.
  ///
  /// - Throws: `TensorError.shapeMismatch` if the number of values is not the shape's,
  ///   `.invalidArgument` for an impossible shape, `.outOfMemory`.
  public init(
    _ values: [Float], shape: [Int], on backend: any Backend = CPUBackend.shared
  ) throws(TensorError) {
    guard shape.isPossible else { throw Self.impossible(shape) }
    guard values.count == shape.product else {
      throw .shapeMismatch(
        operation: "Tensor", expected: "\(shape.product) values for \(shape)",
        got: "\(values.count)")
    }
    try self.init(unset: shape, on: backend)
    values.withUnsafeBytes { backend.upload($0, to: region) }
  }

  private static func impossible(_ shape: [Int]) -> TensorError {
    .invalidArgument(operation: "Tensor", reason: "no tensor can have the shape \(shape)")
  }

  /// The backend that holds the values.
  public var backend: any Backend { storage.backend }
  /// The number of elements.
  public var count: Int { shape.product }
  /// The extent of the last dimension; 1 for a scalar.
  public var width: Int { shape.last ?? 1 }
  /// The number of rows when all dimensions but the last are taken together.
  public var rows: Int { shape.dropLast().product }
  /// The whole of the memory.
  public var region: Region { Region(storage) }
  /// Whether operations on this tensor are recorded.
  public var isTracked: Bool { node != nil }

  /// The same values, outside any tape.
  public var detached: Tensor {
    packed.map(Tensor.init) ?? Tensor(shape: shape, storage: storage)
  }

  /// The values in row-major order, widened to float32.
  ///
  /// - Throws: `TensorError.backendFailure` if the device failed on the way here.
  public func values() throws(TensorError) -> [Float] {
    if packed != nil {
      return try gather(self, rows: TokenIDs((0..<shape[0]).map { Int32($0) }, on: backend))
        .values()
    }
    var result = [Float](repeating: 0, count: count)
    try unsafeDownload(region, into: &result)
    return result
  }

  /// The only element.
  ///
  /// - Throws: `TensorError.shapeMismatch` if there are more elements than one.
  public func scalar() throws(TensorError) -> Float {
    guard count == 1 else {
      throw .shapeMismatch(operation: "scalar", expected: "one element", got: "\(shape)")
    }
    return try values()[0]
  }

  /// The same values on another backend, in float32 there; no gradient flows back through it.
  ///
  /// - Throws: `TensorError.outOfMemory`.
  public func moved(to backend: any Backend) throws(TensorError) -> Tensor {
    if backend === self.backend { return detached }
    return try Tensor(values(), shape: shape, on: backend)
  }

  /// Whether nobody else has the memory.
  var isSole: Bool { mutating get { !storage.isBorrowed && isKnownUniquelyReferenced(&storage) } }

  /// Makes sure that nobody else sees what is written here next.
  ///
  /// - Throws: `TensorError.invalidArgument` for a tensor of low precision, which nobody writes to;
  ///   `.outOfMemory`.
  /// - Complexity: O(1) when the storage is unshared and not a mapped file's, otherwise one copy.
  public mutating func makeUnique() throws(TensorError) {
    if let precision { throw Operation.lowPrecision("makeUnique", precision) }
    if isSole { return }
    let copy = try Storage(byteCount: count * 4, on: backend)
    backend.copy(region, to: Region(copy), count: count)
    storage = copy
  }
}

/// Reads elements of four bytes from a backend into host memory.
func unsafeDownload<Element>(
  _ region: Region, into array: inout [Element]
) throws(TensorError) {
  let failure = array.withUnsafeMutableBytes { bytes -> TensorError? in
    do throws(TensorError) {
      try region.storage.backend.download(region, into: bytes)
      return nil
    } catch {
      return error
    }
  }
  if let failure { throw failure }
}

extension Collection where Element == Int {
  /// The product of all elements; 1 when there are none.
  var product: Int { reduce(1, *) }

  /// Whether these can be extents: none is negative, and the bytes of the elements can be counted.
  var isPossible: Bool {
    var byteCount = 4
    for extent in self {
      let (product, overflow) = byteCount.multipliedReportingOverflow(by: Swift.max(extent, 1))
      if extent < 0 || overflow { return false }
      byteCount = product
    }
    return true
  }
}

/// Token ids, or other row numbers, on a backend: whole numbers, never differentiated.
public struct TokenIDs: Sendable {
  /// The number of ids.
  public let count: Int
  /// The memory, four bytes an id.
  public let storage: Storage
  /// How many are zero or more; ids below zero mean "none" where an operation allows them.
  public let validCount: Int
  /// A number that every id is below.
  let upperBound: Int

  /// Ids from host memory.
  ///
  /// - Throws: `TensorError.outOfMemory`.
  public init(
    _ values: [Int32], on backend: any Backend = CPUBackend.shared
  ) throws(TensorError) {
    count = values.count
    validCount = values.count { $0 >= 0 }
    upperBound = Int(values.max() ?? -1) + 1
    storage = try Storage(byteCount: values.count * 4, on: backend)
    values.withUnsafeBytes { backend.upload($0, to: Region(storage)) }
  }

  /// Room for ids that an operation writes, each below `bound`.
  init(unset count: Int, below bound: Int, on backend: any Backend) throws(TensorError) {
    self.count = count
    validCount = count
    upperBound = bound
    storage = try Storage(byteCount: count * 4, on: backend)
  }

  /// The whole of the memory.
  public var region: Region { Region(storage) }

  /// The ids, on the host.
  ///
  /// - Throws: `TensorError.backendFailure`.
  public func values() throws(TensorError) -> [Int32] {
    var result = [Int32](repeating: 0, count: count)
    try unsafeDownload(region, into: &result)
    return result
  }
}

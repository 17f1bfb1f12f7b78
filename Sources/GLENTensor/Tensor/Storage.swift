/// A block of memory on a backend.
///
/// Tensors share storage and copy it before they write (`Tensor.makeUnique`), so a storage that is
/// reachable from two tensors is never written: that is the invariant behind `@unchecked Sendable`.
public final class Storage: @unchecked Sendable {
  /// Where the memory is and who works on it.
  public let backend: any Backend
  /// A host address on the CPU, a device address elsewhere.
  public let address: UnsafeMutableRawPointer
  /// The size in bytes.
  public let byteCount: Int
  /// Whoever frees the memory, if that is not the backend (a mapped file).
  private let owner: AnyObject?

  /// Memory with unspecified contents.
  ///
  /// - Throws: `TensorError.outOfMemory`.
  public init(byteCount: Int, on backend: any Backend) throws(TensorError) {
    self.backend = backend
    self.byteCount = byteCount
    self.address = try backend.allocate(byteCount: byteCount)
    self.owner = nil
  }

  /// Memory that somebody else owns; `owner` is kept alive as long as the storage.
  public init(
    borrowing address: UnsafeMutableRawPointer, byteCount: Int, owner: AnyObject,
    on backend: any Backend
  ) {
    self.backend = backend
    self.address = address
    self.byteCount = byteCount
    self.owner = owner
  }

  /// Whether somebody else owns the memory, and may have lent it to another storage too.
  var isBorrowed: Bool { owner != nil }

  deinit {
    if owner == nil { backend.free(address, byteCount: byteCount) }
  }
}

/// A place in a storage where an operation starts to read or write.
public struct Region: Sendable {
  /// The memory.
  public let storage: Storage
  /// The first element, counted in elements of four bytes.
  public let offset: Int

  /// The region that starts `offset` elements into `storage`.
  public init(_ storage: Storage, offset: Int = 0) {
    self.storage = storage
    self.offset = offset
  }

  /// The region that starts `count` elements later.
  public func advanced(by count: Int) -> Region { Region(storage, offset: offset + count) }
}

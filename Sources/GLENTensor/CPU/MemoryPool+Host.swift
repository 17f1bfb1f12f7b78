#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

extension MemoryPool {
  /// Host memory, aligned to 64, of which up to a gigabyte, or as much as is used, is kept.
  static func host() -> MemoryPool {
    MemoryPool(keeping: 1 << 30, growth: 0.5, obtain: hostMemory, release: releaseHostMemory)
  }
}

@Sendable private func hostMemory(_ size: Int) -> UnsafeMutableRawPointer? {
  var address: UnsafeMutableRawPointer?
  return posix_memalign(&address, 64, size) == 0 ? address : nil
}

/// `free` of the C library, which the pool's own would hide.
@Sendable private func releaseHostMemory(_ address: UnsafeMutableRawPointer) {
  free(address)
}

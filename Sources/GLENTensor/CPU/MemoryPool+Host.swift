import GLENPlatform

extension MemoryPool {
  /// Host memory, aligned to 64 and what is large to pages, of which up to a gigabyte, or as much as is used, is kept.
  static func host() -> MemoryPool {
    MemoryPool(
      keeping: 1 << 30, growth: 0.5, obtain: hostMemory, release: releaseHostMemory,
      discard: discardHostMemory)
  }
}

private let pageSize = Int(getpagesize())

@Sendable private func hostMemory(_ size: Int) -> UnsafeMutableRawPointer? {
  var address: UnsafeMutableRawPointer?
  let alignment = size < pageSize ? 64 : pageSize
  return posix_memalign(&address, alignment, size) == 0 ? address : nil
}

/// `free` of the C library, which the pool's own would hide.
@Sendable private func releaseHostMemory(_ address: UnsafeMutableRawPointer) {
  free(address)
}

#if os(Linux)
  /// Gives whole pages back to the system, which has them in the process's memory again, cleared, when they are touched.
  @Sendable private func discardHostMemory(_ address: UnsafeMutableRawPointer, _ byteCount: Int) {
    let start = (Int(bitPattern: address) + pageSize - 1) / pageSize * pageSize
    let end = (Int(bitPattern: address) + byteCount) / pageSize * pageSize
    guard start < end else { return }
    madvise(UnsafeMutableRawPointer(bitPattern: start), end - start, MADV_DONTNEED)
  }
#else
  /// Elsewhere a process keeps such pages until memory is short.
  private let discardHostMemory: (@Sendable (UnsafeMutableRawPointer, Int) -> Void)? = nil
#endif

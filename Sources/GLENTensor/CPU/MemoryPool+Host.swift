import GLENPlatform

extension MemoryPool {
  /// Host memory, aligned to 64, of which up to a gigabyte, or as much as is used, is kept.
  static func host() -> MemoryPool {
    MemoryPool(
      keeping: 1 << 30, growth: 0.5, obtain: hostMemory, release: releaseHostMemory,
      discard: discardHostMemory)
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

/// Gives whole pages back to the system, which has them in the process's memory again, cleared, when they are touched.
@Sendable private func discardHostMemory(_ address: UnsafeMutableRawPointer, _ byteCount: Int) {
  let page = Int(getpagesize())
  let start = (Int(bitPattern: address) + page - 1) / page * page
  let end = (Int(bitPattern: address) + byteCount) / page * page
  guard start < end, let first = UnsafeMutableRawPointer(bitPattern: start) else { return }
  #if canImport(Darwin)
    madvise(first, end - start, MADV_FREE)
  #else
    madvise(first, end - start, MADV_DONTNEED)
  #endif
}

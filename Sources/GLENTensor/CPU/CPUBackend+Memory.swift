import CGLENKernels

extension CPUBackend {
  /// Memory from the pool.
  public func allocate(byteCount: Int) throws(TensorError) -> UnsafeMutableRawPointer {
    guard let address = memory.allocate(byteCount: byteCount) else {
      throw .outOfMemory(
        backend: name, byteCount: byteCount, usedByteCount: memory.usedByteCount)
    }
    return address
  }

  /// Gives memory back to the pool.
  public func free(_ address: UnsafeMutableRawPointer, byteCount: Int) {
    memory.free(address, byteCount: byteCount)
  }

  /// Gives pages that nothing uses back to the system, a few megabytes.
  public func discardIdleMemory() { memory.discardIdle() }

  /// The greatest number of bytes that tensors took at once.
  public var peakByteCount: Int { memory.peakByteCount }

  /// Copies host memory in.
  public func upload(_ bytes: UnsafeRawBufferPointer, to region: Region) {
    guard let source = bytes.baseAddress else { return }
    UnsafeMutableRawPointer(region.floats).copyMemory(from: source, byteCount: bytes.count)
  }

  /// Copies to host memory.
  public func download(
    _ region: Region, into bytes: UnsafeMutableRawBufferPointer
  ) throws(TensorError) {
    guard let target = bytes.baseAddress else { return }
    target.copyMemory(from: region.floats, byteCount: bytes.count)
  }

  /// Copies elements.
  public func copy(_ source: Region, to destination: Region, count: Int) {
    let from = source.floats
    let to = destination.floats
    parallel(count, grain: 1 << 18) { range in
      (to + range.lowerBound).update(from: from + range.lowerBound, count: range.count)
    }
  }

  /// Copies or adds rows.
  public func copyRows(
    _ source: Region, stride sourceStride: Int, to destination: Region,
    stride destinationStride: Int, rows: Int, width: Int, accumulating: Bool
  ) {
    let from = source.floats
    let to = destination.floats
    parallel(rows, grain: 1 + (1 << 16) / max(width, 1)) { range in
      glen_copy_rows(
        range.count, width, from + range.lowerBound * sourceStride, sourceStride,
        to + range.lowerBound * destinationStride, destinationStride, accumulating ? 1 : 0)
    }
  }

  /// Sets elements.
  public func fill(_ region: Region, with value: Float, count: Int) {
    let to = region.floats
    parallel(count, grain: 1 << 18) { range in
      glen_fill(range.count, value, to + range.lowerBound)
    }
  }

  /// Nothing is ever left undone here.
  public func synchronize() throws(TensorError) {}
}

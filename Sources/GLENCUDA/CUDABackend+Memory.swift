import CGLENCUDA
import GLENTensor
import Synchronization

extension CUDABackend {
  /// Device memory.
  public func allocate(byteCount: Int) throws(TensorError) -> UnsafeMutableRawPointer {
    guard let address: UnsafeMutableRawPointer = allocate(byteCount: byteCount) else {
      throw .outOfMemory(
        backend: name, byteCount: byteCount, usedByteCount: memory.usedByteCount)
    }
    return address
  }

  /// Device memory, for which rounded copies make room.
  func allocate(byteCount: Int) -> UnsafeMutableRawPointer? {
    if let address = obtain(byteCount: byteCount) { return address }
    guard precision == .bfloat16 else { return nil }
    for widening in [false, true] {
      forgetAllRounded(widening: widening)
      if let address = obtain(byteCount: byteCount) { return address }
    }
    return nil
  }

  /// Keeps memory for the next request; the stream orders what was and what will be done with it.
  public func free(_ address: UnsafeMutableRawPointer, byteCount: Int) {
    if precision == .bfloat16 {
      let storage = UInt(bitPattern: address)
      roundedFactors.withLock { forget(storage, &$0) }
    }
    giveBack(address, byteCount: byteCount)
  }

  /// Copies host memory in; the driver takes what is not pinned into memory of its own before it
  /// returns.
  public func upload(_ bytes: UnsafeRawBufferPointer, to region: Region) {
    forgetRounded(region)
    upload(bytes, to: region.address)
  }

  /// Copies host memory to an address: at once, where work is recorded, whose memory keeps it.
  func upload(_ bytes: UnsafeRawBufferPointer, to address: UnsafeMutableRawPointer) {
    guard let source = bytes.baseAddress, !bytes.isEmpty else { return }
    enter()
    let begin = beginProfile()
    defer { endProfile("upload", since: begin) }
    note(
      libraries.driver.pointee.cuMemcpyHtoDAsync_v2(
        UInt64(UInt(bitPattern: address)), source, UInt(bytes.count), stream),
      "upload of \(bytes.count) bytes")
  }

  /// Waits, then copies to host memory.
  public func download(
    _ region: Region, into bytes: UnsafeMutableRawBufferPointer
  ) throws(TensorError) {
    if capture != nil {
      throw .backendFailure(backend: name, reason: "work cannot be read while it is recorded")
    }
    if let target = bytes.baseAddress, !bytes.isEmpty {
      widen(region)
      enter()
      note(
        libraries.driver.pointee.cuMemcpyDtoHAsync_v2(
          target, region.cuda, UInt(bytes.count), stream),
        "download of \(bytes.count) bytes")
    }
    try synchronize()
  }

  /// Waits for the stream.
  public func synchronize() throws(TensorError) {
    enter()
    note(libraries.driver.pointee.cuStreamSynchronize(stream), "work on the device")
    try throwFailure()
  }

  /// Copies elements.
  public func copy(_ source: Region, to destination: Region, count: Int) {
    guard count > 0 else { return }
    widen(source)
    forgetRounded(destination)
    enter()
    let begin = beginProfile()
    note(
      libraries.driver.pointee.cuMemcpyDtoDAsync_v2(
        destination.cuda, source.cuda, UInt(4 * count), workStream),
      "copy of \(count) elements")
    endProfile("copy", since: begin)
  }

  /// Copies or adds rows.
  public func copyRows(
    _ source: Region, stride sourceStride: Int, to destination: Region,
    stride destinationStride: Int, rows: Int, width: Int, accumulating: Bool
  ) {
    launchRows(
      .copyRows, rows: rows, width: width, .input(source), .count(sourceStride), .at(destination),
      .count(destinationStride), .count(width), .flag(accumulating))
  }

  /// Sets elements.
  public func fill(_ region: Region, with value: Float, count: Int) {
    forgetRounded(region)
    fill(region.address, with: value, count: count)
  }

  /// Sets elements at an address.
  func fill(_ address: UnsafeMutableRawPointer, with value: Float, count: Int) {
    guard count > 0 else { return }
    enter()
    let begin = beginProfile()
    defer { endProfile("fill", since: begin) }
    note(
      libraries.driver.pointee.cuMemsetD32Async(
        UInt64(UInt(bitPattern: address)), value.bitPattern, UInt(count), workStream),
      "fill of \(count) elements")
  }
}

extension Region {
  /// The address as the driver takes it.
  fileprivate var cuda: glen_cuda_address { UInt64(UInt(bitPattern: address)) }
}

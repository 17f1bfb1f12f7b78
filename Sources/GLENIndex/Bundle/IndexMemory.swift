import GLENPlatform

/// A read-only region of bytes, either allocated or mapped from a file.
///
/// Unchecked because it holds a pointer. The bytes are written before the object is shared and never
/// after that, so any number of threads may read them; `deinit` is the only place that frees them.
final class IndexMemory: @unchecked Sendable {
  /// All the bytes; valid for as long as this object lives.
  let bytes: UnsafeRawBufferPointer

  /// The data file that is mapped, or nil for allocated memory.
  let file: IndexManifest.File?

  /// Allocates `count` zero bytes on a 64-byte boundary and lets `fill` write them.
  init(count: Int, fill: (UnsafeMutableRawBufferPointer) -> Void) {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 64)
    buffer.initializeMemory(as: UInt8.self, repeating: 0)
    fill(buffer)
    self.bytes = UnsafeRawBufferPointer(buffer)
    self.file = nil
  }

  /// Maps a data file of a folder, which must be as long as the manifest says.
  init(mapping file: IndexManifest.File, in folder: String) throws(IndexError) {
    let path = folder + "/" + file.name
    let descriptor = try FileSystem.openForReading(path)
    defer { close(descriptor) }
    let count = try FileSystem.length(ofDescriptor: descriptor, path: path)
    guard count == file.bytes, count > 0 else {
      throw .damagedFile(
        path: path, problem: "its length differs; expected \(file.bytes) bytes, got \(count)")
    }
    guard let base = mmap(nil, count, PROT_READ, MAP_PRIVATE, descriptor, 0), base != MAP_FAILED
    else {
      throw .fileSystem(operation: "map file", path: path, code: errno)
    }
    self.bytes = UnsafeRawBufferPointer(start: base, count: count)
    self.file = file
  }

  deinit {
    if file != nil {
      munmap(UnsafeMutableRawPointer(mutating: bytes.baseAddress), bytes.count)
    } else {
      bytes.deallocate()
    }
  }

  /// The little-endian integer at `offset`, or nil where the region is too short for it.
  func integer<Value: FixedWidthInteger>(at offset: Int, as type: Value.Type) -> Value? {
    guard offset >= 0, offset <= bytes.count - MemoryLayout<Value>.size else { return nil }
    return Value(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: type))
  }

  /// The elements of a section; the caller has checked that it lies inside the region.
  func section<Element: BitwiseCopyable>(
    _ section: Section, as type: Element.Type
  ) -> UnsafeBufferPointer<Element> {
    UnsafeRawBufferPointer(rebasing: bytes[section.offset..<section.end]).assumingMemoryBound(
      to: type)
  }
}

#if _endian(big)
  #error("The index files are little-endian and are mapped as they are.")
#endif

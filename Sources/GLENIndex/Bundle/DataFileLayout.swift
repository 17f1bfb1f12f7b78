/// Where everything lies in a data file: what its header counts, and the sections that follow from it.
///
/// Every data file begins with 64 bytes: eight letters that name its kind, the version, flags, and up
/// to six counts. Reading checks that the sections fill the file exactly, so a section lies inside the
/// file whatever the header says.
protocol DataFileLayout: Sendable, Equatable {
  /// The eight letters that open the file.
  static var name: String { get }

  /// Whatever is no count.
  var flags: UInt32 { get }

  /// The counts in the order of the header, at most six.
  var counts: [Int] { get }

  /// The length of the file in bytes.
  var length: Int { get }

  /// Derives the sections from six counts, or nil where they cannot be those of such a file.
  init?(flags: UInt32, counts: [Int])
}

extension DataFileLayout {
  static var version: UInt32 { UInt32(IndexManifest.version) }
  static var headerLength: Int { 64 }
  private static var countCount: Int { 6 }

  /// Writes the 64 bytes that open the file.
  func writeHeader(to bytes: UnsafeMutableRawBufferPointer) {
    bytes.copyBytes(from: Array(Self.name.utf8))
    bytes.storeBytes(of: Self.version, toByteOffset: 8, as: UInt32.self)
    bytes.storeBytes(of: flags, toByteOffset: 12, as: UInt32.self)
    for (place, count) in counts.enumerated() {
      bytes.storeBytes(of: UInt64(count), toByteOffset: 16 + 8 * place, as: UInt64.self)
    }
  }

  /// Reads the header and checks that the sections fill the region exactly; `path` is for messages.
  init(reading memory: IndexMemory, path: String) throws(IndexError) {
    guard memory.bytes.count >= Self.headerLength else {
      throw .damagedFile(
        path: path,
        problem: "its header is cut off; expected \(Self.headerLength) bytes, got "
          + "\(memory.bytes.count)")
    }
    guard memory.bytes.prefix(8).elementsEqual(Self.name.utf8) else {
      throw .damagedFile(path: path, problem: "it does not begin with \"\(Self.name)\"")
    }
    let version = memory.integer(at: 8, as: UInt32.self) ?? 0
    guard version == Self.version else {
      throw .unsupportedVersion(path: path, found: Int(version), supported: Int(Self.version))
    }
    let counts = (0..<Self.countCount).map { place in
      memory.integer(at: 16 + 8 * place, as: UInt64.self).flatMap { Int(exactly: $0) } ?? -1
    }
    guard let layout = Self(flags: memory.integer(at: 12, as: UInt32.self) ?? 0, counts: counts),
      counts.starts(with: layout.counts),
      counts.dropFirst(layout.counts.count).allSatisfy({ $0 == 0 })
    else {
      throw .damagedFile(path: path, problem: "the counts in its header contradict each other")
    }
    guard layout.length == memory.bytes.count else {
      throw .damagedFile(
        path: path,
        problem: "its length contradicts the counts in its header; expected \(layout.length) "
          + "bytes, got \(memory.bytes.count)")
    }
    self = layout
  }
}

import GLENPlatform

/// A safetensors file, memory-mapped.
///
/// The format: eight bytes with the header's length, little-endian; a JSON object that gives each
/// tensor's `dtype`, `shape` and `data_offsets`; then the data. Every number is checked against the
/// file before anything is read: offsets must lie inside the file, fit the shape, and leave no byte of
/// the data to two tensors or to none, which Hugging Face's reader refuses too.
public struct SafetensorsFile: CheckpointFile {
  private let file: MappedFile
  private let path: String
  private let entries: [String: CheckpointEntry]
  /// The free-form strings of the header.
  public let metadata: [String: String]

  /// The names of the tensors, in alphabetical order.
  public var names: [String] { entries.keys.sorted() }

  /// Opens a file and checks its header.
  ///
  /// - Throws: `TensorError.file` if it cannot be read, `TensorError.checkpoint` if it is cut short
  ///   or says something false.
  public init(contentsOf url: URL) throws(TensorError) {
    try self.init(MappedFile(url, isReadWhole: true), path: url.path)
  }

  /// Checks the header of a file that is in memory for as long as the process runs, as a part of a
  /// program is.
  ///
  /// - Parameter name: what errors call it.
  /// - Throws: `TensorError.checkpoint` if it is cut short or says something false.
  package init(permanentBytes: UnsafeRawBufferPointer, name: String) throws(TensorError) {
    try self.init(MappedFile(permanentBytes: permanentBytes), path: name)
  }

  private init(_ file: MappedFile, path: String) throws(TensorError) {
    self.path = path
    self.file = file
    let bytes = UnsafeRawBufferPointer(file.bytes)
    guard bytes.count >= 8 else {
      throw .checkpoint(
        path: path, reason: "is \(bytes.count) bytes long; a safetensors file has 8 at least")
    }
    let claimed = UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self))
    guard claimed <= 100_000_000, Int(claimed) <= bytes.count - 8 else {
      throw .checkpoint(
        path: path,
        reason: "claims a header of \(claimed) bytes in a file of \(bytes.count); "
          + "it is cut short or not a safetensors file")
    }
    let start = 8 + Int(claimed)
    let header = try SafetensorsHeader(
      UnsafeRawBufferPointer(rebasing: bytes[8..<start]), path: path)
    var entries: [String: CheckpointEntry] = [:]
    for (name, tensor) in header.tensors {
      entries[name] = try Self.entry(
        name, tensor, dataStart: start, fileSize: bytes.count, path: path)
    }
    try Self.requireGapless(entries, dataStart: start, fileSize: bytes.count, path: path)
    self.entries = entries
    metadata = header.metadata
  }

  /// The shape of a tensor, or nil if the file has none of that name.
  public func shape(of name: String) -> [Int]? { entries[name]?.shape }

  /// A float tensor.
  ///
  /// F32 data is used where it lies, without a copy; F16 and BF16 are widened.
  ///
  /// - Throws: `TensorError.checkpoint` if it is missing or not of a float type.
  public func tensor(
    _ name: String, on backend: any Backend = CPUBackend.shared
  ) throws(TensorError) -> Tensor {
    try entry(name).tensor(name, in: file, path: path, on: backend)
  }

  /// What is added to a matrix's name for the scales of its rows, where it is in int8.
  public static let scaleSuffix = "_scale"

  /// A matrix `[rows, columns]` of low precision, used where it lies; nil if the file has it otherwise.
  ///
  /// - Throws: `TensorError.checkpoint` if its scales are missing or not as many as its rows.
  public func packedTensor(
    _ name: String, shape: [Int], on backend: any Backend = CPUBackend.shared
  ) throws(TensorError) -> Tensor? {
    guard let entry = entries[name], shape.count == 2, shape[1] <= PackedMatrix.mostColumns else {
      return nil
    }
    let precision: LowPrecision
    switch entry.elementType {
    case .int8: precision = .int8
    case .bfloat16: precision = .bf16
    default: return nil
    }
    let processor = backend as? CPUBackend ?? .shared
    let bytes = entry.bytes(in: file)
    guard entry.shape == PackedMatrix.shape(precision, rows: shape[0], columns: shape[1]),
      let address = bytes.baseAddress
    else { return nil }
    var scales: Tensor?
    if precision == .int8 {
      let values = try tensor(name + Self.scaleSuffix, on: processor)
      guard values.shape == [shape[0]] else {
        throw .checkpoint(
          path: path,
          reason: "\(name + Self.scaleSuffix): expected \([shape[0]]), got \(values.shape)")
      }
      scales = values
    }
    let values = Storage(
      borrowing: UnsafeMutableRawPointer(mutating: address), byteCount: bytes.count, owner: file,
      on: processor)
    let matrix = PackedMatrix(
      precision, rows: shape[0], columns: shape[1], values: values, scales: scales?.storage,
      on: processor)
    return backend === processor ? Tensor(matrix) : try Tensor(matrix).moved(to: backend)
  }

  /// A tensor of whole numbers (I32 or I64), in row-major order.
  ///
  /// - Throws: `TensorError.checkpoint` if it is missing, of another type, or a number is too large.
  public func integers(_ name: String) throws(TensorError) -> (values: [Int32], shape: [Int]) {
    let entry = try entry(name)
    let bytes = entry.bytes(in: file)
    let count = entry.shape.product
    switch entry.elementType {
    case .int32:
      return (
        (0..<count).map { bytes.loadUnaligned(fromByteOffset: $0 * 4, as: Int32.self) }, entry.shape
      )
    case .int64:
      let values = (0..<count).compactMap {
        Int32(exactly: bytes.loadUnaligned(fromByteOffset: $0 * 8, as: Int64.self))
      }
      guard values.count == count else {
        throw .checkpoint(path: path, reason: "\(name): a number does not fit 32 bits")
      }
      return (values, entry.shape)
    default:
      throw .checkpoint(
        path: path, reason: "\(name): expected I32 or I64, got \(entry.elementType.rawValue)")
    }
  }

  /// Some bytes of everything: each tensor's name, shape, and both ends of its data.
  ///
  /// Equal files give equal samples; two trained models give different ones.
  public func sample(bytesPerEnd: Int = 64) -> [UInt8] {
    names.flatMap { entries[$0]?.sample($0, in: file, bytesPerEnd: bytesPerEnd) ?? [] }
  }

  /// Whether two tensors are one, or at least equal to the last bit.
  ///
  /// - Complexity: Linear in their size.
  public func holdsSameData(_ first: String, _ second: String) -> Bool {
    guard let first = entries[first], let second = entries[second] else { return false }
    return first.holdsSameData(as: second, in: file)
  }

  /// Checks the whole file against the checksum at its end.
  ///
  /// - Throws: `TensorError.checkpoint` if it has none (`write` was not asked for one) or a byte has changed.
  /// - Complexity: Linear in the file.
  public func verifyChecksum() throws(TensorError) {
    guard let entry = entries[Self.checksumName] else {
      throw .checkpoint(path: path, reason: "has no checksum: it is another version's")
    }
    let bytes = UnsafeRawBufferPointer(file.bytes)
    guard entry.elementType == .int64, entry.shape == [1], entry.range.upperBound == bytes.count
    else {
      throw .checkpoint(path: path, reason: "its checksum is not where it should be")
    }
    let end = entry.range.lowerBound
    let written = bytes.loadUnaligned(fromByteOffset: end, as: UInt64.self)
    guard
      CRC64.checksum(UnsafeRawBufferPointer(rebasing: bytes[..<end]))
        == UInt64(littleEndian: written)
    else { throw .checkpoint(path: path, reason: "is damaged: it does not have its checksum") }
  }

  private func entry(_ name: String) throws(TensorError) -> CheckpointEntry {
    guard let entry = entries[name] else {
      throw .checkpoint(path: path, reason: "has no tensor named \(name)")
    }
    return entry
  }

  /// The name of a tensor behind all others: the CRC-64 of every byte before it.
  private static let checksumName = "checksum"

  /// Checks that the tensors lie one behind the other, from the first byte of the data to the last.
  private static func requireGapless(
    _ entries: [String: CheckpointEntry], dataStart: Int, fileSize: Int, path: String
  ) throws(TensorError) {
    var end = dataStart
    let inOrder = entries.sorted {
      ($0.value.range.lowerBound, $0.value.range.upperBound)
        < ($1.value.range.lowerBound, $1.value.range.upperBound)
    }
    for (name, entry) in inOrder {
      let begin = entry.range.lowerBound
      guard begin >= end else {
        throw .checkpoint(path: path, reason: "\(name): its data overlaps another tensor's")
      }
      guard begin == end else {
        throw .checkpoint(
          path: path,
          reason: "\(name): its data begins at \(begin - dataStart); expected \(end - dataStart), "
            + "where the tensor before it ends")
      }
      end = entry.range.upperBound
    }
    guard end == fileSize else {
      throw .checkpoint(
        path: path,
        reason: "its tensors end at \(end - dataStart) of \(fileSize - dataStart) data bytes; "
          + "expected nothing behind them")
    }
  }

  private static func entry(
    _ name: String, _ header: SafetensorsHeader.Tensor, dataStart: Int, fileSize: Int, path: String
  ) throws(TensorError) -> CheckpointEntry {
    func lie(_ reason: String) -> TensorError {
      .checkpoint(path: path, reason: "\(name): \(reason)")
    }
    guard let type = ElementType(rawValue: header.elementType) else {
      throw lie("unknown element type \(header.elementType)")
    }
    let impossible = lie("the shape \(header.shape) is impossible")
    guard header.shape.isPossible else { throw impossible }
    let (byteCount, overflow) = header.shape.product.multipliedReportingOverflow(
      by: type.byteCount)
    guard !overflow else { throw impossible }
    guard header.offsets.count == 2 else { throw lie("needs two data offsets") }
    let (first, last) = (header.offsets[0], header.offsets[1])
    guard first >= 0, last >= first, last <= fileSize - dataStart else {
      throw lie(
        "its data at \(first)..\(last) lies outside the file's \(fileSize - dataStart) data bytes; "
          + "the file is cut short")
    }
    guard last - first == byteCount else {
      throw lie(
        "\(header.elementType) \(header.shape) needs \(byteCount) bytes, has \(last - first)")
    }
    return CheckpointEntry(
      elementType: type, shape: header.shape, range: dataStart + first..<dataStart + last)
  }
}

extension SafetensorsFile {
  /// Writes tensors to a file, atomically: those of low precision first, so that all of them begin at
  /// multiples of 64, each group in the given order.
  ///
  /// - Throws: `TensorError.invalidArgument` for a name that is used twice or reserved, `.file` if it
  ///   cannot be written; an earlier file is then untouched.
  public static func write(
    _ tensors: [(name: String, tensor: Tensor)], metadata: [String: String] = [:], to url: URL
  ) throws {
    var packed: [(name: String, content: Content)] = []
    var floats: [(name: String, content: Content)] = []
    for (name, tensor) in tensors {
      guard let matrix = tensor.packed else {
        floats.append((name, .float(tensor)))
        continue
      }
      packed.append((name, .float(tensor)))
      if let scales = matrix.scales {
        let tensor = Tensor(shape: [matrix.rows], storage: scales)
        floats.append((name + scaleSuffix, .float(tensor)))
      }
    }
    try write(packed + floats, metadata: metadata, to: url)
  }

  /// Something that a safetensors file can hold.
  public enum Content: Sendable {
    /// A float tensor, written as F32; or the numbers of one of low precision, written as they lie.
    case float(Tensor)
    /// A float32 tensor, each number rounded to the nearest of BF16, ties to even.
    case rounded(Tensor)
    /// Whole numbers, written as I32.
    case integers([Int32], shape: [Int])

    fileprivate var type: ElementType {
      switch self {
      case .float(let tensor):
        switch tensor.precision {
        case nil: .float32
        case .int8: .int8
        case .bf16: .bfloat16
        }
      case .rounded: .bfloat16
      case .integers: .int32
      }
    }

    /// The extents as they lie in the file.
    fileprivate var shape: [Int] {
      switch self {
      case .float(let tensor):
        guard let matrix = tensor.packed else { return tensor.shape }
        return PackedMatrix.shape(matrix.precision, rows: matrix.rows, columns: matrix.columns)
      case .rounded(let tensor): return tensor.shape
      case .integers(_, let shape): return shape
      }
    }

    fileprivate func write(_ append: (UnsafeRawBufferPointer) throws -> Void) throws {
      switch self {
      case .float(let tensor):
        if let matrix = tensor.packed {
          try withExtendedLifetime(matrix) {
            try append(
              UnsafeRawBufferPointer(
                start: matrix.values.address, count: shape.product * type.byteCount))
          }
        } else {
          try tensor.values().withUnsafeBytes(append)
        }
      case .rounded(let tensor):
        try tensor.values().map(Self.bfloat16).withUnsafeBytes(append)
      case .integers(let values, _): try values.withUnsafeBytes(append)
      }
    }

    /// The upper half of the nearest number that has no lower one; infinite where that is beyond them.
    private static func bfloat16(_ value: Float) -> UInt16 {
      let bits = value.bitPattern
      guard !value.isNaN else { return UInt16(truncatingIfNeeded: bits >> 16) | 0x40 }
      return UInt16(truncatingIfNeeded: (bits + 0x7FFF + (bits >> 16 & 1)) >> 16)
    }
  }

  /// Writes float tensors and whole numbers to a file, atomically, in the given order.
  ///
  /// - Parameters:
  ///   - isChecksummed: whether a last tensor, `checksum`, has what `verifyChecksum` checks.
  ///   - other: where an earlier file stays, as in `AtomicFile.write`.
  /// - Throws: `TensorError.invalidArgument` for a name that is used twice or reserved,
  ///   `.shapeMismatch` for whole numbers that are not as many as their shape says, `.file` if it
  ///   cannot be written; an earlier file is then untouched.
  public static func write(
    _ contents: [(name: String, content: Content)], metadata: [String: String] = [:],
    isChecksummed: Bool = false, to url: URL, keepingEarlierAs other: URL? = nil
  ) throws {
    var fields: [String] = []
    if !metadata.isEmpty {
      fields.append(
        "\"\(SafetensorsHeader.metadataName)\":"
          + String(decoding: try encoded(metadata), as: UTF8.self))
    }
    var offset = 0
    func addField(_ name: String, _ type: ElementType, _ shape: [Int]) throws {
      let begin = offset
      offset += shape.product * type.byteCount
      let header = SafetensorsHeader.Tensor(
        elementType: type.rawValue, shape: shape, offsets: [begin, offset])
      let key = String(decoding: try encoded(name), as: UTF8.self)
      fields.append(key + ":" + String(decoding: try encoded(header), as: UTF8.self))
    }
    var names: Set = [SafetensorsHeader.metadataName]
    if isChecksummed { names.insert(checksumName) }
    for (name, content) in contents {
      guard names.insert(name).inserted else {
        throw TensorError.invalidArgument(
          operation: "SafetensorsFile.write", reason: "the name \(name) is taken")
      }
      if case .integers(let values, let shape) = content,
        !shape.isPossible || values.count != shape.product
      {
        throw TensorError.shapeMismatch(
          operation: "SafetensorsFile.write", expected: "as many numbers as \(shape) has",
          got: "\(values.count)")
      }
      try addField(name, content.type, content.shape)
    }
    if isChecksummed { try addField(checksumName, .int64, [1]) }
    var header = Array(("{" + fields.joined(separator: ",") + "}").utf8)
    // Padded so that the data begins at a multiple of 64, the bytes of a cache line.
    header += [UInt8](repeating: 0x20, count: 63 - (header.count + 7) % 64)
    try AtomicFile.write(to: url, keepingEarlierAs: other) { append in
      var check = CRC64()
      func put(_ bytes: UnsafeRawBufferPointer) throws {
        if isChecksummed { check.add(bytes) }
        try append(bytes)
      }
      try withUnsafeBytes(of: UInt64(header.count).littleEndian, put)
      try header.withUnsafeBytes(put)
      for (_, content) in contents { try content.write(put) }
      if isChecksummed { try withUnsafeBytes(of: check.value.littleEndian, append) }
    }
  }

  private static func encoded(_ value: some Encodable) throws -> Data {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return try encoder.encode(value)
  }
}

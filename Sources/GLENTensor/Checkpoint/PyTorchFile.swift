import GLENPlatform

/// A state dictionary that `torch.save` wrote (`pytorch_model.bin`), memory-mapped.
///
/// Read are both forms that PyTorch has had: the ZIP archive (1.6 and later) and the row of pickles
/// before it. Nothing in the file is ever run: see `Unpickler`.
public struct PyTorchFile: CheckpointFile {
  private let file: MappedFile
  private let path: String
  private let entries: [String: CheckpointEntry]

  /// The names of the tensors, in alphabetical order.
  public var names: [String] { entries.keys.sorted() }

  /// Opens a file and checks all that it says of its tensors.
  ///
  /// - Throws: `TensorError.file` if it cannot be read, `TensorError.checkpoint` if it is cut short,
  ///   says something false, or has anything in it that a state dictionary does not need.
  public init(contentsOf url: URL) throws(TensorError) {
    path = url.path
    file = try MappedFile(url, isReadWhole: true)
    let bytes = UnsafeRawBufferPointer(file.bytes)
    do {
      entries = try withExtendedLifetime(file) { () throws(Unpickler.Problem) in
        try Self.isLegacy(bytes) ? Self.legacyEntries(bytes) : Self.archiveEntries(bytes)
      }
    } catch {
      throw .checkpoint(path: path, reason: error.reason)
    }
  }

  /// The shape of a tensor, or nil if the file has none of that name.
  public func shape(of name: String) -> [Int]? { entries[name]?.shape }

  /// A float tensor.
  ///
  /// Contiguous float32 data is used where it lies, without a copy; other strides are copied into
  /// order, float16 and bfloat16 are widened.
  ///
  /// - Throws: `TensorError.checkpoint` if it is missing or not of a float type.
  public func tensor(
    _ name: String, on backend: any Backend = CPUBackend.shared
  ) throws(TensorError) -> Tensor {
    guard let entry = entries[name] else {
      throw .checkpoint(path: path, reason: "has no tensor named \(name)")
    }
    return try entry.tensor(name, in: file, path: path, on: backend)
  }

  /// Nil: only safetensors files hold low precision.
  public func packedTensor(
    _ name: String, shape: [Int], on backend: any Backend
  ) throws(TensorError) -> Tensor? { nil }

  /// Some bytes of everything: each tensor's name, shape, and both ends of its data.
  public func sample(bytesPerEnd: Int = 64) -> [UInt8] {
    names.flatMap { entries[$0]?.sample($0, in: file, bytesPerEnd: bytesPerEnd) ?? [] }
  }

  /// Whether two tensors are one, or at least equal to the last bit.
  ///
  /// - Complexity: O(1) where both lie on the same storage, otherwise linear in their size.
  public func holdsSameData(_ first: String, _ second: String) -> Bool {
    guard let first = entries[first], let second = entries[second] else { return false }
    return first.holdsSameData(as: second, in: file)
  }

  // MARK: Archives

  private static func archiveEntries(
    _ bytes: UnsafeRawBufferPointer
  ) throws(Unpickler.Problem) -> [String: CheckpointEntry] {
    let directory: ZipDirectory
    do {
      directory = try ZipDirectory(bytes)
    } catch {
      throw Unpickler.Problem(reason: error.reason)
    }
    // All files are in one folder, whose name is the archive's when it was saved.
    let pickles = directory.files.keys.filter { $0.hasSuffix("/data.pkl") }
    guard pickles.count == 1, let pickle = pickles.first, let range = directory.files[pickle] else {
      throw Unpickler.Problem(reason: "has \(pickles.count) files named data.pkl; expected one")
    }
    let folder = pickle.dropLast("data.pkl".count)
    if let order = directory.files[folder + "byteorder"], !bytes[order].elementsEqual("little".utf8)
    {
      throw Unpickler.Problem(reason: "expected little-endian numbers, got another byte order")
    }
    var unpickler = Unpickler(bytes, range: range)
    let value = try unpickler.next()
    return try entries(of: value, unpickler) { directory.files[folder + "data/" + $0] }
  }

  // MARK: The form before archives

  /// A pickle of PyTorch's magic number: protocol 2, ten bytes of a long integer, the end.
  private static let legacyBeginning: [UInt8] =
    [0x80, 0x02, 0x8A, 0x0A, 0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19, 0x2E]

  private static func isLegacy(_ bytes: UnsafeRawBufferPointer) -> Bool {
    bytes.starts(with: legacyBeginning)
  }

  /// Pickles of the version, the system, the dictionary and the storages' keys; then each storage's
  /// count and numbers.
  private static func legacyEntries(
    _ bytes: UnsafeRawBufferPointer
  ) throws(Unpickler.Problem) -> [String: CheckpointEntry] {
    var unpickler = Unpickler(bytes, range: legacyBeginning.count..<bytes.count)
    guard case .integer(1001) = try unpickler.next() else {
      throw Unpickler.Problem(reason: "expected version 1001 of PyTorch's old format")
    }
    guard case .dictionary(let system) = try unpickler.next() else {
      throw Unpickler.Problem(reason: "does not describe the system that wrote it")
    }
    for (key, value) in unpickler.dictionaries[system] {
      if case .text("little_endian") = key, case .bool(false) = value {
        throw Unpickler.Problem(reason: "expected little-endian numbers, got another byte order")
      }
    }
    let value = try unpickler.next()
    guard case .sequence(let keys) = try unpickler.next() else {
      throw Unpickler.Problem(reason: "does not name its storages")
    }
    let sizes = Dictionary(
      unpickler.storages.map { ($0.key, $0.elementType.byteCount) }, uniquingKeysWith: max)
    let reader = ByteReader(bytes: bytes)
    var ranges: [String: Range<Int>] = [:]
    var position = unpickler.position
    for key in unpickler.sequences[keys] {
      guard case .text(let key) = key, let size = sizes[key],
        let count = reader.number(Int64.self, at: position),
        let range = reader.range(
          at: position + 8, count: Int(count).multipliedReportingOverflow(by: size).partialValue),
        count >= 0, range.count / size == Int(count)
      else { throw Unpickler.Problem(reason: "its storages are cut short or damaged") }
      ranges[key] = range
      position = range.upperBound
    }
    return try entries(of: value, unpickler) { ranges[$0] }
  }

  // MARK: Checks

  private static func entries(
    of value: Unpickler.Value, _ unpickler: Unpickler, data: (String) -> Range<Int>?
  ) throws(Unpickler.Problem) -> [String: CheckpointEntry] {
    guard case .dictionary(let index) = value else {
      throw Unpickler.Problem(reason: "holds no dictionary of tensors; save the state_dict() alone")
    }
    var entries: [String: CheckpointEntry] = [:]
    for (key, value) in unpickler.dictionaries[index] {
      guard case .text(let name) = key else {
        throw Unpickler.Problem(reason: "names a tensor by what is no text")
      }
      guard case .tensor(let tensor) = value else {
        throw Unpickler.Problem(
          reason: "\(name): is no tensor; expected a state_dict() and nothing else")
      }
      let reference = unpickler.tensors[tensor]
      let storage = unpickler.storages[reference.storage]
      guard let range = data(storage.key) else {
        throw Unpickler.Problem(reason: "\(name): its storage \(storage.key) is missing")
      }
      let entry = try entry(reference, storage, in: range, name: name)
      guard entries.updateValue(entry, forKey: name) == nil else {
        throw Unpickler.Problem(reason: "\(name): is there twice")
      }
    }
    return entries
  }

  /// A tensor's bytes, once its storage, offset, shape and strides were found to fit.
  private static func entry(
    _ tensor: Unpickler.TensorReference, _ storage: Unpickler.StorageReference,
    in range: Range<Int>, name: String
  ) throws(Unpickler.Problem) -> CheckpointEntry {
    func lie(_ reason: String) -> Unpickler.Problem {
      Unpickler.Problem(reason: "\(name): \(reason)")
    }
    let size = storage.elementType.byteCount
    guard storage.count <= Int.max / 16, range.count == storage.count * size else {
      throw lie(
        "\(storage.count) numbers of \(storage.elementType.rawValue) do not fill a storage of "
          + "\(range.count) bytes; the file is cut short")
    }
    // No tensor has more elements than its storage, so that all that follows stays in range.
    let isEmpty = tensor.shape.contains(0)
    var (count, reach) = (1, 0)
    for (extent, stride) in zip(tensor.shape, tensor.strides) {
      guard extent >= 0, stride >= 0 else {
        throw lie("the shape \(tensor.shape) with strides \(tensor.strides) is impossible")
      }
      if isEmpty { continue }
      let (elements, areTooMany) = count.multipliedReportingOverflow(by: extent)
      let (step, isTooFar) = (extent - 1).multipliedReportingOverflow(by: stride)
      guard !areTooMany, elements <= storage.count, !isTooFar, step <= storage.count else {
        throw lie(
          "the shape \(tensor.shape) reaches beyond its storage of \(storage.count) numbers")
      }
      count = elements
      reach += step
    }
    guard tensor.offset >= 0, tensor.offset <= storage.count, tensor.shape.isPossible,
      isEmpty || tensor.offset + reach < storage.count
    else { throw lie("it reaches beyond its storage of \(storage.count) numbers") }
    let first = range.lowerBound + tensor.offset * size
    let end = isEmpty ? first : first + (reach + 1) * size
    return CheckpointEntry(
      elementType: storage.elementType, shape: tensor.shape, range: first..<end,
      strides: isEmpty || isContiguous(tensor) ? nil : tensor.strides)
  }

  /// Whether the elements lie in row-major order; the stride of a dimension of one is anything.
  private static func isContiguous(_ tensor: Unpickler.TensorReference) -> Bool {
    var expected = 1
    for (extent, stride) in zip(tensor.shape, tensor.strides).reversed() where extent != 1 {
      if stride != expected { return false }
      expected *= extent
    }
    return true
  }
}

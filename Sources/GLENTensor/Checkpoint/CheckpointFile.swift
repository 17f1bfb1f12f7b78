import GLENPlatform

/// A mapped file of named tensors, whatever its format.
public protocol CheckpointFile: Sendable {
  /// The names of the tensors, in alphabetical order.
  var names: [String] { get }
  /// The shape of a tensor, or nil if the file has none of that name.
  func shape(of name: String) -> [Int]?
  /// A float tensor; F32 data is used where it lies if it can be, F16 and BF16 are widened.
  ///
  /// - Throws: `TensorError.checkpoint` if it is missing or not of a float type.
  func tensor(_ name: String, on backend: any Backend) throws(TensorError) -> Tensor
  /// A matrix `[rows, columns]` of low precision, used where it lies; nil if the file has it otherwise.
  ///
  /// - Throws: `TensorError.checkpoint` if its scales are missing or not as many as its rows.
  func packedTensor(
    _ name: String, shape: [Int], on backend: any Backend
  ) throws(TensorError) -> Tensor?
  /// Some bytes of everything: each tensor's name, shape, and both ends of its data.
  ///
  /// Equal files give equal samples; two trained models give different ones.
  func sample(bytesPerEnd: Int) -> [UInt8]
  /// Whether two tensors are one, or at least equal to the last bit.
  ///
  /// - Complexity: O(1) for two names of the same bytes, otherwise linear in their size.
  func holdsSameData(_ first: String, _ second: String) -> Bool
}

/// The type of a checkpoint's numbers; the raw value is safetensors' name for it.
enum ElementType: String, Sendable {
  case float64 = "F64"
  case float32 = "F32"
  case float16 = "F16"
  case bfloat16 = "BF16"
  case int64 = "I64"
  case int32 = "I32"
  case int16 = "I16"
  case int8 = "I8"
  case uint8 = "U8"
  case uint16 = "U16"
  case uint32 = "U32"
  case uint64 = "U64"
  case bool = "BOOL"

  /// The bytes of one number.
  var byteCount: Int {
    switch self {
    case .float64, .int64, .uint64: 8
    case .float32, .int32, .uint32: 4
    case .float16, .bfloat16, .int16, .uint16: 2
    case .int8, .uint8, .bool: 1
    }
  }
}

/// A tensor in a mapped file, all of whose numbers were checked against the file.
struct CheckpointEntry: Sendable {
  let elementType: ElementType
  let shape: [Int]
  /// Where the bytes are; for other than contiguous tensors, from the first element to the last.
  let range: Range<Int>
  /// How many elements apart neighbours are, by dimension; nil if the tensor is contiguous.
  var strides: [Int]?

  /// The tensor's bytes in a file.
  func bytes(in file: MappedFile) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(file.bytes)[range])
  }

  /// The float tensor, in place where it can be.
  func tensor(
    _ name: String, in file: MappedFile, path: String, on backend: any Backend
  ) throws(TensorError) -> Tensor {
    let bytes = bytes(in: file)
    let element: (Int) -> Float
    switch elementType {
    case .float32:
      if strides == nil, backend === CPUBackend.shared, let address = bytes.baseAddress,
        Int(bitPattern: address) % 4 == 0
      {
        let storage = Storage(
          borrowing: UnsafeMutableRawPointer(mutating: address), byteCount: bytes.count,
          owner: file, on: backend)
        return Tensor(shape: shape, storage: storage)
      }
      element = { bytes.loadUnaligned(fromByteOffset: $0 * 4, as: Float.self) }
    case .bfloat16:
      element = {
        let high = UInt32(bytes.loadUnaligned(fromByteOffset: $0 * 2, as: UInt16.self))
        return Float(bitPattern: high << 16)
      }
    case .float16:
      element = { Self.widened(bytes.loadUnaligned(fromByteOffset: $0 * 2, as: UInt16.self)) }
    default:
      throw .checkpoint(
        path: path, reason: "\(name): expected F32, F16 or BF16, got \(elementType.rawValue)")
    }
    let values = withExtendedLifetime(file) {
      if let strides {
        Self.places(shape: shape, strides: strides).map(element)
      } else {
        (0..<shape.product).map(element)
      }
    }
    return try Tensor(values, shape: shape, on: backend)
  }

  /// Where the elements lie, in row-major order.
  private static func places(shape: [Int], strides: [Int]) -> [Int] {
    var places = [0]
    for (extent, stride) in zip(shape, strides) {
      places = places.flatMap { place in (0..<extent).map { place + $0 * stride } }
    }
    return places
  }

  /// Name, type, shape and both ends of the data.
  func sample(_ name: String, in file: MappedFile, bytesPerEnd: Int) -> [UInt8] {
    let bytes = bytes(in: file)
    return withExtendedLifetime(file) {
      Array("\(name) \(elementType.rawValue) \(shape)".utf8) + bytes.prefix(bytesPerEnd)
        + bytes.suffix(bytesPerEnd)
    }
  }

  /// Whether another tensor of the same file has the same type, shape and bytes.
  func holdsSameData(as other: CheckpointEntry, in file: MappedFile) -> Bool {
    guard elementType == other.elementType, shape == other.shape, strides == other.strides,
      range.count == other.range.count
    else { return false }
    if range == other.range { return true }
    let (own, others) = (bytes(in: file), other.bytes(in: file))
    guard let left = own.baseAddress, let right = others.baseAddress else { return true }
    return withExtendedLifetime(file) { memcmp(left, right, own.count) == 0 }
  }

  /// IEEE half to single precision.
  private static func widened(_ half: UInt16) -> Float {
    let sign = UInt32(half & 0x8000) << 16
    let exponent = UInt32(half >> 10) & 0x1F
    let fraction = UInt32(half) & 0x3FF
    if exponent == 0 {
      let magnitude = Float(fraction) * 0x1p-24
      return sign == 0 ? magnitude : -magnitude
    }
    let wide = exponent == 31 ? 255 : exponent + 112
    return Float(bitPattern: sign | wide << 23 | fraction << 13)
  }
}

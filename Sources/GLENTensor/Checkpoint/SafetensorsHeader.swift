import GLENPlatform

/// The JSON object at the beginning of a safetensors file.
struct SafetensorsHeader: Equatable {
  /// What it says of one tensor.
  struct Tensor: Equatable, Codable {
    var elementType: String
    var shape: [Int]
    var offsets: [Int]

    /// The format's own names.
    enum CodingKeys: String, CodingKey {
      case elementType = "dtype"
      case shape
      case offsets = "data_offsets"
    }
  }

  static let metadataName = "__metadata__"

  var tensors: [String: Tensor] = [:]
  /// The free-form strings.
  var metadata: [String: String] = [:]

  /// Reads a header.
  ///
  /// One as writers write it is read directly; anything else, and what is wrong, is the decoder's, which took eight
  /// of the ten milliseconds in which a T5-base is opened (two cores of 2 GHz).
  ///
  /// - Throws: `TensorError.checkpoint` where it is not one, names a tensor twice, or has something
  ///   else than tensors and strings.
  init(_ json: UnsafeRawBufferPointer, path: String) throws(TensorError) {
    if let header = Self(plain: json) {
      self = header
    } else {
      try self.init(decoding: Data(json), path: path)
    }
  }

  /// Reads any JSON.
  init(decoding json: Data, path: String) throws(TensorError) {
    guard let parsed = try? JSONDecoder().decode([String: Value].self, from: json) else {
      throw .checkpoint(path: path, reason: "the header is not the JSON of a safetensors file")
    }
    guard JSONKeys.count(in: json, depth: 1) == parsed.count else {
      throw .checkpoint(path: path, reason: "the header names a tensor twice")
    }
    for (name, value) in parsed {
      switch value {
      case .metadata(let strings):
        guard name == Self.metadataName else {
          throw .checkpoint(path: path, reason: "\(name): needs a dtype, a shape and data offsets")
        }
        metadata = strings
      case .tensor(let tensor):
        guard name != Self.metadataName else {
          throw .checkpoint(path: path, reason: "\(name): expected strings, got a tensor")
        }
        tensors[name] = tensor
      }
    }
  }

  /// A value in the header's object: a tensor, or the strings.
  private enum Value: Decodable {
    case tensor(Tensor)
    case metadata([String: String])

    init(from decoder: any Decoder) throws {
      let container = try decoder.singleValueContainer()
      if let tensor = try? container.decode(Tensor.self) {
        self = .tensor(tensor)
      } else {
        self = .metadata(try container.decode([String: String].self))
      }
    }
  }

  /// Reads a header whose strings have no escapes, whose numbers are whole and not negative, and
  /// whose tensors have their three keys and no others; nil for any other, and for a name that comes twice.
  init?(plain json: UnsafeRawBufferPointer) {
    var reader = PlainJSON(json)
    var hasMetadata = false
    guard
      reader.object({ name, reader in
        if name == Self.metadataName {
          guard !hasMetadata else { return false }
          hasMetadata = true
          return reader.object { key, reader in
            guard let value = reader.string() else { return false }
            return metadata.updateValue(value, forKey: key) == nil
          }
        }
        guard let tensor = reader.tensor() else { return false }
        return tensors.updateValue(tensor, forKey: name) == nil
      })
    else { return nil }
    // Writers fill the header up with blanks.
    guard reader.isAtEnd else { return nil }
  }
}

/// A reader of the plainest JSON.
private struct PlainJSON {
  private let bytes: UnsafeRawBufferPointer
  private var place = 0

  init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  /// Whether nothing but blanks is left.
  var isAtEnd: Bool {
    mutating get {
      skipBlanks()
      return place == bytes.count
    }
  }

  private mutating func skipBlanks() {
    while place < bytes.count, [0x20, 0x0A, 0x0D, 0x09].contains(bytes[place]) { place += 1 }
  }

  /// Whether the character comes next, which is then passed over.
  private mutating func take(_ character: Unicode.Scalar) -> Bool {
    skipBlanks()
    guard place < bytes.count, bytes[place] == UInt8(ascii: character) else { return false }
    place += 1
    return true
  }

  /// A string of printable characters without escapes.
  mutating func string() -> String? {
    guard take("\"") else { return nil }
    let begin = place
    while place < bytes.count, bytes[place] != UInt8(ascii: "\"") {
      guard bytes[place] >= 0x20, bytes[place] != UInt8(ascii: "\\") else { return nil }
      place += 1
    }
    guard place < bytes.count else { return nil }
    defer { place += 1 }
    return String(validating: bytes[begin..<place], as: UTF8.self)
  }

  /// A whole number of at most 18 digits.
  private mutating func number() -> Int? {
    skipBlanks()
    let begin = place
    var value = 0
    while place < bytes.count, (0x30...0x39).contains(bytes[place]), place - begin < 18 {
      value = 10 * value + Int(bytes[place] - 0x30)
      place += 1
    }
    // JSON has no zeros in front.
    guard place > begin, place == begin + 1 || bytes[begin] != 0x30 else { return nil }
    return value
  }

  /// An array of numbers; where one goes on as no whole number does, what follows is no comma.
  private mutating func numbers() -> [Int]? {
    guard take("[") else { return nil }
    if take("]") { return [] }
    var values: [Int] = []
    repeat {
      guard let value = number() else { return nil }
      values.append(value)
    } while take(",")
    return take("]") ? values : nil
  }

  /// An object, each of whose values `body` reads; false where anything is not as it should be.
  mutating func object(_ body: (String, inout PlainJSON) -> Bool) -> Bool {
    guard take("{") else { return false }
    if take("}") { return true }
    repeat {
      guard let key = string(), take(":"), body(key, &self) else { return false }
    } while take(",")
    return take("}")
  }

  mutating func tensor() -> SafetensorsHeader.Tensor? {
    var (elementType, shape, offsets) = (String?.none, [Int]?.none, [Int]?.none)
    let isRead = object { key, reader in
      switch SafetensorsHeader.Tensor.CodingKeys(rawValue: key) {
      case .elementType where elementType == nil:
        elementType = reader.string()
        return elementType != nil
      case .shape where shape == nil:
        shape = reader.numbers()
        return shape != nil
      case .offsets where offsets == nil:
        offsets = reader.numbers()
        return offsets != nil
      default: return false
      }
    }
    guard isRead, let elementType, let shape, let offsets else { return nil }
    return .init(elementType: elementType, shape: shape, offsets: offsets)
  }
}

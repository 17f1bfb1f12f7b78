import GLENPlatform

/// Any JSON, for laying one object over another.
indirect enum JSONValue: Codable, Equatable, CustomStringConvertible {
  case object([String: JSONValue])
  case number(Double)
  case string(String)
  case bool(Bool)
  case array([JSONValue])
  case null

  init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    if let object = try? container.decode([String: JSONValue].self) {
      self = .object(object)
    } else if let bool = try? container.decode(Bool.self) {
      self = .bool(bool)
    } else if let number = try? container.decode(Double.self) {
      self = .number(number)
    } else if let string = try? container.decode(String.self) {
      self = .string(string)
    } else if container.decodeNil() {
      self = .null
    } else {
      self = .array(try container.decode([JSONValue].self))
    }
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    switch self {
    case .object(let object): try container.encode(object)
    case .number(let number): try container.encode(number)
    case .string(let string): try container.encode(string)
    case .bool(let bool): try container.encode(bool)
    case .array(let array): try container.encode(array)
    case .null: try container.encodeNil()
    }
  }

  var description: String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = .withoutEscapingSlashes
    return (try? encoder.encode(self)).map { String(decoding: $0, as: UTF8.self) } ?? "?"
  }

  /// How many keys its objects have, those inside others too.
  var keyCount: Int {
    switch self {
    case .object(let object): object.values.reduce(object.count) { $0 + $1.keyCount }
    case .array(let array): array.reduce(0) { $0 + $1.keyCount }
    default: 0
    }
  }

  /// Every value that is no object, with its path; and alone, in objects of its own.
  var leaves: [(path: String, value: JSONValue, alone: JSONValue)] {
    guard case .object(let object) = self, !object.isEmpty else { return [("", self, self)] }
    return object.sorted { $0.key < $1.key }.flatMap { key, value in
      value.leaves.map { leaf in
        (leaf.path.isEmpty ? key : key + "." + leaf.path, leaf.value, .object([key: leaf.alone]))
      }
    }
  }

  /// This value with the keys of another over its own; an unknown key is an error.
  func overlaid(with changes: JSONValue, path: String) throws -> JSONValue {
    guard case .object(var own) = self, case .object(let others) = changes else { return changes }
    for (key, value) in others {
      guard let old = own[key] else {
        throw TrainingError.recipe(
          path: "recipe",
          reason: "unknown key \(path)\(key); known: \(own.keys.sorted().joined(separator: ", "))")
      }
      own[key] = try old.overlaid(with: value, path: path + key + ".")
    }
    return .object(own)
  }
}

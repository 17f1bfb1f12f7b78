import GLENPlatform
import GLENTensor

/// What `manifest.json` says: the model, and the segments with their data files and checksums.
struct IndexManifest: Sendable, Equatable {
  static let format = "GLEN index"
  static let version = 2
  static let fileName = "manifest.json"

  /// A data file of the folder.
  struct File: Sendable, Hashable, Codable {
    var name: String
    var bytes: Int
    var crc64: String
  }

  /// What a data file is for, as its name begins.
  enum Kind: String, CaseIterable {
    case identifiers, documents, deleted, keywords
  }

  /// The files of documents that were indexed together.
  struct Segment: Sendable, Equatable, Codable {
    var documentCount: Int
    var identifiers: File
    var documents: File
    var deleted: File?
    var keywords: File?

    enum CodingKeys: String, CodingKey {
      case documentCount = "document_count"
      case identifiers, documents, deleted, keywords
    }

    /// The files that there are, each with its kind.
    var files: [(kind: Kind, file: File)] {
      [(.identifiers, identifiers), (.documents, documents)]
        + [(.deleted, deleted), (.keywords, keywords)].compactMap { kind, file in
          file.map { (kind, $0) }
        }
    }
  }

  var generation: Int
  var identifierLength: Int
  var vocabularySize: Int
  var modelFingerprint: String
  var segments: [Segment]

  /// All data files that the manifest names.
  var files: Set<File> { Set(segments.flatMap { $0.files.map(\.file) }) }

  /// The text of the file: always the same for the same manifest.
  ///
  /// The last key, `checksum`, covers every byte before its line; what follows is fixed.
  var bytes: [UInt8] {
    let entries = segments.map { segment in
      let files = segment.files.map { kind, file in
        ",\n     \"\(kind)\": {\"name\": \(Self.quoted(file.name)), \"bytes\": \(file.bytes), "
          + "\"crc64\": \(Self.quoted(file.crc64))}"
      }
      return "\n    {\"document_count\": \(segment.documentCount)\(files.joined())}"
    }
    let body = """
      {
        "format": \(Self.quoted(Self.format)),
        "version": \(Self.version),
        "generation": \(generation),
        "identifier_length": \(identifierLength),
        "vocabulary_size": \(vocabularySize),
        "model_fingerprint": \(Self.quoted(modelFingerprint)),
        "segments": [\(entries.joined(separator: ","))],

      """
    let bytes = Array(body.utf8)
    return bytes + Array(Self.checksumLine(of: bytes).utf8)
  }

  static func checksumLine(of body: [UInt8]) -> String {
    let checksum = body.withUnsafeBytes { CRC64.checksum($0) }
    return "  \"checksum\": \"\(CRC64.text(checksum))\"\n}\n"
  }

  private static func quoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case _ where scalar.value < 0x20:
        let digits = String(scalar.value, radix: 16)
        result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }
}

extension IndexManifest {
  private struct Head: Decodable {
    var format: String
    var version: Int
  }

  private struct Body: Decodable {
    var generation: Int
    var identifierLength: Int
    var vocabularySize: Int
    var modelFingerprint: String
    var segments: [Segment]

    enum CodingKeys: String, CodingKey {
      case generation
      case identifierLength = "identifier_length"
      case vocabularySize = "vocabulary_size"
      case modelFingerprint = "model_fingerprint"
      case segments
    }
  }

  /// Reads the text of a manifest; `path` is for error messages.
  init(bytes: [UInt8], path: String) throws(IndexError) {
    let head = try Self.decode(Head.self, from: bytes, path: path)
    guard head.format == Self.format else {
      throw .damagedFile(
        path: path, problem: "expected the format \"\(Self.format)\", got \"\(head.format)\"")
    }
    guard head.version == Self.version else {
      throw .unsupportedVersion(path: path, found: head.version, supported: Self.version)
    }
    let tailLength = Self.checksumLine(of: []).utf8.count
    let body = bytes.dropLast(tailLength)
    guard Array(bytes.suffix(tailLength)) == Array(Self.checksumLine(of: Array(body)).utf8) else {
      throw .damagedFile(path: path, problem: "its checksum does not match its text")
    }
    let fields = try Self.decode(Body.self, from: bytes, path: path)
    guard (0..<Int.max).contains(fields.generation),
      (1...IdentifierLayout.largestLength).contains(fields.identifierLength),
      (0...IdentifierLayout.largestVocabulary).contains(fields.vocabularySize)
    else {
      throw .damagedFile(path: path, problem: "a number in it is out of range")
    }
    self.generation = fields.generation
    self.identifierLength = fields.identifierLength
    self.vocabularySize = fields.vocabularySize
    self.modelFingerprint = fields.modelFingerprint
    self.segments = fields.segments
    for (kind, file) in segments.flatMap(\.files)
    where file.name != Self.dataFileName(kind: kind, checksum: file.crc64)
      || !CRC64.isText(file.crc64)
    {
      throw .damagedFile(path: path, problem: "\"\(file.name)\" is no name of a data file")
    }
  }

  /// Whether a file says that it is an index's manifest, of whatever version and condition.
  static func isIndex(_ bytes: [UInt8]) -> Bool {
    String(decoding: bytes, as: UTF8.self).contains(quoted(format))
  }

  private static func decode<Value: Decodable>(
    _ type: Value.Type, from bytes: [UInt8], path: String
  ) throws(IndexError) -> Value {
    do {
      return try JSONDecoder().decode(type, from: Data(bytes))
    } catch {
      throw .damagedFile(path: path, problem: "it is not the JSON of a manifest")
    }
  }

  /// The name of a data file: its kind and its checksum, so that other contents have other names.
  static func dataFileName(kind: Kind, checksum: String) -> String { "\(kind)-\(checksum).bin" }

  /// Whether a name is one that a commit could have given to a data file.
  static func isDataFile(_ name: String) -> Bool {
    Kind.allCases.contains { kind in
      let (head, tail) = ("\(kind)-", ".bin")
      return name.hasPrefix(head) && name.hasSuffix(tail)
        && CRC64.isText(String(name.dropFirst(head.count).dropLast(tail.count)))
    }
  }
}

import Foundation

/// What `manifest.json` says: the counts, the model, and the data files with their checksums.
struct IndexManifest: Sendable, Equatable {
  static let format = "GLEN index"
  static let version = 1
  static let fileName = "manifest.json"

  /// A data file of the folder.
  struct File: Sendable, Equatable, Codable {
    var name: String
    var bytes: Int
    var crc64: String
  }

  var identifierLength: Int
  var vocabularySize: Int
  var documentCount: Int
  var identifierCount: Int
  var codeWidth: Int
  var modelFingerprint: String
  var identifiers: File
  var documents: File

  /// The text of the file: always the same for the same manifest.
  ///
  /// The last key, `checksum`, covers every byte before its line; what follows is fixed.
  var bytes: [UInt8] {
    func entry(_ file: File) -> String {
      "{\"name\": \(Self.quoted(file.name)), \"bytes\": \(file.bytes), \"crc64\": "
        + "\(Self.quoted(file.crc64))}"
    }
    let body = """
      {
        "format": \(Self.quoted(Self.format)),
        "version": \(Self.version),
        "identifier_length": \(identifierLength),
        "vocabulary_size": \(vocabularySize),
        "documents": \(documentCount),
        "identifiers": \(identifierCount),
        "token_width": \(codeWidth),
        "model_fingerprint": \(Self.quoted(modelFingerprint)),
        "identifiers_file": \(entry(identifiers)),
        "documents_file": \(entry(documents)),

      """
    let bytes = Array(body.utf8)
    return bytes + Array(Self.checksumLine(of: bytes).utf8)
  }

  private static func checksumLine(of body: [UInt8]) -> String {
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
    var identifierLength: Int
    var vocabularySize: Int
    var documents: Int
    var identifiers: Int
    var tokenWidth: Int
    var modelFingerprint: String
    var identifiersFile: File
    var documentsFile: File

    enum CodingKeys: String, CodingKey {
      case identifierLength = "identifier_length"
      case vocabularySize = "vocabulary_size"
      case documents, identifiers
      case tokenWidth = "token_width"
      case modelFingerprint = "model_fingerprint"
      case identifiersFile = "identifiers_file"
      case documentsFile = "documents_file"
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
    self.identifierLength = fields.identifierLength
    self.vocabularySize = fields.vocabularySize
    self.documentCount = fields.documents
    self.identifierCount = fields.identifiers
    self.codeWidth = fields.tokenWidth
    self.modelFingerprint = fields.modelFingerprint
    self.identifiers = fields.identifiersFile
    self.documents = fields.documentsFile
    for (file, kind) in [(identifiers, "identifiers"), (documents, "documents")] {
      guard Self.isDataFile(file.name, kind: kind) else {
        throw .damagedFile(path: path, problem: "\"\(file.name)\" is no name of a data file")
      }
    }
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
  static func dataFileName(kind: String, checksum: UInt64) -> String {
    "\(kind)-\(CRC64.text(checksum)).bin"
  }

  /// Whether a name is one that a save could have given to a data file of some kind.
  static func isDataFile(_ name: String, kind: String) -> Bool {
    guard name.hasPrefix(kind + "-"), name.hasSuffix(".bin") else { return false }
    let digits = name.utf8.dropFirst(kind.utf8.count + 1).dropLast(4)
    return digits.count == 16
      && digits.allSatisfy { (48...57).contains($0) || (97...102).contains($0) }
  }
}

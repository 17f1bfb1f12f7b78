import Foundation

/// The folder of real data that `GLEN_DATA` names; tests that need it are skipped without it.
enum SharedData {
  static let folder: URL? = ProcessInfo.processInfo.environment["GLEN_DATA"].map {
    URL(fileURLWithPath: $0, isDirectory: true)
  }

  static var isAvailable: Bool {
    guard let folder else { return false }
    let model = folder.appendingPathComponent("t5/spiece.model")
    return FileManager.default.isReadableFile(atPath: model.path)
  }

  static func url(_ path: String) throws -> URL {
    guard let folder else { throw CocoaError(.fileNoSuchFile) }
    return folder.appendingPathComponent(path)
  }

  /// The JSON objects of a file, one a line.
  static func rows<Row: Decodable>(_ path: String, as type: Row.Type) throws -> [Row] {
    let decoder = JSONDecoder()
    return try Data(contentsOf: url(path)).split(separator: UInt8(ascii: "\n")).map {
      try decoder.decode(type, from: Data($0))
    }
  }
}

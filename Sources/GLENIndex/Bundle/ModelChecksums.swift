import GLENTensor

/// The list of a model's files in an index, with the length and the checksum of each.
///
/// `checksums.txt` has a line a file, in the order of their names: the CRC-64 in 16 hexadecimal digits,
/// a space, the length in bytes, a space, the name, a line feed.
enum ModelChecksums {
  static let fileName = "checksums.txt"

  /// Reads the named files of a folder and writes their list beside them, in one step.
  static func write(_ names: [String], in folder: String) throws(IndexError) {
    var text = ""
    for name in names.sorted() {
      let bytes = try FileSystem.length(of: folder + "/" + name)
      text += try line(name, bytes: bytes, in: folder)
    }
    let bytes = Array(text.utf8)
    let memory = IndexMemory(count: bytes.count) { $0.copyBytes(from: bytes) }
    try IndexFolder.place(memory.bytes, as: fileName, in: folder)
  }

  /// Compares the files of a folder with their list.
  ///
  /// - Throws: ``IndexError`` that names the first file that is missing or has changed, or the list.
  static func verify(in folder: String) throws(IndexError) {
    let path = folder + "/" + fileName
    let contents = try FileSystem.contents(of: path, limit: 1 << 20)
    let lines = contents.split(separator: 0x0A, omittingEmptySubsequences: false)
    guard lines.count > 1, lines.last?.isEmpty == true else {
      throw .damagedFile(path: path, problem: "it is not a list of files")
    }
    for line in lines.dropLast() {
      let fields = line.split(separator: 0x20, maxSplits: 2).map {
        String(decoding: $0, as: UTF8.self)
      }
      guard fields.count == 3, let bytes = Int(fields[1]), !fields[2].contains("/") else {
        throw .damagedFile(path: path, problem: "it has a line that names no file")
      }
      guard Array(try Self.line(fields[2], bytes: bytes, in: folder).utf8.dropLast()) == Array(line)
      else {
        throw .damagedFile(
          path: folder + "/" + fields[2], problem: "its checksum differs; expected \(fields[0])")
      }
    }
  }

  private static func line(
    _ name: String, bytes: Int, in folder: String
  ) throws(IndexError) -> String {
    let file = IndexManifest.File(name: name, bytes: bytes, crc64: "")
    let memory = try IndexMemory(mapping: file, in: folder)
    let checksum = withExtendedLifetime(memory) { CRC64.checksum(memory.bytes) }
    return "\(CRC64.text(checksum)) \(bytes) \(name)\n"
  }
}

import Foundation
import GLENTensor

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// A file of generated queries on its way, which takes its name when it is whole.
///
/// Until then it is `<name>.unfinished-<what makes it>`: whoever makes the same queries again, of the same
/// documents, goes on behind its last whole line.
struct UnfinishedQueries {
  /// The lines that are there.
  private(set) var lineCount = 0
  /// The queries in them that are not empty.
  private(set) var queryCount = 0

  private let url: URL
  private let output: URL
  private let handle: FileHandle

  /// Opens the file that was left, or makes one.
  ///
  /// - Throws: `TrainingError.unwritableFile`, `.folderInUse` if another process writes it.
  init(for output: URL, madeBy checksum: TextChecksum) throws(TrainingError) {
    self.output = output.resolvingSymlinksInPath()
    var status = stat()
    if stat(output.path, &status) == 0, status.st_mode & S_IFMT != S_IFREG {
      // A pipe or a terminal: nothing to go on from, and no name to take.
      let descriptor = open(output.path, O_WRONLY | O_CLOEXEC)
      guard descriptor >= 0 else {
        throw .unwritableFile(path: output.path, reason: String(cString: strerror(errno)))
      }
      handle = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
      url = output
      return
    }
    url = URL(fileURLWithPath: self.output.path + ".unfinished-" + checksum.text)
    let descriptor = open(url.path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else {
      throw .unwritableFile(path: output.path, reason: String(cString: strerror(errno)))
    }
    handle = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
    guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else { throw .folderInUse(path: url.path) }
    do {
      try skipWholeLines()
    } catch {
      throw .unwritableFile(path: url.path, reason: error.localizedDescription)
    }
  }

  /// Appends whole lines.
  mutating func append(_ lines: [GeneratedQueries.Line]) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    let data = try lines.reduce(into: Data()) { $0 += try encoder.encode($1) + Data("\n".utf8) }
    try writing { try $0.write(contentsOf: data) }
    lines.forEach { count($0) }
  }

  /// Gives the file its name.
  func finish() throws(TrainingError) {
    guard url != output else { return }
    try writing { try $0.synchronize() }
    guard rename(url.path, output.path) == 0 else {
      throw .unwritableFile(path: output.path, reason: String(cString: strerror(errno)))
    }
  }

  /// Counts what is there, and cuts off a line that a kill has left in two.
  private mutating func skipWholeLines() throws {
    var rest = Data()
    var length: UInt64 = 0
    while let block = try handle.read(upToCount: 1 << 20), !block.isEmpty {
      rest += block
      while let end = rest.firstIndex(of: 0x0A) {
        guard
          let line = try? JSONDecoder().decode(
            GeneratedQueries.Line.self, from: rest[rest.startIndex..<end])
        else { return try cut(at: length) }
        count(line)
        length += UInt64(end - rest.startIndex + 1)
        rest = rest[(end + 1)...]
      }
    }
    try cut(at: length)
  }

  private func cut(at length: UInt64) throws {
    try handle.truncate(atOffset: length)
    try handle.seek(toOffset: length)
  }

  private mutating func count(_ line: GeneratedQueries.Line) {
    lineCount += 1
    queryCount += line.queries.count { !$0.isEmpty }
  }

  private func writing(_ body: (FileHandle) throws -> Void) throws(TrainingError) {
    do {
      try body(handle)
    } catch {
      throw .unwritableFile(path: url.path, reason: error.localizedDescription)
    }
  }
}

import GLENIndex
import GLENPlatform
import GLENTensor

/// A file of generated queries on its way, which takes its name when it is whole.
///
/// Until then it is `<name>.unfinished-<what makes it>`: whoever makes the same queries again, of the same
/// documents, goes on behind its last whole line. What is no file (a pipe, a terminal) is written directly.
struct UnfinishedQueries {
  /// The lines that are there.
  private(set) var lineCount = 0
  /// The queries in them that are not empty.
  private(set) var queryCount = 0

  private let output: URL
  /// The name until then; nil for what is no file.
  private let unfinished: URL?
  private let file: OpenFile

  /// Opens the file that was left, or makes one; of one that was left the lines count that are of the given
  /// documents in their order.
  ///
  /// - Throws: `TrainingError.unwritableFile`, also if another process is at it.
  init(
    for output: URL, of documents: [Document], madeBy checksum: TextChecksum
  ) throws(TrainingError) {
    do {
      if let (descriptor, path) = try AtomicFile.openDirectly(output) {
        file = OpenFile(descriptor)
        (self.output, unfinished) = (URL(fileURLWithPath: path), nil)
        return
      }
    } catch {
      throw Self.failure(output)
    }
    let output = AtomicFile.target(of: output)
    let unfinished = URL(fileURLWithPath: output.path + ".unfinished-" + checksum.text)
    let descriptor = open(unfinished.path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw Self.failure(output) }
    file = OpenFile(descriptor)
    (self.output, self.unfinished) = (output, unfinished)
    guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK else {
      throw .unwritableFile(
        path: unfinished.path, reason: "another process that makes the same queries")
    }
    let length = try skipWholeLines(of: documents)
    guard ftruncate(descriptor, off_t(length)) == 0, lseek(descriptor, off_t(length), SEEK_SET) >= 0
    else { throw Self.failure(unfinished) }
  }

  /// Appends whole lines.
  ///
  /// - Throws: `TrainingError.unwritableFile`.
  mutating func append(_ lines: [GeneratedQueries.Line]) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    let data = try lines.reduce(into: Data()) { $0 += try encoder.encode($1) + Data("\n".utf8) }
    do {
      try file.write(data)
    } catch {
      throw TrainingError.unwritableFile(path: (unfinished ?? output).path, reason: error.reason)
    }
    lines.forEach { count($0) }
  }

  /// Gives the file its name.
  ///
  /// - Throws: `TrainingError.unwritableFile`.
  func finish() throws(TrainingError) {
    guard let unfinished else { return }
    guard fsync(file.descriptor) == 0, rename(unfinished.path, output.path) == 0 else {
      throw Self.failure(output)
    }
  }

  /// Counts what is there, and gives its length without a line that a kill has left in two, or that is not
  /// the next document's.
  private mutating func skipWholeLines(of documents: [Document]) throws(TrainingError) -> Int {
    var rest = Data()
    var length = 0
    do throws(SystemError) {
      while case let block = try file.read(upToCount: 1 << 20), !block.isEmpty {
        rest += block
        while let end = rest.firstIndex(of: 0x0A) {
          let text = rest[rest.startIndex..<end]
          guard let line = try? JSONDecoder().decode(GeneratedQueries.Line.self, from: text),
            lineCount < documents.count,
            ExactText(line.doc_id) == ExactText(documents[lineCount].id)
          else { return length }
          count(line)
          length += text.count + 1
          rest = rest[(end + 1)...]
        }
      }
    } catch {
      throw .unwritableFile(path: (unfinished ?? output).path, reason: error.description)
    }
    return length
  }

  private mutating func count(_ line: GeneratedQueries.Line) {
    lineCount += 1
    queryCount += line.queries.count { !$0.isEmpty }
  }

  private static func failure(_ url: URL) -> TrainingError {
    .unwritableFile(path: url.path, reason: String(cString: strerror(errno)))
  }
}

import CGLENZlib
import GLENPlatform

/// Reads a plain or gzip-compressed file line by line, holding one chunk of it in memory.
///
/// Lines end with LF or CRLF; the line end and a leading UTF-8 byte-order mark are not part of a
/// line. Bytes are handed out as they are: what reads them checks their encoding.
final class LineReader {
  /// The path of the file, for messages.
  let path: String
  /// The bytes of the line that `next()` read last.
  private(set) var line: [UInt8] = []
  /// The number of that line, from 1.
  private(set) var lineNumber = 0

  /// The most bytes of a line: a file without line ends would fill the memory, above all a compressed one.
  private let lineLimit: Int
  private var file: gzFile?
  private var chunk: [UInt8]
  private var position = 0
  private var end = 0
  private var reachedEnd = false

  /// Opens a file, compressed or not.
  ///
  /// - Throws: `TrainingError.unreadableFile` when the file cannot be opened.
  init(
    contentsOf url: URL, chunkSize: Int = 1 << 18, lineLimit: Int = 1 << 28
  ) throws(TrainingError) {
    path = url.path
    self.lineLimit = lineLimit
    chunk = [UInt8](repeating: 0, count: max(1, chunkSize))
    guard let file = gzopen(path, "rb") else {
      throw .unreadableFile(path: path, reason: String(cString: strerror(errno)))
    }
    self.file = file
    gzbuffer(file, 1 << 17)
  }

  deinit {
    if let file { gzclose_r(file) }
  }

  /// Reads the next line into `line`; false at the end of the file.
  ///
  /// - Throws: `TrainingError.unreadableFile` when the file cannot be read or is cut off, or a line has more
  ///   bytes than a line may have.
  func next() throws(TrainingError) -> Bool {
    line.removeAll(keepingCapacity: true)
    var foundEnd = false
    while !foundEnd {
      if position == end {
        try fill()
        if end == 0 { break }
      }
      let newline = chunk[position..<end].withUnsafeBytes { bytes -> Int? in
        guard let base = bytes.baseAddress else { return nil }
        return memchr(base, 0x0A, bytes.count).map { base.distance(to: UnsafeRawPointer($0)) }
      }
      let stop = newline.map { position + $0 } ?? end
      guard stop - position <= lineLimit - line.count else {
        throw .unreadableFile(
          path: path, reason: "line \(lineNumber + 1) has more than \(lineLimit) bytes")
      }
      line.append(contentsOf: chunk[position..<stop])
      foundEnd = newline != nil
      position = foundEnd ? stop + 1 : end
    }
    guard foundEnd || !line.isEmpty else { return false }
    lineNumber += 1
    if line.last == 0x0D { line.removeLast() }
    if lineNumber == 1, line.starts(with: [0xEF, 0xBB, 0xBF]) { line.removeFirst(3) }
    return true
  }

  /// Whether the line holds nothing but spaces and tabs.
  var lineIsBlank: Bool { line.allSatisfy { $0 == 0x20 || $0 == 0x09 } }

  /// Refills the chunk; leaves `end` at 0 at the end of the file.
  private func fill() throws(TrainingError) {
    position = 0
    end = 0
    guard let file, !reachedEnd else { return }
    let count = chunk.withUnsafeMutableBytes { gzread(file, $0.baseAddress, UInt32($0.count)) }
    guard count >= 0 else { throw unreadable(file) }
    end = Int(count)
    guard end < chunk.count else { return }
    // A short read is the end of the file, or of what is left of a truncated one.
    reachedEnd = true
    var code: Int32 = Z_OK
    _ = gzerror(file, &code)
    guard code == Z_OK || code == Z_STREAM_END else { throw unreadable(file) }
    if path.hasSuffix(".gz"), gzdirect(file) != 0 {
      throw .unreadableFile(path: path, reason: "data that is not gzip")
    }
  }

  /// The error that zlib or the system reports for a file.
  private func unreadable(_ file: gzFile) -> TrainingError {
    let systemError = errno
    var code: Int32 = Z_OK
    let message = gzerror(file, &code).map { String(cString: $0) } ?? "an unknown error"
    let reason =
      switch code {
      case Z_BUF_ERROR: "gzip data that is cut off"
      case Z_ERRNO: String(cString: strerror(systemError))
      default: message
      }
    return .unreadableFile(path: path, reason: reason)
  }
}

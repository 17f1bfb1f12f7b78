/// A file that is open as long as somebody holds it.
package final class OpenFile: Sendable {
  /// The system's number of it.
  package let descriptor: Int32

  /// Takes over an open file.
  ///
  /// - Parameter descriptor: is closed with the last reference to the file.
  package init(_ descriptor: Int32) { self.descriptor = descriptor }

  /// Opens a file that is there, to write behind its end.
  ///
  /// - Throws: The system's reason.
  package init(appendingTo url: URL) throws(SystemError) {
    let opened = open(url.path, O_WRONLY | O_APPEND | O_CLOEXEC)
    guard opened >= 0 else { throw SystemError(code: errno) }
    descriptor = opened
  }

  deinit { close(descriptor) }

  /// Writes all of `data`.
  ///
  /// - Throws: `SystemError`.
  package func write(_ data: Data) throws {
    try data.withUnsafeBytes { try Self.write($0, to: descriptor) }
  }

  /// Writes all of `bytes` to an open file.
  ///
  /// - Throws: The system's reason.
  package static func write(
    _ bytes: UnsafeRawBufferPointer, to descriptor: Int32
  ) throws(SystemError) {
    var rest = bytes
    while !rest.isEmpty {
      // Linux takes less than 2 GB at a time, and macOS refuses more.
      let count = GLENPlatform.write(descriptor, rest.baseAddress, min(rest.count, 1 << 30))
      if count < 0, errno == EINTR { continue }
      if count < 0, errno == EAGAIN {
        // Whoever shares a pipe may have asked it not to block.
        var waiting = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        _ = poll(&waiting, 1, -1)
        continue
      }
      guard count > 0 else { throw SystemError(code: count < 0 ? errno : EIO) }
      rest = UnsafeRawBufferPointer(rebasing: rest[count...])
    }
  }

  /// The next bytes, at most `count` of them; none at the end.
  ///
  /// - Throws: The system's reason.
  package func read(upToCount count: Int) throws(SystemError) -> Data {
    var data = Data(count: count)
    while true {
      let length = data.withUnsafeMutableBytes { bytes in
        GLENPlatform.read(descriptor, bytes.baseAddress, count)
      }
      if length < 0, errno == EINTR { continue }
      guard length >= 0 else { throw SystemError(code: errno) }
      return data.prefix(length)
    }
  }
}

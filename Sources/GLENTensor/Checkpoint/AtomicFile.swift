import GLENPlatform

/// Writes a file so that its name never shows anything but the old or the whole new contents.
///
/// The bytes go to a temporary file beside it, are flushed to the disk, and then take the name. A
/// symbolic link is followed, and a file that is replaced keeps its permissions; what is no file (a pipe, a terminal) is written directly, and so is what the
/// process has open, as `/dev/stdout` names it, wherever that leads.
public enum AtomicFile {
  /// Writes the parts that `body` hands over, in order.
  ///
  /// - Parameter other: where the earlier file stays once the new one is whole, in place of what is there;
  ///   it goes if nil, or where the file system knows no second names.
  /// - Throws: `TensorError.file` with the path and the system's reason (a full disk, say); the
  ///   earlier file is then as it was and the temporary one is gone.
  public static func write(
    to url: URL, keepingEarlierAs other: URL? = nil,
    _ body: ((UnsafeRawBufferPointer) throws -> Void) throws -> Void
  ) throws {
    if let (descriptor, path) = try openDirectly(url) {
      defer { close(descriptor) }
      let blocks = FileBlocks(descriptor: descriptor, path: path)
      return try body { try blocks.write($0) }
    }
    let url = target(of: url)
    let (temporary, descriptor) = try makeTemporary(beside: url.path)
    var isOpen = true
    do {
      var blocks = FileBlocks(descriptor: descriptor, path: url.path)
      try body { try blocks.append($0) }
      try blocks.finish()
      guard fsync(descriptor) == 0 else { throw failure(url.path, "could not be flushed") }
      isOpen = false
      guard close(descriptor) == 0 else { throw failure(url.path, "could not be closed") }
      if let other { keep(url, as: other) }
      guard rename(temporary, url.path) == 0 else { throw failure(url.path, "cannot be replaced") }
    } catch {
      if isOpen { close(descriptor) }
      unlink(temporary)
      throw error
    }
    // The new name itself must survive a power cut too.
    let folder = open(url.deletingLastPathComponent().path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    if folder >= 0 {
      fsync(folder)
      close(folder)
    }
  }

  /// Makes a folder, and those above it, if they are not there.
  ///
  /// - Throws: `TensorError.file` with the path and the system's reason.
  public static func makeFolder(_ url: URL) throws(TensorError) {
    var status = stat()
    if stat(url.path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR { return }
    if mkdir(url.path, 0o777) == 0 { return }
    let parent = url.deletingLastPathComponent()
    if errno == ENOENT, parent.path != url.path {
      try makeFolder(parent)
      // Another process may have been faster.
      if mkdir(url.path, 0o777) == 0 || errno == EEXIST { return }
    }
    throw failure(url.path, "the folder cannot be made")
  }

  /// Writes data.
  ///
  /// - Throws: `TensorError.file`.
  public static func write(_ data: Data, to url: URL) throws {
    try write(to: url) { append in try data.withUnsafeBytes(append) }
  }

  /// The file that is written in the place of `url`: where symbolic links lead, even to what is not there
  /// yet.
  package static func target(of url: URL) -> URL {
    var url = url.resolvingSymlinksInPath()
    // What does not exist is not resolved; forty links are the system's limit, too.
    for _ in 0..<40 {
      guard
        let next = try? FileManager.default.destinationOfSymbolicLink(atPath: url.path)
      else { break }
      let parent = url.deletingLastPathComponent()
      url = URL(fileURLWithPath: next, relativeTo: parent).absoluteURL.resolvingSymlinksInPath()
    }
    return url
  }

  /// Gives a file a second name, in place of what has that name.
  private static func keep(_ url: URL, as other: URL) {
    let temporary = temporaryName(other.path)
    guard link(url.path, temporary) == 0 else { return }
    // Two names of one file are left as they are.
    if rename(temporary, other.path) != 0 || access(temporary, F_OK) == 0 { unlink(temporary) }
  }

  /// Checks that a file could be written now, by making a temporary one beside it and removing it.
  ///
  /// For whoever computes for long before there is something to write. Nothing is changed.
  ///
  /// - Throws: `TensorError.file` with the path and the system's reason.
  public static func checkWritable(_ url: URL) throws(TensorError) {
    if let number = ownDescriptor(url) {
      let flags = fcntl(number, F_GETFL)
      if flags >= 0, flags & O_ACCMODE == O_RDONLY { errno = EBADF }
      guard flags >= 0, flags & O_ACCMODE != O_RDONLY else {
        throw failure(url.path, "cannot be written")
      }
      return
    }
    let path = target(of: url).path
    var status = stat()
    if stat(path, &status) == 0, status.st_mode & S_IFMT != S_IFREG {
      let isFolder = status.st_mode & S_IFMT == S_IFDIR
      if isFolder { errno = EISDIR }
      if isFolder || access(path, W_OK) != 0 { throw failure(path, "cannot be written") }
      return
    }
    let (temporary, descriptor) = try makeTemporary(beside: path)
    close(descriptor)
    unlink(temporary)
  }

  /// A name beside a file's that no other has.
  ///
  /// `removeLeftovers` knows it. A long name is cut, because names
  /// end at 255 bytes.
  private static func temporaryName(_ path: String) -> String {
    let folder = path.lastIndex(of: "/").map { path[...$0] } ?? ""
    var name = path[folder.endIndex...]
    while name.utf8.count > 200 { name.removeLast() }
    return folder + name + ".writing-\(getpid())-\(UInt32.random(in: 0 ... .max))"
  }

  private static func makeTemporary(
    beside path: String
  ) throws(TensorError) -> (path: String, descriptor: Int32) {
    let temporary = temporaryName(path)
    var earlier = stat()
    let exists = stat(path, &earlier) == 0
    let mode: mode_t = exists ? 0o600 : 0o644
    let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode)
    guard descriptor >= 0 else { throw failure(path, "cannot be written") }
    // What only its owner may read stays so, and stays its owner's where this process may say so. Some file
    // systems know no permissions.
    if exists {
      if earlier.st_uid != geteuid() { fchown(descriptor, earlier.st_uid, earlier.st_gid) }
      fchmod(descriptor, earlier.st_mode & 0o777)
    }
    return (temporary, descriptor)
  }

  /// Removes what processes left in a folder that ended, or were killed, while they wrote there.
  public static func removeLeftovers(in folder: URL) {
    let names = try? FileManager.default.contentsOfDirectory(atPath: folder.path)
    for name in names ?? [] {
      // <name>.writing-<process>-<number>
      let parts = name.split(separator: "-").suffix(3).map { String($0) }
      guard parts.count == 3, parts[0].hasSuffix(".writing"), let process = pid_t(parts[1]),
        UInt32(parts[2]) != nil,
        process > 0, kill(process, 0) != 0, errno == ESRCH
      else { continue }
      unlink(folder.appendingPathComponent(name).path)
    }
  }

  /// Opens what is written directly, for the caller to close; nil for a file that is written beside and
  /// takes its name when it is whole.
  ///
  /// - Throws: `TensorError.file`.
  package static func openDirectly(
    _ url: URL
  ) throws(TensorError) -> (descriptor: Int32, path: String)? {
    // Not opened anew: that would begin where the file begins, and sockets cannot be.
    if let number = ownDescriptor(url) {
      let descriptor = fcntl(number, F_DUPFD_CLOEXEC, 0)
      guard descriptor >= 0 else { throw failure(url.path, "cannot be written") }
      return (descriptor, url.path)
    }
    let path = target(of: url).path
    var status = stat()
    guard stat(path, &status) == 0, status.st_mode & S_IFMT != S_IFREG else { return nil }
    let descriptor = open(path, O_WRONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw failure(path, "cannot be written") }
    return (descriptor, path)
  }

  /// The number of this process's descriptor that a path names, or that its links lead to.
  private static func ownDescriptor(_ url: URL) -> Int32? {
    var url = url
    for _ in 0..<40 {
      let path = url.path
      for folder in [
        "/dev/fd/", "/proc/self/fd/", "/proc/thread-self/fd/", "/proc/\(getpid())/fd/",
      ]
      where path.hasPrefix(folder) {
        return Int32(path.dropFirst(folder.count))
      }
      guard let next = try? FileManager.default.destinationOfSymbolicLink(atPath: path) else {
        return nil
      }
      url = URL(fileURLWithPath: next, relativeTo: url.deletingLastPathComponent()).absoluteURL
    }
    return nil
  }

  fileprivate static func failure(
    _ path: String, _ what: String, _ error: SystemError = SystemError(code: errno)
  ) -> TensorError {
    .file(path: path, reason: "\(what): \(error)")
  }
}

/// What is written to a file, in whole blocks from its beginning on.
///
/// Linux keeps what comes in one call, at a multiple of its size, in pages as large: such weights are
/// mapped in two megabytes at a time.
private struct FileBlocks {
  let descriptor: Int32
  let path: String
  private var block: [UInt8] = []
  private static let byteCount = 8 << 20

  init(descriptor: Int32, path: String) { (self.descriptor, self.path) = (descriptor, path) }

  /// Adds bytes, and writes the blocks that they fill.
  mutating func append(_ bytes: UnsafeRawBufferPointer) throws {
    var rest = bytes[...]
    while !rest.isEmpty {
      let part = rest.prefix(Self.byteCount - block.count)
      block += part
      rest = rest.dropFirst(part.count)
      if block.count == Self.byteCount { try finish() }
    }
  }

  /// Writes what fills no block.
  mutating func finish() throws {
    try block.withUnsafeBytes { try write($0) }
    block.removeAll(keepingCapacity: true)
  }

  /// Writes bytes at once.
  func write(_ bytes: UnsafeRawBufferPointer) throws {
    do {
      try OpenFile.write(bytes, to: descriptor)
    } catch {
      throw AtomicFile.failure(path, "could not be written", error)
    }
  }
}

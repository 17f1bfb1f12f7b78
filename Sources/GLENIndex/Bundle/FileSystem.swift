import GLENPlatform

/// The few system calls that saving and opening need, with errors that name the path.
enum FileSystem {
  static func openForReading(_ path: String) throws(IndexError) -> Int32 {
    // Not to wait for somebody who writes, where it is a pipe.
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else {
      throw .fileSystem(operation: "open file", path: path, code: errno)
    }
    return descriptor
  }

  /// The length of an open file, which must be a regular one.
  static func length(ofDescriptor descriptor: Int32, path: String) throws(IndexError) -> Int {
    var status = stat()
    guard fstat(descriptor, &status) == 0 else {
      throw .fileSystem(operation: "read file status", path: path, code: errno)
    }
    guard status.st_mode & S_IFMT == S_IFREG else {
      throw .damagedFile(path: path, problem: "it is not a regular file")
    }
    return Int(status.st_size)
  }

  /// Reads a small file as a whole.
  static func contents(of path: String, limit: Int) throws(IndexError) -> [UInt8] {
    let descriptor = try openForReading(path)
    defer { close(descriptor) }
    let length = try length(ofDescriptor: descriptor, path: path)
    guard length <= limit else {
      throw .damagedFile(
        path: path, problem: "it is too long; expected at most \(limit) bytes, got \(length)")
    }
    var bytes: [UInt8] = []
    var failure: Int32 = 0
    while bytes.count <= limit, failure == 0 {
      let chunk = [UInt8](unsafeUninitializedCapacity: 1 << 16) { buffer, count in
        let received = read(descriptor, buffer.baseAddress, buffer.count)
        if received < 0 { failure = errno }
        count = max(received, 0)
      }
      if failure == EINTR {
        failure = 0
      } else if chunk.isEmpty {
        break
      } else {
        bytes += chunk
      }
    }
    guard failure == 0 else {
      throw .fileSystem(operation: "read file", path: path, code: failure)
    }
    return bytes
  }

  /// The length of a file in bytes.
  static func length(of path: String) throws(IndexError) -> Int {
    let descriptor = try openForReading(path)
    defer { close(descriptor) }
    return try length(ofDescriptor: descriptor, path: path)
  }

  /// Writes a new file and brings it to the disk; a file that fails half-way is removed.
  static func write(_ bytes: UnsafeRawBufferPointer, toNew path: String) throws(IndexError) {
    let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else {
      throw .fileSystem(operation: "create file", path: path, code: errno)
    }
    var failure: Int32 = 0
    do {
      try OpenFile.write(bytes, to: descriptor)
    } catch {
      failure = error.code
    }
    if failure == 0, flush(descriptor) != 0 { failure = errno }
    if close(descriptor) != 0, failure == 0 { failure = errno }
    guard failure == 0 else {
      remove(path)
      throw .fileSystem(operation: "write file", path: path, code: failure)
    }
  }

  /// Brings a file to the medium; -1, with `errno`, where that fails.
  private static func flush(_ descriptor: Int32) -> Int32 {
    #if canImport(Darwin)
      // There `fsync` ends with the disk's own memory. Not all file systems know the other.
      if fcntl(descriptor, F_FULLFSYNC) == 0 { return 0 }
    #endif
    return fsync(descriptor)
  }

  /// Gives a file its final name, atomically replacing what has that name.
  static func move(_ path: String, to destination: String) throws(IndexError) {
    guard rename(path, destination) == 0 else {
      throw .fileSystem(operation: "rename file", path: destination, code: errno)
    }
  }

  /// Tells a file from another that took its name.
  struct Identity: Equatable {
    private let device: UInt64, number: UInt64, size: Int64, seconds: Int64, nanoseconds: Int64

    /// That of a path, or nil where nothing is.
    init?(_ path: String) {
      var status = stat()
      guard stat(path, &status) == 0 else { return nil }
      (device, number) = (UInt64(truncatingIfNeeded: status.st_dev), UInt64(status.st_ino))
      size = Int64(status.st_size)
      #if canImport(Darwin)
        let time = status.st_mtimespec
      #else
        let time = status.st_mtim
      #endif
      (seconds, nanoseconds) = (Int64(time.tv_sec), Int64(time.tv_nsec))
    }
  }

  /// Removes a file if it is there; for cleaning up, where failing changes nothing.
  static func remove(_ path: String) {
    unlink(path)
  }

  /// Brings the names in a folder to the disk.
  static func synchronize(folder path: String) throws(IndexError) {
    let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else {
      throw .fileSystem(operation: "open folder", path: path, code: errno)
    }
    defer { close(descriptor) }
    // Some file systems cannot synchronise folders and say so; that is no failure of the save.
    guard flush(descriptor) == 0 || errno == EINVAL || errno == ENOTSUP else {
      throw .fileSystem(operation: "synchronise folder", path: path, code: errno)
    }
  }

  /// Makes a folder and those above it; returns the paths that are new, outermost first.
  static func makeFolders(_ path: String) throws(IndexError) -> [String] {
    var status = stat()
    if stat(path, &status) == 0 {
      guard status.st_mode & S_IFMT == S_IFDIR else {
        throw .fileSystem(operation: "make folder", path: path, code: ENOTDIR)
      }
      return []
    }
    var made: [String] = []
    let parent = parent(of: path)
    if parent != path { made = try makeFolders(parent) }
    guard mkdir(path, 0o755) == 0 else {
      if errno == EEXIST { return made }
      let code = errno
      for folder in made.reversed() { rmdir(folder) }
      throw .fileSystem(operation: "make folder", path: path, code: code)
    }
    return made + [path]
  }

  /// Removes folders that are empty, innermost first.
  static func removeFolders(_ paths: [String]) {
    for path in paths.reversed() { rmdir(path) }
  }

  /// The names in a folder, or none if it cannot be read; for cleaning up.
  static func names(in folder: String) -> [String] {
    guard let stream = opendir(folder) else { return [] }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
      // In place: an entry is as long as its name, and may end where the memory does.
      let name = UnsafeRawPointer(entry) + (MemoryLayout<dirent>.offset(of: \.d_name) ?? 0)
      names.append(String(cString: name.assumingMemoryBound(to: CChar.self)))
    }
    return names
  }

  /// The folder that holds a path.
  static func parent(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }
}

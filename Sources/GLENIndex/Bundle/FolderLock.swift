import GLENPlatform

/// Keeps two savers, of this process or another, from writing one folder at a time.
///
/// The system gives the lock back when a process ends, however it ends.
struct FolderLock {
  private let descriptor: Int32

  /// Waits for the folder.
  init(_ folder: String) throws(IndexError) {
    descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else {
      throw .fileSystem(operation: "lock folder", path: folder, code: errno)
    }
    while flock(descriptor, LOCK_EX) != 0 {
      guard errno == EINTR else {
        let code = errno
        close(descriptor)
        throw .fileSystem(operation: "lock folder", path: folder, code: code)
      }
    }
  }

  /// Lets the next one in.
  func release() {
    flock(descriptor, LOCK_UN)
    close(descriptor)
  }
}

import GLENPlatform

/// Keeps two runs, of this process or another, from writing into one folder.
///
/// It is a file, `training.lock`, that the run holds and removes; the system gives it back when a process
/// ends, however it ends, and a file that was left behind hinders nobody.
struct RunLock {
  private let path: String
  private let descriptor: Int32

  /// Takes the folder.
  ///
  /// - Throws: `TrainingError.folderInUse` if another run has it, `.unwritableFile`.
  init(_ folder: URL) throws(TrainingError) {
    path = folder.appendingPathComponent("training.lock").path
    while true {
      let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
      guard descriptor >= 0 else {
        throw .unwritableFile(path: path, reason: String(cString: strerror(errno)))
      }
      // A file system that knows no locks lets everybody in.
      let code = flock(descriptor, LOCK_EX | LOCK_NB) == 0 ? 0 : errno
      if code == EINTR || code == EWOULDBLOCK {
        close(descriptor)
        if code == EWOULDBLOCK { throw .folderInUse(path: folder.path) }
        continue
      }
      // Whoever had it may have removed the file since it was opened here.
      var (held, named) = (stat(), stat())
      if fstat(descriptor, &held) == 0, stat(path, &named) == 0, held.st_ino == named.st_ino {
        self.descriptor = descriptor
        return
      }
      close(descriptor)
    }
  }

  /// Lets the next one in.
  func release() {
    unlink(path)
    close(descriptor)
  }
}

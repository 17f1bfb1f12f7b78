import Foundation

/// A folder of its own for one test, gone with it; in memory where there is such a place, because
/// thousands of small files wait for a disk.
final class TemporaryFolder: Sendable {
  let url: URL

  init() throws {
    let memory = URL(fileURLWithPath: "/dev/shm", isDirectory: true)
    let parent =
      FileManager.default.isWritableFile(atPath: memory.path)
      ? memory : FileManager.default.temporaryDirectory
    url = parent.appendingPathComponent("glen-tensor-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(at: url) }

  /// The names of the files that are there.
  var names: [String] {
    get throws { try FileManager.default.contentsOfDirectory(atPath: url.path).sorted() }
  }

  /// A file in the folder.
  func file(_ name: String) -> URL { url.appendingPathComponent(name) }

  /// A file with the given bytes.
  func write(_ bytes: some Sequence<UInt8>, to name: String = "file") throws -> URL {
    let url = file(name)
    try Data(bytes).write(to: url)
    return url
  }
}

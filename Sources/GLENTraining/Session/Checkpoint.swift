import Foundation
import GLENTensor

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// A file from which a run goes on, read and found whole.
///
/// It has a checksum, which a changed byte anywhere in it does not pass. The one before it is kept under
/// another name: if the newer is damaged, a run goes on from the older, and makes again what lies between.
struct Checkpoint {
  let url: URL
  let file: SafetensorsFile

  /// Reads a file and checks it.
  ///
  /// - Throws: `TensorError.checkpoint` if it is damaged, `.file` if it cannot be read.
  init(contentsOf url: URL) throws(TensorError) {
    self.url = url
    file = try SafetensorsFile(contentsOf: url)
    try file.verifyChecksum()
  }

  /// The phase that it belongs to.
  var phase: String? { file.metadata["phase"] }
  /// Whether its phase is over.
  var hasEnded: Bool { file.metadata["ended"] == "yes" }
  /// The recipe that its run had, as JSON.
  var recipe: Data { Data((file.metadata["recipe"] ?? "").utf8) }

  /// Where the one before `url` is: beside the file itself, if `url` is a symbolic link, since a second name
  /// is of the same file system.
  static func predecessor(of url: URL) -> URL {
    let url = url.resolvingSymlinksInPath()
    return url.deletingPathExtension().appendingPathExtension("previous").appendingPathExtension(
      url.pathExtension)
  }

  /// What a recipe, as JSON, has that its run's had not, in words.
  func changes(to recipe: Data) -> [String] {
    Recipe.differences(from: self.recipe, to: recipe).map {
      "the run goes on with another recipe: \($0)"
    }
  }

  /// Whether there is one, or one before it.
  static func exists(at url: URL) -> Bool {
    [url, predecessor(of: url)].contains { FileManager.default.fileExists(atPath: $0.path) }
  }

  /// Writes one in the place of an earlier one, which becomes the one before when this one is whole.
  ///
  /// - Throws: `TensorError.file`, on a full disk for instance; both are then as they were.
  static func write(
    _ contents: [(name: String, content: SafetensorsFile.Content)], metadata: [String: String],
    to url: URL
  ) throws {
    try SafetensorsFile.write(
      contents, metadata: metadata, isChecksummed: true, to: url,
      keepingEarlierAs: predecessor(of: url))
  }

  /// Reads the newest that is whole.
  ///
  /// If that is the one before, it takes the place of the newest, so that a damaged one is never kept as
  /// the one before the next.
  ///
  /// - Parameter warn: is told so.
  /// - Throws: what is wrong with the newest, if the one before is no better.
  static func newest(at url: URL, warn: (String) -> Void) throws -> Checkpoint {
    do {
      return try Checkpoint(contentsOf: url)
    } catch {
      let earlier = predecessor(of: url)
      guard let found = try? Checkpoint(contentsOf: earlier) else {
        guard FileManager.default.fileExists(atPath: earlier.path) else { throw error }
        throw TrainingError.checkpoint(
          path: url.path, reason: "is of no use, nor is \(earlier.lastPathComponent) (\(error))")
      }
      warn("\(error); going on from the one before, \(earlier.lastPathComponent)")
      guard rename(earlier.path, url.resolvingSymlinksInPath().path) == 0 else {
        throw TrainingError.unwritableFile(path: url.path, reason: String(cString: strerror(errno)))
      }
      return found
    }
  }

  /// Removes both, and a symbolic link with its file.
  ///
  /// The newest goes last: while it is there, a run has not ended.
  static func remove(at url: URL) {
    for url in [predecessor(of: url), url.resolvingSymlinksInPath(), url] {
      try? FileManager.default.removeItem(at: url)
    }
  }
}

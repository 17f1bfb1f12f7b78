import GLENPlatform
import GLENTensor

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
  /// Before the names of what a run must agree on to go on from it.
  static let fingerprintPrefix = "fingerprint: "
  /// What a run must agree on to go on from it, by name.
  var fingerprint: [String: String] {
    Dictionary(
      uniqueKeysWithValues: file.metadata.compactMap { key, part in
        key.hasPrefix(Self.fingerprintPrefix)
          ? (String(key.dropFirst(Self.fingerprintPrefix.count)), part) : nil
      })
  }
  /// The recipe that its run had, as JSON.
  var recipe: Data { Data((file.metadata["recipe"] ?? "").utf8) }

  /// Where the one before `url` is: beside the file itself, if `url` is a symbolic link, since a second name
  /// is of the same file system.
  static func predecessor(of url: URL) -> URL {
    let url = AtomicFile.target(of: url)
    return url.deletingPathExtension().appendingPathExtension("previous").appendingPathExtension(
      url.pathExtension)
  }

  /// What a recipe, as JSON, has that its run's had not, in words.
  func changes(to recipe: Data) -> [String] {
    Recipe.differences(from: self.recipe, to: recipe).map {
      "the run goes on with another recipe: \($0)"
    }
  }

  /// Whether there is one, or one before it, or a symbolic link to one that is not there now.
  static func exists(at url: URL) -> Bool {
    let manager = FileManager.default
    return [url, predecessor(of: url)].contains { manager.fileExists(atPath: $0.path) }
      || (try? manager.destinationOfSymbolicLink(atPath: url.path)) != nil
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
  /// The one before stands in for one that is damaged or gone, and not for one that cannot be read, which may
  /// be sound. Nothing is changed: see `takePlace`.
  ///
  /// - Parameter warn: is told which it is if not the newest.
  /// - Throws: what is wrong with the newest, if the one before is no better.
  static func newest(at url: URL, warn: (String) -> Void) throws -> Checkpoint {
    let problem: TensorError
    do throws(TensorError) {
      return try Checkpoint(contentsOf: url)
    } catch {
      problem = error
    }
    var isUnreadable = false
    if case .file = problem { isUnreadable = FileManager.default.fileExists(atPath: url.path) }
    let earlier = predecessor(of: url)
    guard !isUnreadable, FileManager.default.fileExists(atPath: earlier.path) else { throw problem }
    guard let found = try? Checkpoint(contentsOf: earlier) else {
      throw TrainingError.checkpoint(
        path: url.path, reason: "is of no use, nor is \(earlier.lastPathComponent) (\(problem))")
    }
    warn("\(problem); going on from the one before, \(earlier.lastPathComponent)")
    return found
  }

  /// Makes the one that a run goes on from the newest, so that a damaged one is never kept as the one
  /// before the next.
  func takePlace(of newest: URL) throws(TrainingError) {
    let newest = AtomicFile.target(of: newest)
    guard AtomicFile.target(of: url) != newest else { return }
    guard rename(url.path, newest.path) == 0 else {
      throw .unwritableFile(path: newest.path, reason: String(cString: strerror(errno)))
    }
  }

  /// Removes both, and a symbolic link with its file.
  ///
  /// The newest goes last: while it is there, a run has not ended.
  static func remove(at url: URL) {
    for url in [predecessor(of: url), AtomicFile.target(of: url), url] {
      try? FileManager.default.removeItem(at: url)
    }
  }
}

import GLENModel
import GLENPlatform
import GLENTensor

extension Retriever {
  /// The folder that a retriever was opened from, and the state that it had.
  struct Source: Sendable {
    var url: URL
    var manifest: IndexManifest
    var backend: any Backend
  }

  /// Opens an index folder.
  ///
  /// Its files are mapped, not read: opening takes milliseconds, and pages come in as they are used.
  ///
  /// - Parameters:
  ///   - url: the folder.
  ///   - backend: the model's device; by default the processor, with as many threads as the
  ///     configuration says.
  ///   - configuration: how much of the machine is taken, and how callers are batched.
  ///   - warn: receives what is odd about the model and yet no error.
  /// - Throws: `IndexError` for a damaged folder, or one whose model is not the one that made the
  ///   identifiers; what opening a model throws.
  public init(
    opening url: URL, on backend: (any Backend)? = nil,
    configuration: RetrieverConfiguration = .init(), warn: (String) -> Void = { _ in }
  ) throws {
    let backend =
      backend ?? configuration.threadCount.map { CPUBackend(threadCount: $0) } ?? CPUBackend.shared
    try self.init(
      Source(
        url: url, manifest: try IndexFolder.readManifest(in: url.path), backend: backend),
      configuration, warn: warn)
  }

  /// Opens an index folder without blocking the caller's thread.
  ///
  /// - Throws: as the synchronous form.
  public init(
    opening url: URL, on backend: (any Backend)? = nil,
    configuration: RetrieverConfiguration = .init(),
    warn: @escaping @Sendable (String) -> Void = { _ in }
  ) async throws {
    self = try await Parallel.detached {
      try Retriever(opening: url, on: backend, configuration: configuration, warn: warn)
    }
  }

  /// A retriever over what the folder holds now, or nil if that is what this one holds.
  ///
  /// For a server that follows the commits of a writer: keep the current retriever in one place, ask
  /// every so often, and replace it. Searches that have begun end with the snapshot that they began
  /// with. If the model is the same it stays loaded, and callers of both snapshots are batched
  /// together; filters must be made again.
  ///
  /// - Throws: `IndexError` as opening does; `IndexError.invalidSearch` if this retriever was not
  ///   opened from a folder.
  /// - Complexity: O(size of the manifest) if nothing changed.
  public func reopenedIfChanged() async throws -> Retriever? {
    guard let source else {
      throw IndexError.invalidSearch(
        "reopen index: this retriever was made in memory; expected one that was opened from a "
          + "folder; save it and open it")
    }
    let retriever = self
    return try await Parallel.detached { [source] in
      var source = source
      let manifest = try IndexFolder.readManifest(in: source.url.path)
      guard manifest != source.manifest else { return nil }
      source.manifest = manifest
      return try Retriever(source, retriever.configuration, sharing: retriever)
    }
  }

  private init(
    _ source: Source, _ configuration: RetrieverConfiguration, sharing other: Retriever? = nil,
    warn: (String) -> Void = { _ in }
  ) throws {
    var source = source
    while true {
      do {
        let opened = try IndexFolder.openWithManifest(source.url.path)
        source.manifest = opened.manifest
        let snapshot = opened.snapshot
        if let other, other.model?.fingerprint == snapshot.modelFingerprint {
          try self.init(other.batcher, snapshot, configuration, source: source)
        } else {
          let model = try ModelFolder(
            inIndex: source.url, fingerprint: snapshot.modelFingerprint, on: source.backend,
            warn: warn)
          let fresh = try Retriever(
            model: model, snapshot: snapshot, configuration: configuration)
          try self.init(fresh.batcher, snapshot, configuration, source: source)
        }
        return
      } catch {
        // A save that ended just now may have removed what the old manifest names.
        let newer = try IndexFolder.readManifest(in: source.url.path)
        guard newer != source.manifest else { throw error }
        source.manifest = newer
      }
    }
  }

  /// Checks everything in an index folder, with the checksums of all files, its model's among them.
  ///
  /// - Throws: `IndexError` that names the first file that is missing or damaged, or a model whose
  ///   scores are not finite; what opening a model throws.
  /// - Complexity: O(size of the folder).
  public static func verify(_ url: URL) throws {
    for _ in 0..<8 {
      let manifest = try IndexFolder.readManifest(in: url.path)
      do {
        return try verifyOnce(url)
      } catch {
        // A save that ended just now may have removed what was looked at.
        guard try IndexFolder.readManifest(in: url.path) != manifest else { throw error }
      }
    }
    try verifyOnce(url)
  }

  private static func verifyOnce(_ url: URL) throws {
    try IndexFolder.verify(url)
    let retriever = try Retriever(opening: url)
    try ModelChecksums.verify(
      in: modelURL(in: url, fingerprint: retriever.snapshot.modelFingerprint).path)
    if let model = retriever.model,
      let name = try model.generator.model.nameOfNonFiniteParameter()
    {
      throw IndexError.damagedFile(
        path: model.url.path, problem: "the weight \(name) is not a number everywhere")
    }
    // Weights may be numbers, and so large that no score is one.
    _ = try retriever.model?.scores(of: [""])
  }

  static func modelURL(in index: URL, fingerprint: String) -> URL {
    index.appendingPathComponent("model-" + fingerprint)
  }
}

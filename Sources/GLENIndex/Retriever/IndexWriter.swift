import GLENPlatform
import GLENTensor
import Synchronization

/// Adds, replaces, and removes documents of an index folder while others search it.
///
/// Changes gather in memory; ``commit()`` makes all of them visible in one step, and whoever has the
/// folder open keeps what it sees. The index's own model gives new documents their identifiers: nothing
/// is trained.
///
/// ```swift
/// let writer = try IndexWriter(opening: url)
/// try writer.add([Document(id: "moth", text: "Moths find each other by scent.")])
/// try writer.remove(ids: ["bread"])
/// try writer.commit()
/// ```
///
/// Any number of tasks may share a writer, and several writers, of other processes too, may have one
/// folder open: only a commit takes the folder's lock, and applies the changes to what the folder holds
/// then. `add` and `update` keep their thread busy with the model, the other methods with the disk.
public final class IndexWriter: Sendable {
  /// The index folder.
  public let url: URL

  private let backend: any Backend
  private let state: Mutex<State>

  private struct State {
    var editor: IndexEditor
    var indexer: Indexer?
  }

  /// Opens an index folder; the model is opened when the first document is added.
  ///
  /// - Throws: `IndexError` for a folder that holds no index, or a damaged one.
  public init(opening url: URL, on backend: any Backend = CPUBackend.shared) throws {
    self.url = url
    self.backend = backend
    self.state = Mutex(State(editor: try IndexEditor(folder: url.path)))
  }

  /// Whether there are changes that are not committed.
  ///
  /// - Complexity: O(1).
  public var hasChanges: Bool { state.withLock { $0.editor.hasChanges } }

  /// Whether a document would be in the index after a commit, by what the folder holds now.
  ///
  /// - Complexity: O(segments * log(documents)) comparisons of names, and one look at the folder.
  public func contains(id: String) -> Bool {
    state.withLock { state in
      // Where the folder cannot be read, what it held before is the best answer.
      try? state.editor.lookAgain()
      return state.editor.contains(id)
    }
  }

  /// Adds documents.
  ///
  /// - Parameters:
  ///   - documents: Their ids must be new to the index.
  ///   - progress: Receives the number of documents done.
  /// - Throws: `IndexError.invalidDocuments` that names an id which is taken, and then none is added;
  ///   what opening the model and indexing throw.
  public func add(_ documents: [Document], progress: (Int) -> Void = { _ in }) throws {
    try add(documents, replacing: false, progress)
  }

  /// Adds documents instead of those that have their ids; an id that is new is added.
  ///
  /// Those that have them at the commit: of two writers that update one document the last one's stays.
  ///
  /// - Parameters:
  ///   - documents: Their ids must differ from one another.
  ///   - progress: Receives the number of documents done.
  /// - Throws: as `add`.
  public func update(_ documents: [Document], progress: (Int) -> Void = { _ in }) throws {
    try add(documents, replacing: true, progress)
  }

  /// Removes documents.
  ///
  /// - Throws: `IndexError.invalidDocuments` that names an id which is not in the index, and then none
  ///   is removed.
  public func remove(ids: some Sequence<String>) throws {
    let ids = Array(ids)
    try state.withLock { try $0.editor.remove(ids) }
  }

  /// Makes the changes the state of the folder, in one step; says whether that changed it.
  ///
  /// Small segments of earlier commits are merged on the way, so that there are never many.
  ///
  /// - Throws: `IndexError`; the folder is as it was, and the changes are kept. It names an id that was
  ///   added here and, meanwhile, by another writer. If ``hasChanges`` is false after an error, the changes
  ///   are made, and the disk did not confirm that they would survive a loss of power.
  @discardableResult
  public func commit() throws -> Bool {
    try state.withLock { try $0.editor.commit() }
  }

  /// Commits, and merges all segments into one without the deleted documents; says whether that changed
  /// the folder.
  ///
  /// The model is not asked: identifiers and weights stay as they are, to the last bit.
  ///
  /// - Throws: as `commit`.
  @discardableResult
  public func compact() throws -> Bool {
    try state.withLock { try $0.editor.commit(compacting: true) }
  }

  /// Forgets all changes that are not committed.
  ///
  /// - Throws: `IndexError` if the folder can no longer be opened.
  public func discardChanges() throws {
    try state.withLock { try $0.editor.reset() }
  }

  private func add(
    _ documents: [Document], replacing: Bool, _ progress: (Int) -> Void
  ) throws {
    guard !documents.isEmpty else { return }
    let (indexer, keepsKeywords) = try state.withLock { state in
      try state.editor.lookAgain()
      if !replacing, let taken = documents.first(where: { state.editor.contains($0.id) }) {
        throw IndexEditor.isThereAlready(taken.id)
      }
      let fingerprint = state.editor.snapshot.modelFingerprint
      if let indexer = state.indexer, indexer.model.fingerprint == fingerprint {
        return (indexer, state.editor.keepsKeywords)
      }
      let model: ModelFolder
      do {
        model = try ModelFolder(inIndex: url, fingerprint: fingerprint, on: backend)
      } catch {
        // A save that ended just now removes the model before.
        let now = try IndexFolder.readManifest(in: url.path)
        throw now.modelFingerprint == fingerprint
          ? error : IndexError.replacedMeanwhile(path: url.path)
      }
      let indexer = Indexer(model: model)
      state.indexer = indexer
      return (indexer, state.editor.keepsKeywords)
    }
    // Without the lock: the model takes its time.
    let records = try indexer.records(of: documents, progress: progress)
    let keywords =
      keepsKeywords ? documents.map { indexer.model.keywords(of: $0.fullText) } : nil
    try state.withLock {
      // Another task may have discarded the changes meanwhile, and so looked at the folder again.
      guard indexer.model.fingerprint == $0.editor.snapshot.modelFingerprint else {
        throw IndexError.replacedMeanwhile(path: url.path)
      }
      try $0.editor.add(records, keywords: keywords, replacing: replacing)
    }
  }
}

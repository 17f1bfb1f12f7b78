import GLENPlatform

/// Changes on their way into an index folder: documents to add and names to remove.
///
/// Nothing is written before `commit`. A commit takes the folder's lock, looks at what the folder holds
/// by then, and applies the changes to that; so several editors may prepare changes at the same time,
/// for as long as their models need, and none undoes what another has committed.
struct IndexEditor: Sendable {
  /// The folder.
  let folder: String

  /// What the folder held when it was last looked at.
  private(set) var snapshot: IndexSnapshot

  private var manifest: IndexManifest

  /// Which file the manifest was read from.
  private var source: FileSystem.Identity?
  private var added = DocumentRecords()

  /// The keywords of the documents of `added`, nil where none were given.
  private var keywords: [[Int32]?] = []

  /// Where the documents that shall be added stand in `added`, by their names.
  private var places: [ExactText: Int] = [:]

  /// The names of documents that shall be deleted, before those of `added` come in; the index may have none
  /// of a name, until another editor commits one.
  private var removed: Set<ExactText> = []

  /// Looks at a folder.
  init(folder: String) throws(IndexError) {
    self.folder = folder
    source = FileSystem.Identity(folder + "/" + IndexManifest.fileName)
    (manifest, snapshot) = try IndexFolder.openWithManifest(folder)
  }

  /// Whether there is anything to commit.
  var hasChanges: Bool { !places.isEmpty || !removed.isEmpty }

  /// How many documents are kept for the commit, those among them that will not be in it.
  var pendingRecordCount: Int { added.ids.count }

  /// Whether the index holds its documents' keywords, and so needs those of new ones.
  var keepsKeywords: Bool {
    !snapshot.segments.isEmpty && snapshot.segments.allSatisfy { $0.keywords != nil }
  }

  /// Whether a document would be there after a commit.
  func contains(_ id: String) -> Bool {
    let name = ExactText(id)
    return places[name] != nil || (!removed.contains(name) && snapshot.document(withID: id) != nil)
  }

  /// Adds documents; with `replacing`, instead of those that have their names.
  ///
  /// Throws without adding any if one is there already, or two have the same name.
  ///
  /// - Parameter pieces: The keywords of each document, for an index that keeps them.
  mutating func add(
    _ records: DocumentRecords, keywords pieces: [[Int32]]? = nil, replacing: Bool = false
  ) throws(IndexError) {
    guard records.tokens.count == records.ids.count * snapshot.identifierLength,
      records.weights.count == records.tokens.count
    else {
      throw .invalidIdentifiers(
        "add documents: the identifiers do not fit the index; expected "
          + "\(snapshot.identifierLength) tokens and weights a document, got "
          + "\(records.tokens.count) and \(records.weights.count) for \(records.ids.count) documents; "
          + "use the model that made the index")
    }
    var names: Set<ExactText> = []
    for id in records.ids {
      let isNew = names.insert(ExactText(id)).inserted
      guard isNew, replacing || !contains(id) else { throw Self.isThereAlready(id) }
    }
    for (place, id) in records.ids.enumerated() {
      let name = ExactText(id)
      // Also one that another editor commits until then.
      if replacing { removed.insert(name) }
      places[name] = added.ids.count
      added.append(records, place)
      keywords.append(pieces?[place])
    }
    if added.ids.count > 2 * places.count + 64 { dropSuperseded() }
  }

  /// Forgets documents that later ones have replaced, or that were removed again.
  private mutating func dropSuperseded() {
    let kept = places.values.sorted()
    added = added.ordered(kept)
    keywords = kept.map { keywords[$0] }
    for (place, id) in added.ids.enumerated() { places[ExactText(id)] = place }
  }

  /// Removes documents by their names; throws without removing any if one is not there.
  mutating func remove(_ ids: some Sequence<String>) throws(IndexError) {
    let ids = Array(ids)
    if !ids.allSatisfy(contains) { try lookAgain() }
    for id in ids where !contains(id) {
      throw .invalidDocuments(
        "remove documents: there is no document \"\(id)\"; expected a name that is in the index; "
          + "nothing was removed")
    }
    for id in ids {
      let name = ExactText(id)
      places[name] = nil
      removed.insert(name)
    }
  }

  /// Forgets all changes that are not committed, and looks at the folder again.
  mutating func reset() throws(IndexError) {
    self = try IndexEditor(folder: folder)
  }

  /// Makes the changes the state of the folder; says whether that changed it.
  ///
  /// If it throws, the folder is as it was and the changes are still here; but where only the last
  /// step fails, in which the disk says that it has the folder's new state, they are made.
  ///
  /// - Parameter compacting: Whether to merge all segments into one without the deleted documents.
  @discardableResult
  mutating func commit(
    compacting: Bool = false,
    confirm: (String) throws(IndexError) -> Void = { path throws(IndexError) in
      try FileSystem.synchronize(folder: path)
    }
  ) throws(IndexError) -> Bool {
    let lock = try FolderLock(folder)
    defer { lock.release() }
    try refresh()
    let changes =
      !places.isEmpty || removed.contains { snapshot.document(withID: $0.text) != nil }
    var segments = try segmentsAfterRemoving()
    segments.removeAll { $0.livingCount == 0 }
    // Where nothing is left a segment without documents keeps their format: keywords, weights.
    if !places.isEmpty || segments.isEmpty { segments.append(try newSegment()) }
    if compacting {
      let isCompact = segments.count <= 1 && segments.allSatisfy { $0.deleted == nil }
      if !isCompact { segments = [try merged(segments)] }
      guard changes || !isCompact || segments.count != snapshot.segments.count else {
        removed = []
        return false
      }
    } else {
      guard changes else {
        removed = []
        return false
      }
      segments = try mergingSmall(segments)
    }
    let next = try IndexSnapshot(
      segments, identifierLength: snapshot.identifierLength,
      vocabularySize: snapshot.vocabularySize, modelFingerprint: snapshot.modelFingerprint)
    let (now, unconfirmed) = try IndexFolder.commit(next, in: folder, confirm: confirm)
    // From here on the changes are the folder's, whatever else fails.
    (added, keywords, places, removed) = (DocumentRecords(), [], [:], [])
    // Where the new files cannot be mapped as well, what they were made of serves.
    (manifest, snapshot) = (now, (try? IndexFolder.open(folder, now)) ?? next)
    source = FileSystem.Identity(folder + "/" + IndexManifest.fileName)
    if let unconfirmed { throw unconfirmed }
    return true
  }

  /// Looks at what was committed by others, if anything was.
  ///
  /// Cheap where nothing was: the state of one file is asked for.
  mutating func lookAgain() throws(IndexError) {
    let path = folder + "/" + IndexManifest.fileName
    let now = FileSystem.Identity(path)
    guard now == nil || now != source else { return }
    let (newer, its) = try IndexFolder.openWithManifest(folder)
    guard newer.modelFingerprint == manifest.modelFingerprint else {
      throw .replacedMeanwhile(path: folder)
    }
    (source, manifest, snapshot) = (now, newer, its)
  }

  /// Looks at what was committed by others and at what is to be added beside it; the caller holds the lock.
  private mutating func refresh() throws(IndexError) {
    let now = try IndexFolder.readManifest(in: folder)
    if now != manifest {
      guard now.modelFingerprint == manifest.modelFingerprint else {
        throw .replacedMeanwhile(path: folder)
      }
      (manifest, snapshot) = (now, try IndexFolder.open(folder, now))
      source = FileSystem.Identity(folder + "/" + IndexManifest.fileName)
    }
    for name in places.keys where !removed.contains(name) {
      if snapshot.document(withID: name.text) != nil { throw Self.isThereAlready(name.text) }
    }
  }

  /// The segments of the folder without the removed documents.
  private func segmentsAfterRemoving() throws(IndexError) -> [IndexSegment] {
    var segments: [IndexSegment] = []
    for segment in snapshot.segments {
      let gone = removed.compactMap { segment.documents.document(withIdentifier: $0.text) }
      segments.append(try segment.deleting(gone))
    }
    return segments
  }

  /// The added documents as a segment in the format of those that there are.
  private func newSegment() throws(IndexError) -> IndexSegment {
    let places = places.values.sorted()
    let own = places.compactMap { keywords[$0] }
    guard !keepsKeywords || own.count == places.count else {
      throw .invalidDocuments(
        "add documents: the index keeps keywords by now, which \(places.count - own.count) of the "
          + "documents to add lack; discard the changes and make them again")
    }
    return try IndexSegment(
      added.ordered(places), keywords: keepsKeywords ? try KeywordIndex(documents: own) : nil,
      identifierLength: snapshot.identifierLength,
      vocabularySize: snapshot.vocabularySize,
      weightFormat: snapshot.segments.first?.table.weightFormat ?? .float32)
  }

  private func merged(_ segments: [IndexSegment]) throws(IndexError) -> IndexSegment {
    try IndexSegment.merging(
      segments, identifierLength: snapshot.identifierLength,
      vocabularySize: snapshot.vocabularySize)
  }

  /// Merges the last segments while the one before is not much larger: after any number of commits
  /// there are few segments, and each document was merged few times, both logarithmic.
  ///
  /// The first segment is left to `compact`: it is what the model was made for, and the drift report
  /// compares later documents with it.
  private func mergingSmall(_ segments: [IndexSegment]) throws(IndexError) -> [IndexSegment] {
    var first = max(segments.count - 1, 0)
    var size = segments.last?.livingCount ?? 0
    while first > 1, segments[first - 1].livingCount < 2 * size {
      first -= 1
      size += segments[first].livingCount
    }
    guard first < segments.count - 1 else { return segments }
    return segments[..<first] + [try merged(Array(segments[first...]))]
  }

  static func isThereAlready(_ id: String) -> IndexError {
    .invalidDocuments(
      "add documents: the name \"\(id)\" is taken; expected names that are not in the index, each "
        + "once; update the document, or remove it first")
  }
}

import Foundation

@testable import GLENIndex

/// A sequence of commits that follows from a seed: what each does, and what the folder then holds.
struct EditScript {
  /// What an index says about a document.
  struct Entry: Equatable {
    var tokens: [Int32]
    var weights: [Float]
    var title: String?
    var metadata: [String: MetadataValue]
  }

  static let (length, vocabulary) = (3, 6)

  let seed: UInt64

  /// How many commits there have been.
  private(set) var generation = 0

  /// What the folder holds after them.
  private(set) var state: [String: Entry] = [:]

  init(seed: UInt64) {
    self.seed = seed
  }

  /// One commit.
  enum Change {
    case edit(removed: [String], updated: DocumentRecords, added: DocumentRecords, compacting: Bool)
    case save
  }

  /// What the next commit does; `state` is what it leads to.
  mutating func next() -> Change {
    var generator = SeededGenerator(seed: seed &+ UInt64(generation) &* 7919)
    generation += 1
    if generation > 1, Int.random(in: 0..<8, using: &generator) > 0 {
      return edit(&generator)
    }
    if generation == 1 || Int.random(in: 0..<3, using: &generator) == 0 {
      state = [:]
      for number in 0..<Int.random(in: 5..<40, using: &generator) {
        state["s\(generation)-\(number)"] = entry(&generator)
      }
    }
    return .save
  }

  private mutating func edit(_ generator: inout SeededGenerator) -> Change {
    var names = state.keys.sorted().shuffled(using: &generator)
    let removed = Array(names.prefix(Int.random(in: 0...3, using: &generator)))
    names.removeFirst(removed.count)
    for name in removed { state[name] = nil }
    func records(_ names: [String]) -> DocumentRecords {
      var records = DocumentRecords()
      for name in names {
        let entry = entry(&generator)
        state[name] = entry
        records.append(
          id: name, title: entry.title, metadata: entry.metadata, tokens: entry.tokens,
          weights: entry.weights)
      }
      return records
    }
    let updated = records(Array(names.prefix(Int.random(in: 0...2, using: &generator))))
    let added = records(
      (0..<Int.random(in: 1...6, using: &generator)).map { "e\(generation)-\($0)" }
        + removed.prefix(Int.random(in: 0...1, using: &generator)))
    return .edit(
      removed: removed, updated: updated, added: added,
      compacting: Int.random(in: 0..<5, using: &generator) == 0)
  }

  private func entry(_ generator: inout SeededGenerator) -> Entry {
    Entry(
      tokens: (0..<Self.length).map { _ in
        Int32.random(in: 0..<Int32(Self.vocabulary), using: &generator)
      },
      weights: (0..<Self.length).map { _ in Float.random(in: -2...5, using: &generator) },
      title: "title \(Int.random(in: 0...99, using: &generator)) é",
      metadata: Bool.random(using: &generator) ? ["n": .number(0.1), "s": "\"\\ü"] : [:])
  }

  /// The state as a snapshot of one segment.
  func snapshot() throws -> IndexSnapshot {
    var records = DocumentRecords()
    for (name, entry) in state.sorted(by: { $0.key < $1.key }) {
      records.append(
        id: name, title: entry.title, metadata: entry.metadata, tokens: entry.tokens,
        weights: entry.weights)
    }
    let segment = try IndexSegment(
      records, identifierLength: Self.length, vocabularySize: Self.vocabulary)
    return try IndexSnapshot(
      [segment], identifierLength: Self.length, vocabularySize: Self.vocabulary,
      modelFingerprint: "model")
  }

  /// Makes the next commit to a folder.
  mutating func commitNext(to folder: URL) throws {
    switch next() {
    case .save:
      try IndexFolder.write(snapshot(), to: folder)
    case .edit(let removed, let updated, let added, let compacting):
      var editor = try IndexEditor(folder: folder.path)
      try editor.remove(removed)
      try editor.add(updated, replacing: true)
      try editor.add(added)
      try editor.commit(compacting: compacting)
    }
  }
}

extension IndexSnapshot {
  /// What the living documents are.
  var entries: [String: EditScript.Entry] {
    var entries: [String: EditScript.Entry] = [:]
    for document in 0..<documentCount where isLiving(document) {
      entries[id(ofDocument: document)] = EditScript.Entry(
        tokens: tables.tokens(ofDocument: document), weights: tables.weights(ofDocument: document),
        title: title(ofDocument: document), metadata: metadata(ofDocument: document))
    }
    return entries
  }
}

import Foundation
import GLENModel
import GLENTensor
import GLENText

/// Text in, documents out: an index with its model.
///
/// Immutable: it may be shared by any number of tasks, and keeps its answers while the folder is
/// replaced behind it.
public struct Retriever: Sendable {
  /// The model that reads questions.
  public let model: ModelFolder
  /// The documents: their identifiers, weights, names, titles, and metadata.
  public let snapshot: IndexSnapshot

  /// Opens an index folder.
  ///
  /// Its files are mapped, not read.
  ///
  /// - Throws: `IndexError` for a damaged folder, or one whose model is not the one that made the
  ///   identifiers; what opening a model throws.
  public init(
    opening url: URL, on backend: any Backend = CPUBackend.shared,
    warn: (String) -> Void = { _ in }
  ) throws {
    var contents = try IndexFolder.open(url)
    while true {
      do {
        try self.init(contents, in: url, on: backend, warn: warn)
        return
      } catch {
        // A save that ended just now may have removed the model that the old manifest names.
        let newer = try IndexFolder.open(url)
        guard newer.modelFingerprint != contents.modelFingerprint else { throw error }
        contents = newer
      }
    }
  }

  private init(
    _ contents: IndexSnapshot, in url: URL, on backend: any Backend, warn: (String) -> Void
  ) throws {
    let model = try ModelFolder(
      inIndex: url, fingerprint: contents.modelFingerprint, on: backend, warn: warn)
    try self.init(model: model, snapshot: contents)
  }

  /// An index in memory.
  ///
  /// - Throws: `IndexError.invalidIdentifiers` if the documents do not fit the model.
  public init(model: ModelFolder, snapshot: IndexSnapshot) throws {
    let settings = model.settings
    guard snapshot.identifierLength == settings.identifierLength,
      snapshot.vocabularySize <= model.generator.model.configuration.vocabularySize
    else {
      throw IndexError.invalidIdentifiers(
        "open index: the identifiers do not fit the model; expected \(settings.identifierLength) "
          + "tokens each, got \(snapshot.identifierLength); index the corpus again")
    }
    self.model = model
    self.snapshot = snapshot
  }

  static func modelURL(in index: URL, fingerprint: String) -> URL {
    index.appendingPathComponent("model-" + fingerprint)
  }

  /// The documents that answer a question, best first.
  ///
  /// An empty question is the end token alone: the ranking of what the model expects before
  /// anything is asked. A long one is cut at the model's limit.
  ///
  /// - Parameters:
  ///   - question: plain text.
  ///   - limit: the most documents.
  ///   - mode: exact, unless the paper's beam search is wanted.
  /// - Throws: `IndexError.invalidScores` if the model's weights are not numbers; `TensorError`.
  public func search(
    _ question: String, limit: Int = 10, mode: SearchMode = .exact
  ) throws -> [SearchHit] {
    try search([question], limit: limit, mode: mode).first ?? []
  }

  /// The documents that answer each of several questions; their texts are encoded together.
  ///
  /// - Throws: as for one question.
  public func search(
    _ questions: [String], limit: Int = 10, mode: SearchMode = .exact
  ) throws -> [[SearchHit]] {
    try rank(questions, limit: limit, mode: mode).map { $0.map(hit) }
  }

  /// As `search`, in document numbers and with a choice of how collisions are ordered.
  ///
  /// - Throws: as `search`.
  public func rank(
    _ questions: [String], limit: Int, mode: SearchMode = .exact,
    collisions: CollisionOrder = .ranked
  ) throws -> [[RankedDocument]] {
    var result: [[RankedDocument]] = []
    result.reserveCapacity(questions.count)
    // Some questions at a time: the scores of all of them together might not fit the memory.
    for first in stride(from: 0, to: questions.count, by: 64) {
      let part = questions[first..<min(first + 64, questions.count)]
      for scores in try model.generator.scores(of: part.map(model.tokens(ofQuery:))) {
        result.append(try rank(scores, limit: limit, mode: mode, collisions: collisions))
      }
    }
    return result
  }

  /// Ranks the documents by scores that are already there.
  ///
  /// - Throws: `IndexError`.
  public func rank(
    _ scores: QueryScores, limit: Int, mode: SearchMode = .exact,
    collisions: CollisionOrder = .ranked
  ) throws -> [RankedDocument] {
    switch mode {
    case .exact:
      try ExactSearch(snapshot.tables).rank(scores, limit: limit, collisions: collisions)
    case .beam(let width):
      try BeamSearch(snapshot.tables, width: width).rank(
        scores, limit: limit, collisions: collisions)
    }
  }

  /// A ranked document as a hit.
  public func hit(_ ranked: RankedDocument) -> SearchHit {
    let tokens = snapshot.tables.tokens(ofDocument: ranked.document)
    return SearchHit(
      id: snapshot.id(ofDocument: ranked.document), score: ranked.score,
      identifier: tokens.map(model.tokenizer.piece), tokens: tokens,
      similarity: ranked.similarity, title: snapshot.title(ofDocument: ranked.document))
  }
}

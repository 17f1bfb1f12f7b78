import GLENModel
import GLENPlatform
import GLENTensor

/// Text in, documents out: an index with its model.
///
/// An immutable snapshot: it may be shared by any number of tasks, and keeps its answers while the
/// folder is replaced behind it; ``reopenedIfChanged()`` gives the newer one.
///
/// Every search has two forms. The asynchronous one is for apps and servers: the model's and the
/// search's work is done on threads of the retriever's own, and callers who ask at the same time are
/// encoded together, so that throughput grows with load (``RetrieverConfiguration``). The synchronous
/// one works on the calling thread, for scripts and measurements. Both give the same documents.
public struct Retriever: Sendable {
  /// The documents: their identifiers, weights, names, titles, and metadata.
  public let snapshot: IndexSnapshot
  /// How much of the machine is taken, and how callers are batched.
  public let configuration: RetrieverConfiguration
  /// The model at work; copies share it, and a reopened snapshot whose model is the same.
  let batcher: QueryBatcher
  /// Tells this snapshot's filters from those of others.
  let identity: SnapshotIdentity
  /// Where it was opened, if it was.
  let source: Source?

  /// What reads questions.
  public var scoring: any QueryScoring { batcher.scoring }

  /// The model that reads questions, or nil for a test double.
  public var model: ModelFolder? { scoring as? ModelFolder }

  /// An index in memory.
  ///
  /// - Parameters:
  ///   - model: what reads questions: a `ModelFolder`, or a test's own.
  ///   - snapshot: the documents with their identifiers.
  ///   - configuration: how much of the machine is taken, and how callers are batched.
  /// - Throws: `IndexError.invalidIdentifiers` if the documents do not fit the model.
  public init(
    model: any QueryScoring, snapshot: IndexSnapshot,
    configuration: RetrieverConfiguration = .init()
  ) throws {
    let threads = configuration.threadCount ?? CPUBackend.defaultThreadCount
    let folder = model as? ModelFolder
    let limit = configuration.batchLimit(
      identifierLength: snapshot.identifierLength,
      vocabularySize: folder?.generator.model.configuration.vocabularySize
        ?? snapshot.vocabularySize)
    try self.init(
      QueryBatcher(
        scoring: model, limit: limit, threadCount: threads, latency: configuration.batchLatency),
      snapshot, configuration, source: nil)
  }

  init(
    _ batcher: QueryBatcher, _ snapshot: IndexSnapshot, _ configuration: RetrieverConfiguration,
    source: Source?
  ) throws {
    if let model = batcher.scoring as? ModelFolder {
      guard snapshot.identifierLength == model.settings.identifierLength,
        snapshot.vocabularySize <= model.generator.model.configuration.vocabularySize
      else {
        throw IndexError.invalidIdentifiers(
          "open index: the identifiers do not fit the model; expected "
            + "\(model.settings.identifierLength) tokens each, got \(snapshot.identifierLength); "
            + "index the corpus again")
      }
    }
    self.snapshot = snapshot
    self.configuration = configuration
    self.batcher = batcher
    self.source = source
    identity = SnapshotIdentity()
  }

  /// A ranked document as a hit.
  ///
  /// - Precondition: the document is one of this retriever's rankings.
  public func hit(
    _ ranked: RankedDocument, probability: Double? = nil, fusedScore: Float? = nil
  ) -> SearchHit {
    let tokens = snapshot.tables.tokens(ofDocument: ranked.document)
    let document = IndexedDocument(number: ranked.document, snapshot: snapshot)
    return SearchHit(
      id: document.id, score: ranked.score, identifier: tokens.map(scoring.piece), tokens: tokens,
      similarity: ranked.similarity, probability: probability, fusedScore: fusedScore,
      title: document.title, metadata: document.metadata)
  }
}

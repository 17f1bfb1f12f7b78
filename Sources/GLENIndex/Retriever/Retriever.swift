import Foundation
import GLENModel
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
  /// The documents' identifiers and weights.
  public let table: IdentifierTable
  /// The documents' names and titles.
  public let documents: DocumentCatalog
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
  ///   - table: the documents' identifiers.
  ///   - documents: the names of the same documents, in the same order.
  ///   - configuration: how much of the machine is taken, and how callers are batched.
  /// - Throws: `IndexError.invalidIdentifiers` if table, names and model do not fit together.
  public init(
    model: any QueryScoring, table: IdentifierTable, documents: DocumentCatalog,
    configuration: RetrieverConfiguration = .init()
  ) throws {
    let threads = configuration.threadCount ?? ProcessInfo.processInfo.activeProcessorCount
    let folder = model as? ModelFolder
    let limit = configuration.batchLimit(
      identifierLength: table.identifierLength,
      vocabularySize: folder?.generator.model.configuration.vocabularySize ?? table.vocabularySize)
    try self.init(
      QueryBatcher(
        scoring: model, limit: limit, threadCount: threads, latency: configuration.batchLatency),
      table, documents, configuration, source: nil)
  }

  init(
    _ batcher: QueryBatcher, _ table: IdentifierTable, _ documents: DocumentCatalog,
    _ configuration: RetrieverConfiguration, source: Source?
  ) throws {
    if let model = batcher.scoring as? ModelFolder {
      guard table.identifierLength == model.settings.identifierLength,
        table.vocabularySize <= model.generator.model.configuration.vocabularySize
      else {
        throw IndexError.invalidIdentifiers(
          "open index: the identifiers do not fit the model; expected "
            + "\(model.settings.identifierLength) tokens each, got \(table.identifierLength); "
            + "index the corpus again")
      }
    }
    guard documents.count == table.documentCount else {
      throw IndexError.invalidIdentifiers(
        "open index: the names do not fit the identifiers; expected \(table.documentCount) "
          + "names, got \(documents.count); index the corpus again")
    }
    self.table = table
    self.documents = documents
    self.configuration = configuration
    self.batcher = batcher
    self.source = source
    identity = SnapshotIdentity()
  }

  /// A ranked document as a hit.
  ///
  /// - Precondition: the document is one of this retriever's rankings.
  public func hit(_ ranked: RankedDocument, probability: Double? = nil) -> SearchHit {
    let tokens = tokens(ofDocument: ranked.document)
    let document = IndexedDocument(number: ranked.document, catalog: documents)
    return SearchHit(
      id: document.id, score: ranked.score, identifier: tokens.map(scoring.piece), tokens: tokens,
      similarity: ranked.similarity, probability: probability, title: document.title,
      metadata: document.metadata)
  }

  /// The tokens of a document's identifier.
  func tokens(ofDocument document: Int) -> [Int32] {
    table.tokens(ofIdentifier: table.identifier(ofDocument: document))
  }
}

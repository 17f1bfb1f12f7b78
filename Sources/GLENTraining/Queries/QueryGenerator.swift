import GLENIndex
import GLENModel
import GLENPlatform
import GLENTensor
import GLENText

/// Makes up queries that documents answer, by a network that learnt to (`Phase.queries`).
public struct QueryGenerator: Sendable {
  /// Queries of each document.
  public var queriesPerDocument = 10
  /// How many tokens each token is drawn among.
  public var topK = 10
  /// What logits are divided by before drawing.
  public var temperature: Float = 1
  /// The most tokens of a query, and of what is read of a document.
  public var maximumQueryLength = 32, maximumDocumentLength = 156
  /// Documents that are worked on at once.
  public var batchSize = 32
  /// The seed of all random numbers.
  public var seed: UInt64 = 1

  private let folder: URL
  private let model: T5Model
  private let tokenizer: SentencePieceTokenizer

  /// A generator from a T5 folder with its `spiece.model`.
  ///
  /// - Throws: `ModelError`, `TensorError`, `TokenizerError`.
  public init(
    folder: URL, on backend: any Backend = CPUBackend.shared, warn: (String) -> Void = { _ in }
  ) throws {
    self.folder = folder
    model = try T5Model(folder: folder, on: backend, warn: warn)
    tokenizer = try SentencePieceTokenizer(
      contentsOf: folder.appendingPathComponent("spiece.model"), sentinelCount: 0)
  }

  /// Writes the queries of documents as JSON lines, `{"doc_id": ..., "queries": [...]}`, in their
  /// order; the file appears when it is complete.
  ///
  /// A document's queries depend on its number and the seed alone, not on the batches. Until its end the
  /// file is `<name>.unfinished-<number>`; the same call goes on where an earlier one was stopped or killed.
  ///
  /// - Parameters:
  ///   - progress: receives the number of documents that are done, first of those that were there.
  ///   - shouldStop: asked before every batch; true ends with `CancellationError`.
  /// - Returns: how many queries there are; one that came out empty is written and does not count.
  /// - Throws: `TrainingError.unwritableFile`, also if another process writes the same; `ModelError`,
  ///   `TensorError`, `CancellationError`.
  @discardableResult
  public func write(
    _ documents: [Document], to url: URL, progress: (Int) -> Void = { _ in },
    shouldStop: () -> Bool = { Task.isCancelled }
  ) throws -> Int {
    let size = model.configuration.vocabularySize
    let settings = IdentifierSettings(
      maskedTokens: [0]
        + IdentifierSettings.maskedTokens(
          pieceCount: tokenizer.pieceCount, vocabularySize: size, isSpecial: tokenizer.isSpecial))
    let mask = try settings.mask(vocabularySize: size, on: model.backend)
    var file = try UnfinishedQueries(
      for: url, of: documents, madeBy: checksum(of: documents))
    progress(file.lineCount)
    for first in stride(from: file.lineCount, to: documents.count, by: max(batchSize, 1)) {
      if shouldStop() { throw CancellationError() }
      let range = first..<min(first + max(batchSize, 1), documents.count)
      try file.append(
        zip(range, queries(documents, range, mask)).map { number, queries in
          GeneratedQueries.Line(doc_id: documents[number].id, queries: queries)
        })
      progress(range.upperBound)
    }
    try file.finish()
    return file.queryCount
  }

  /// Of everything that the queries depend on.
  private func checksum(of documents: [Document]) throws -> TextChecksum {
    var checksum = TextChecksum()
    checksum.add(try TrainingSession.Start.folder(folder).summary())
    checksum.add([
      queriesPerDocument, topK, Int(temperature.bitPattern), maximumQueryLength,
      maximumDocumentLength, Int(truncatingIfNeeded: seed),
    ])
    for document in documents {
      checksum.add(document.id)
      checksum.add(document.fullText)
    }
    return checksum
  }

  private func queries(
    _ documents: [Document], _ range: Range<Int>, _ mask: Tensor
  ) throws -> [[String]] {
    let batch = try TokenBatch(
      documents[range].map {
        tokenizer.encode(TextCleaning.clean($0.fullText), maximumLength: maximumDocumentLength)
      }, vocabularySize: model.configuration.vocabularySize, on: model.backend)
    let key = RandomKey(seed: seed)
    let samples = (0..<queriesPerDocument).map { sample in
      TopKSampling(
        topK: topK, temperature: temperature, keys: range.map { key.split($0).split(sample) })
    }
    let drawn = try model.generate(
      batch, maximumLength: maximumQueryLength - 1, samples: samples, mask: mask)
    return range.indices.map { index in
      drawn.map { tokenizer.decode($0[index - range.lowerBound]) }
    }
  }
}

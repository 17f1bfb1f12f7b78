import Foundation
import GLENIndex
import GLENModel
import GLENTensor
import GLENText

@testable import GLENTraining

/// The toy corpus in an index whose model is random, and whose identifiers are made up.
struct RandomIndex {
  private let folder: TemporaryFolder
  let dataset: RetrievalDataset
  let model: ModelFolder

  /// The words' vocabulary.
  private static let vocabulary = Result {
    let folder = try TemporaryFolder()
    return try SentencePieceTokenizer.train(
      sentences: Array(ToyCorpus.files.values), vocabularySize: 120,
      to: folder.url.appendingPathComponent("spiece.model"), lowercased: true)
  }

  init() throws {
    folder = try TemporaryFolder(ToyCorpus.files)
    dataset = try RetrievalDataset(contentsOf: folder.url)
    let url = folder.url.appendingPathComponent("model")
    let tokenizer = try Self.vocabulary.get()
    try ToyCorpus.model().save(to: url)
    try tokenizer.modelData.write(to: url.appendingPathComponent("spiece.model"))
    try IdentifierSettings(identifierLength: 2, maskedTokens: [2]).save(to: url)
    model = try ModelFolder(opening: url)
  }

  /// An index in which document d has the identifier `tokens(d)`.
  func retriever(
    keepingKeywords: Bool = false, _ tokens: (Int) -> [Int32]
  ) throws -> Retriever {
    let documents = dataset.documents
    var indexer = Indexer(model: model)
    indexer.keepsKeywords = keepingKeywords
    return try indexer.index(
      documents, tokens: documents.indices.flatMap(tokens),
      weights: documents.indices.flatMap { [Float($0) + 1, 2] })
  }
}

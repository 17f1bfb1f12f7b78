import GLENModel
import GLENTensor

extension T5Model {
  /// Makes a randomly initialised model begin with what can be counted in a corpus: how rare each
  /// token is, and which tokens go together.
  mutating func begin(with documents: TokenSequences, key: RandomKey) throws {
    let size = configuration.vocabularySize
    // Two columns of the table are for the rarity.
    let semantics = try LatentSemantics(
      of: documents, vocabularySize: size, dimensions: max(configuration.width - 2, 1), key: key)
    try beginCopying(
      tokenCounts: documents.tokenCounts(vocabularySize: size), vectors: semantics.vectors)
  }
}

import GLENModel
import GLENTensor
import Testing

@testable import GLENTraining

@Suite("Latent semantics") struct LatentSemanticsTests {
  private static let vocabularySize = 64

  /// Documents of ten words each from one of four subjects, whose words are 10 neighbours, and a few
  /// words that all have.
  private static func documents(seed: UInt64) -> TokenSequences {
    var random = GLENTensor.SeededGenerator(RandomKey(seed: seed))
    return TokenSequences(
      (0..<80).map { document in
        let subject = Int32(10 + document % 4 * 10)
        return (0..<10).map { _ in Int32.random(in: subject..<subject + 10, using: &random) }
          + (0..<5).map { _ in Int32.random(in: 3..<8, using: &random) } + [1]
      })
  }

  private static func analysis(dimensions: Int = 6) throws -> LatentSemantics {
    try LatentSemantics(
      of: documents(seed: 1), vocabularySize: vocabularySize, dimensions: dimensions,
      key: RandomKey(seed: 2))
  }

  private func cosine(_ analysis: LatentSemantics, _ left: Int, _ right: Int) -> Float {
    let k = analysis.dimensions
    return (0..<k).reduce(0) {
      $0 + analysis.vectors[left * k + $1] * analysis.vectors[right * k + $1]
    }
  }

  @Test func wordsOfASubjectLieClose() throws {
    let analysis = try Self.analysis()
    var (within, across): ([Float], [Float]) = ([], [])
    for left in 10..<50 {
      for right in left + 1..<50 {
        if left / 10 == right / 10 {
          within.append(cosine(analysis, left, right))
        } else {
          across.append(cosine(analysis, left, right))
        }
      }
    }
    let means = [within, across].map { $0.reduce(0, +) / Float($0.count) }
    #expect(means[0] > 0.5 && means[1] < 0.2, "\(means)")
  }

  @Test func vectorsAreUnitsAndUnknownTokensHaveNone() throws {
    let analysis = try Self.analysis()
    #expect(analysis.vectors.count == Self.vocabularySize * 6)
    for token in 0..<Self.vocabularySize {
      let square = cosine(analysis, token, token)
      let isKnown = (3..<8).contains(token) || (10..<50).contains(token)
      #expect(abs(square - (isKnown ? 1 : 0)) < 1e-4, "token \(token): \(square)")
    }
  }

  /// The span is that of the first right singular vectors: what it leaves of the documents is the
  /// least that any space of its size leaves, here told by the exact rank.
  @Test func documentsOfFewKindsAreTheirSpan() throws {
    let kinds: [[Int32]] = [[5, 6, 7], [8, 9, 9], [10, 11, 12, 13]]
    let analysis = try LatentSemantics(
      of: TokenSequences((0..<30).map { kinds[$0 % 3] }), vocabularySize: 16, dimensions: 3,
      key: RandomKey(seed: 3))
    for kind in kinds {
      for left in kind {
        for right in kind {
          #expect(abs(cosine(analysis, Int(left), Int(right)) - 1) < 1e-3)
        }
      }
    }
    #expect(abs(cosine(analysis, 5, 8)) < 1e-3)
  }

  @Test func emptyAndTinyCorporaAreNoTrouble() throws {
    for documents: [[Int32]] in [[], [[]], [[1]], [[5]], [[5, 6], [5, 6]], [[100_000, -3, 7]]] {
      let analysis = try LatentSemantics(
        of: TokenSequences(documents), vocabularySize: 16, dimensions: 8, key: RandomKey(seed: 1))
      #expect(!analysis.vectors.contains { !$0.isFinite })
      #expect(analysis.vectors.count == 16 * analysis.dimensions)
    }
  }

  /// A network that read one word thinks of its subject's others before it thinks of strange ones.
  @Test func aModelBeginsByAssociation() throws {
    var configuration = ToyCorpus.configuration()
    (configuration.vocabularySize, configuration.width) = (Self.vocabularySize, 12)
    (configuration.headWidth, configuration.heads) = (6, 2)
    var model = try T5Model(random: configuration, key: RandomKey(seed: 5))
    try model.begin(with: Self.documents(seed: 1), key: RandomKey(seed: 2))
    let words = (10..<50).map { Int32($0) }
    let states = try model.rollout(
      TokenBatch(words.map { [$0, 1] }, vocabularySize: Self.vocabularySize), steps: 1)
    let logits = try model.logits(states).values()
    var right = 0
    for (row, word) in words.enumerated() {
      func mean(_ isWanted: (Int32) -> Bool) -> Float {
        let others = words.filter { $0 != word && isWanted($0) }
        let sum = others.reduce(0) { $0 + logits[row * Self.vocabularySize + Int($1)] }
        return sum / Float(others.count)
      }
      if mean({ $0 / 10 == word / 10 }) > mean({ $0 / 10 != word / 10 }) { right += 1 }
    }
    #expect(right >= 36, "\(right) of 40")
  }
}

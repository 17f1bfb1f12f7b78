import GLENModel
import GLENTensor
import GLENText
import Testing

@testable import GLENTraining

@Suite("Vocabulary transfer") struct VocabularyTransferTests {
  private static let size = 64
  private static let width = 16

  /// Documents of four subjects; `shift` renames every word, as another vocabulary does.
  private static func documents(shift: Int32 = 0) -> TokenSequences {
    var random = GLENTensor.SeededGenerator(RandomKey(seed: 1))
    return TokenSequences(
      (0..<200).map { document in
        let subject = Int32(10 + document % 4 * 10)
        return (0..<10).map { _ in Int32.random(in: subject..<subject + 10, using: &random) + shift
        }
          + [1]
      })
  }

  private static func starter() throws -> T5Model {
    var configuration = ToyCorpus.configuration()
    (configuration.vocabularySize, configuration.width) = (size, width)
    (configuration.headWidth, configuration.heads) = (8, 2)
    var model = try T5Model(random: configuration, key: RandomKey(seed: 5))
    try model.begin(with: documents(), key: RandomKey(seed: 2))
    return model
  }

  private static func transfer(
    _ model: T5Model, shift: Int = 0, isKnown: (Int) -> Bool = { _ in true }
  ) throws -> VocabularyTransfer {
    let documents = documents(shift: Int32(shift))
    // Another key, and so other axes.
    let semantics = try LatentSemantics(
      of: documents, vocabularySize: size, dimensions: width - T5Model.reservedColumns,
      key: RandomKey(seed: 77))
    let places = (0..<size).map { token in
      (10..<50).contains(token - shift) && isKnown(token) ? token - shift : nil
    }
    return try VocabularyTransfer(
      from: model, places: places, counts: documents.tokenCounts(vocabularySize: size),
      semantics: semantics, key: RandomKey(seed: 3))
  }

  private static func cosine(_ left: ArraySlice<Float>, _ right: ArraySlice<Float>) -> Float {
    let (a, b) = (left.dropFirst(2), right.dropFirst(2))
    func dot(_ x: ArraySlice<Float>, _ y: ArraySlice<Float>) -> Float {
      zip(x, y).reduce(0) { $0 + $1.0 * $1.1 }
    }
    return dot(a, b) / (dot(a, a) * dot(b, b)).squareRoot()
  }

  private static func row(_ rows: [Float], _ token: Int) -> ArraySlice<Float> {
    rows[token * width..<(token + 1) * width]
  }

  @Test func rowsTurnToWhereTheNetworkHasThem() throws {
    let model = try Self.starter()
    let old = try model.table.values()
    let transfer = try Self.transfer(model, shift: 3)
    #expect(transfer.sharedCount == 40)
    let cosines = (10..<50).map {
      Self.cosine(Self.row(transfer.rows, $0 + 3), Self.row(old, $0))
    }
    #expect(cosines.reduce(0, +) / 40 > 0.8, "\(cosines)")
  }

  /// Words that the network never saw lie with their subject, by the rotation of the others.
  @Test func newWordsLieWhereTheirSubjectDoes() throws {
    let model = try Self.starter()
    let old = try model.table.values()
    let transfer = try Self.transfer(model) { $0 % 5 != 0 }
    #expect(transfer.sharedCount == 32)
    var (own, others): ([Float], [Float]) = ([], [])
    for token in stride(from: 10, to: 50, by: 5) {
      for word in 10..<50 {
        let cosine = Self.cosine(Self.row(transfer.rows, token), Self.row(old, word))
        if word / 10 == token / 10 { own.append(cosine) } else { others.append(cosine) }
      }
    }
    let means = [own, others].map { $0.reduce(0, +) / Float($0.count) }
    #expect(means[0] > 0.15 && abs(means[1]) < 0.05, "\(means)")
  }

  @Test func specialAndUnusedTokensKeepTheirRows() throws {
    let model = try Self.starter()
    let old = try model.table.values()
    let transfer = try Self.transfer(model)
    for token in 0..<3 {
      #expect(Array(Self.row(transfer.rows, token)) == Array(Self.row(old, token)))
    }
    let unused = try VocabularyTransfer(
      from: model, places: (0..<Self.size).map { $0 },
      counts: [Int](repeating: 0, count: Self.size),
      semantics: LatentSemantics(
        of: TokenSequences([]), vocabularySize: Self.size, dimensions: 14, key: RandomKey(seed: 1)),
      key: RandomKey(seed: 1))
    #expect(unused.rows == old)
  }

  /// Neither a corpus of two documents nor one without a known word leaves a row that is no number.
  @Test func littleToGoByIsNoTrouble() throws {
    let model = try Self.starter()
    for documents: [[Int32]] in [[], [[1]], [[11, 1]], [[11, 12], [11, 12, 13]]] {
      for knows in [true, false] {
        let sequences = TokenSequences(documents)
        let transfer = try VocabularyTransfer(
          from: model, places: (0..<20).map { knows && $0 > 2 ? $0 : nil },
          counts: sequences.tokenCounts(vocabularySize: 20),
          semantics: LatentSemantics(
            of: sequences, vocabularySize: 20, dimensions: 14, key: RandomKey(seed: 1)),
          key: RandomKey(seed: 1))
        #expect(transfer.rows.count == 20 * Self.width)
        #expect(!transfer.rows.contains { !$0.isFinite })
      }
    }
  }
}

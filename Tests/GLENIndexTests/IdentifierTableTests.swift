import Testing

@testable import GLENIndex

@Suite struct IdentifierTableTests {
  @Test func sortsDocumentsByTheirIdentifiers() throws {
    let (table, order) = try IdentifierTable.sorting(
      identifiers: [5, 2, 1, 9, 5, 2, 5, 0, 1, 9], weights: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
      identifierLength: 2)
    #expect(order == [1, 4, 3, 0, 2])
    #expect(table.documentCount == 5)
    #expect(table.identifierCount == 3)
    #expect(table.vocabularySize == 10)
    #expect((0..<3).map { table.tokens(ofIdentifier: $0) } == [[1, 9], [5, 0], [5, 2]])
    #expect((0..<3).map { table.documents(ofIdentifier: $0) } == [0..<2, 2..<3, 3..<5])
    #expect((0..<5).map { table.identifier(ofDocument: $0) } == [0, 0, 1, 2, 2])
    #expect(table.weights(ofDocument: 2) == [7, 8])
    #expect(table.tokens(atStep: 0) == [1, 5])
    #expect(table.tokens(atStep: 1) == [0, 2, 9])
    #expect(table.allIdentifiers() == [1, 9, 1, 9, 5, 0, 5, 2, 5, 2])
    #expect(table.allWeights() == [3, 4, 9, 10, 7, 8, 1, 2, 5, 6])
  }

  @Test(arguments: 1...7)
  func holdsWhatItWasGiven(length: Int) throws {
    let made = try SearchCase(
      .random, documents: 300, length: length, vocabulary: 4, seed: UInt64(length))
    #expect(made.table.allIdentifiers() == made.identifiers.flatMap { $0 })
    #expect(made.table.allWeights() == made.weights)
    let rows = (0..<made.table.identifierCount).map { made.table.tokens(ofIdentifier: $0) }
    #expect(rows == Set(made.identifiers).sorted { $0.lexicographicallyPrecedes($1) })
    for row in rows.indices {
      let expected = made.identifiers.indices.filter { made.identifiers[$0] == rows[row] }
      #expect(Array(made.table.documents(ofIdentifier: row)) == expected)
    }
    for document in 0..<300 {
      let row = made.table.identifier(ofDocument: document)
      #expect(made.table.documents(ofIdentifier: row).contains(document))
    }
  }

  /// What an index needs to be small: 22 bytes a document with float32 at n = 3, 32 with float16 at
  /// n = 7, and little for headers and the list of tokens.
  @Test(arguments: [(3, WeightFormat.float32, 24.0), (7, .float16, 40.0)])
  func isSmall(length: Int, format: WeightFormat, limit: Double) throws {
    var generator = SeededGenerator(seed: 5)
    let count = 120_000
    let tokens = (0..<count * length).map { _ in Int32.random(in: 0..<32_128, using: &generator) }
    let weights = tokens.map { Float($0) / 1000 }
    let (table, order) = try IdentifierTable.sorting(
      identifiers: tokens, weights: weights, identifierLength: length, vocabularySize: 32_128,
      weightFormat: format)
    let bytes = table.memory.bytes.count - 4 * table.layout.levelTokenCount
    print("n = \(length), \(format): \(Double(bytes) / Double(count)) bytes a document")
    #expect(Double(bytes) / Double(count) <= limit)
    #expect(Double(table.memory.bytes.count) / Double(count) <= limit + 8)
    for document in stride(from: 0, to: count, by: 999) {
      let own = order[document] * length..<(order[document] + 1) * length
      let expected = weights[own].map { format == .float32 ? $0 : Float(Float16($0)) }
      #expect(table.weights(ofDocument: document) == expected)
    }
  }

  /// A weight beyond what 16 bits hold is refused; what the format rounds is what is searched.
  @Test func halvesRoundToNearest() throws {
    func halved(_ weights: [Float]) throws -> [Float] {
      try IdentifierTable.sorting(
        identifiers: [1, 2], weights: weights, identifierLength: 2, weightFormat: .float16
      ).table.allWeights()
    }
    #expect(try halved([1.0009765625, -65_504]) == [1.0009765625, -65_504])
    #expect(try halved([2049, 1e-8]) == [2048, 0])
    #expect(throws: IndexError.self) { try halved([65_520, 0]) }
  }

  @Test func widensItsCodesWhereTokensAreMany() throws {
    let count = (1 << 16) + 1
    let tokens = (0..<count).map { Int32(($0 * 7919) % count + 3) }
    let (table, order) = try IdentifierTable.sorting(
      identifiers: tokens, weights: [Float](repeating: 1, count: count), identifierLength: 1)
    #expect(table.layout.codeWidth == 4)
    #expect(table.identifierCount == count)
    for document in stride(from: 0, to: count, by: 997) {
      let row = table.identifier(ofDocument: document)
      #expect(table.tokens(ofIdentifier: row) == [tokens[order[document]]])
    }
    #expect(IdentifierTrie(table).count(of: [tokens[17]]) == 1)
    var logits = [Float](repeating: 0, count: table.vocabularySize)
    logits[table.vocabularySize - 7] = 2
    let scores = try QueryScores(
      logits: logits, identifierLength: 1, vocabularySize: logits.count)
    let exact = try ExactSearch(table: table).rank(scores, limit: 5)
    #expect(exact.map(\.document) == [count - 7, 0, 1, 2, 3])
    let beam = try BeamSearch(table: table, width: count).rank(scores, limit: 5)
    #expect(beam == exact)
  }

  @Test func isEmptyWithoutDocuments() throws {
    let table = try IdentifierTable.sorting(
      identifiers: [], weights: [], identifierLength: 3, vocabularySize: 8
    ).table
    #expect(table.documentCount == 0)
    #expect(table.identifierCount == 0)
    #expect(IdentifierTrie(table).tokens(after: []) == [])
    let scores = try QueryScores(
      logits: [Float](repeating: 0, count: 24), identifierLength: 3, vocabularySize: 8)
    #expect(try ExactSearch(table: table).rank(scores, limit: 5) == [])
    #expect(try BeamSearch(table: table, width: 5).rank(scores, limit: 5) == [])
  }

  @Test func refusesWhatIsNoTable() {
    func build(
      _ identifiers: [[Int32]], _ weights: [Float], _ length: Int = 2, _ vocabulary: Int? = nil
    ) -> String? {
      do {
        _ = try IdentifierTable.sorting(
          identifiers: identifiers.flatMap { $0 }, weights: weights, identifierLength: length,
          vocabularySize: vocabulary)
        return nil
      } catch {
        return "\(error)"
      }
    }
    #expect(build([[1, 2], [3]], [1, 2, 3])?.contains("got 3 tokens and length 2") == true)
    #expect(build([[1, 2]], [1])?.contains("expected 2 weights, got 1") == true)
    #expect(build([[1, -2]], [1, 2])?.contains("got -2") == true)
    #expect(build([[1, 2]], [1, .nan])?.contains("not finite") == true)
    #expect(build([[1, 2], [1, 2]], [1, 2, -.infinity, 1])?.contains("document 1") == true)
    #expect(build([[1, 9]], [1, 2], 2, 9)?.contains("expected 0 to 8, got 9") == true)
    #expect(build([[1, .max]], [1, 2])?.contains("vocabulary") == true)
    #expect(build([[1, 2]], [1, 2], 2, -1)?.contains("vocabulary") == true)
    #expect(build([], [], 0)?.contains("length 0") == true)
    #expect(build([], [], -1)?.contains("length -1") == true)
    #expect(build([], [], 1025)?.contains("too long") == true)
    #expect(build([], [], .max)?.contains("too long") == true)
    #expect(build([[1, 2]], [1, 2]) == nil)
  }
}

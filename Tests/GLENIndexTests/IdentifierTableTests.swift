import Testing

@testable import GLENIndex

@Suite struct IdentifierTableTests {
  private func makeTable() throws -> IdentifierTable {
    try IdentifierTable(
      identifiers: [[5, 2], [1, 9], [5, 2], [5, 0], [1, 9]],
      weights: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10], identifierLength: 2)
  }

  @Test func sortsIdentifiersAndKeepsDocumentOrder() throws {
    let table = try makeTable()
    #expect(table.documentCount == 5)
    #expect(table.identifierCount == 3)
    #expect(table.vocabularySize == 10)
    #expect((0..<3).map { table.tokens(ofIdentifier: $0) } == [[1, 9], [5, 0], [5, 2]])
    #expect((0..<3).map { table.documents(ofIdentifier: $0) } == [[1, 4], [3], [0, 2]])
    #expect((0..<5).map { table.identifier(ofDocument: $0) } == [2, 0, 2, 1, 0])
    #expect(table.weights(ofDocument: 3) == [7, 8])
    #expect(table.tokens(atStep: 0) == [1, 5])
    #expect(table.tokens(atStep: 1) == [0, 2, 9])
    #expect(table.allIdentifiers() == [5, 2, 1, 9, 5, 2, 5, 0, 1, 9])
    #expect(table.allWeights() == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
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
      #expect(made.table.documents(ofIdentifier: row) == expected)
    }
  }

  @Test func widensItsCodesWhereTokensAreMany() throws {
    let count = (1 << 16) + 1
    let tokens = (0..<count).map { Int32(($0 * 7919) % count + 3) }
    let table = try IdentifierTable(
      identifiers: tokens, weights: [Float](repeating: 1, count: count), identifierLength: 1)
    #expect(table.layout.codeWidth == 4)
    #expect(table.identifierCount == count)
    for document in stride(from: 0, to: count, by: 997) {
      let row = table.identifier(ofDocument: document)
      #expect(table.tokens(ofIdentifier: row) == [tokens[document]])
    }
    #expect(IdentifierTrie(table).count(of: [tokens[17]]) == 1)
    var logits = [Float](repeating: 0, count: table.vocabularySize)
    logits[Int(tokens[40_000])] = 2
    let scores = try QueryScores(
      logits: logits, identifierLength: 1, vocabularySize: logits.count)
    let exact = try ExactSearch(table: table).rank(scores, limit: 5)
    #expect(exact.map(\.document) == [40_000, 0, 1, 2, 3])
    let beam = try BeamSearch(table: table, width: count).rank(scores, limit: 5)
    #expect(beam == exact)
  }

  @Test func isEmptyWithoutDocuments() throws {
    let table = try IdentifierTable(
      identifiers: [Int32](), weights: [], identifierLength: 3, vocabularySize: 8)
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
        _ = try IdentifierTable(
          identifiers: identifiers, weights: weights, identifierLength: length,
          vocabularySize: vocabulary)
        return nil
      } catch {
        return "\(error)"
      }
    }
    #expect(build([[1, 2], [3]], [1, 2, 3])?.contains("document 1") == true)
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
    #expect(throws: IndexError.self) {
      try IdentifierTable(
        identifiers: [1, 2, 3] as [Int32], weights: [1, 2, 3], identifierLength: 2)
    }
  }
}

import Testing

@testable import GLENIndex

@Suite struct IdentifierTrieTests {
  @Test(arguments: [1, 2, 3, 5])
  func agreesWithTheIdentifiers(length: Int) throws {
    let made = try SearchCase(
      .random, documents: 400, length: length, vocabulary: 5, seed: UInt64(10 + length))
    let trie = IdentifierTrie(made.table)
    let distinct = Set(made.identifiers)
    var prefixes: Set<[Int32]> = [[], [7], [-1], [.max], [0, 77]]
    for identifier in distinct {
      for count in 0...length { prefixes.insert(Array(identifier.prefix(count))) }
      prefixes.insert(identifier + [0])
      prefixes.insert(identifier.dropLast() + [4])
    }
    for prefix in prefixes {
      let matches = distinct.filter { $0.starts(with: prefix) }
      #expect(trie.count(of: prefix) == matches.count)
      #expect(
        trie.documentCount(of: prefix)
          == made.identifiers.filter { $0.starts(with: prefix) }.count)
      let next = Set(matches.compactMap { $0.dropFirst(prefix.count).first }).sorted()
      #expect(trie.tokens(after: prefix) == next)
    }
  }
}

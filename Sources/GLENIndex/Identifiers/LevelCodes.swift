/// The identifiers of all documents with each step's tokens renumbered densely, in their order.
struct LevelCodes {
  let documentCount: Int
  let identifierLength: Int

  /// `codes[step * documentCount + document]`.
  private(set) var codes: [UInt32]

  /// The token of every code, step after step.
  private(set) var tokens: [UInt32] = []

  /// Where each step begins in `tokens`, and the total.
  private(set) var levelOffsets: [UInt32] = [0]

  /// Renumbers tokens that have been checked to lie inside the vocabulary.
  init(identifiers: [Int32], identifierLength: Int, vocabularySize: Int) {
    self.identifierLength = identifierLength
    self.documentCount = identifiers.count / identifierLength
    self.codes = [UInt32](repeating: 0, count: identifiers.count)
    for step in 0..<identifierLength {
      var codeOfToken = [UInt32](repeating: UInt32.max, count: vocabularySize)
      for document in 0..<documentCount {
        codeOfToken[Int(identifiers[document * identifierLength + step])] = 0
      }
      var next: UInt32 = 0
      for token in codeOfToken.indices where codeOfToken[token] == 0 {
        codeOfToken[token] = next
        tokens.append(UInt32(token))
        next += 1
      }
      levelOffsets.append(UInt32(tokens.count))
      for document in 0..<documentCount {
        codes[step * documentCount + document] =
          codeOfToken[Int(identifiers[document * identifierLength + step])]
      }
    }
  }

  /// How many distinct tokens the richest step has.
  var largestLevel: Int {
    (0..<identifierLength).map { Int(levelOffsets[$0 + 1] - levelOffsets[$0]) }.max() ?? 0
  }

  /// The documents by identifier, then by number: one stable counting sort a step, last step first.
  func sortedDocuments() -> [UInt32] {
    var order = (0..<documentCount).map { UInt32($0) }
    var next = order
    for step in (0..<identifierLength).reversed() {
      let base = step * documentCount
      var places = [Int](
        repeating: 0, count: Int(levelOffsets[step + 1] - levelOffsets[step]) + 1)
      for document in 0..<documentCount { places[Int(codes[base + document]) + 1] += 1 }
      for code in places.indices.dropFirst() { places[code] += places[code - 1] }
      for document in order {
        let code = Int(codes[base + Int(document)])
        next[places[code]] = document
        places[code] += 1
      }
      swap(&order, &next)
    }
    return order
  }

  /// Where a new identifier begins in the sorted documents.
  func bucketStarts(of order: [UInt32]) -> [Int] {
    order.indices.filter { place in
      guard place > 0 else { return true }
      let (here, before) = (Int(order[place]), Int(order[place - 1]))
      return (0..<identifierLength).contains { step in
        codes[step * documentCount + here] != codes[step * documentCount + before]
      }
    }
  }
}

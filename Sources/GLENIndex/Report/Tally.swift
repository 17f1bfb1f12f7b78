import GLENPlatform

/// What a report counts while it walks over the identifiers of an index.
struct Tally {
  /// For each step how many documents have each token there.
  private(set) var documentsByToken: [[Int32: Int]]
  /// For each first token how many documents have each second token behind it.
  private(set) var seconds: [Int32: [Int32: Int]] = [:]
  /// The buckets by size: 1, 2 to 3, 4 to 7, and so on.
  private(set) var bucketSizes: [IndexReport.SizeClass] = []
  /// The entropy of the identifiers.
  private(set) var identifiers = Entropy()

  init(identifierLength: Int) {
    documentsByToken = [[Int32: Int]](repeating: [:], count: identifierLength)
  }

  /// Counts an identifier that some documents have, at least one.
  mutating func add(_ tokens: [Int32], _ documents: Int) {
    for (step, token) in tokens.enumerated() {
      documentsByToken[step][token, default: 0] += documents
    }
    if tokens.count > 1 { seconds[tokens[0], default: [:]][tokens[1], default: 0] += documents }
    identifiers.add(documents)
    let sizeClass = Int.bitWidth - 1 - documents.leadingZeroBitCount
    while bucketSizes.count <= sizeClass {
      let smallest = 1 << bucketSizes.count
      bucketSizes.append(
        .init(smallest: smallest, largest: 2 * smallest - 1, identifiers: 0, documents: 0))
    }
    bucketSizes[sizeClass].identifiers += 1
    bucketSizes[sizeClass].documents += documents
  }
}

/// The entropy of a division of documents into groups.
struct Entropy {
  private var sum = 0.0

  /// Counts a group of at least one document.
  mutating func add(_ documents: Int) { sum += Double(documents) * log2(Double(documents)) }

  /// The bits that the group of a random document tells, when all groups have been counted.
  func bits(of documents: Int) -> Double {
    // Rounding may leave a number below 0 where there is but one group.
    documents == 0 ? 0 : max(0, log2(Double(documents)) - sum / Double(documents))
  }
}

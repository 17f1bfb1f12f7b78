import GLENPlatform

/// How well the identifiers tell documents apart, and whether later documents fare worse.
///
/// A model was trained for the documents of its time. What is added later gets identifiers from the same
/// model; where those collide more, or the model is less sure of them, training again pays.
public struct DriftReport: Sendable, Codable, Equatable {
  /// Numbers about a group of documents, of those that are not deleted.
  public struct Group: Sendable, Codable, Equatable {
    /// How many documents there are.
    public var documents = 0

    /// How many distinct identifiers they have.
    public var identifiers = 0

    /// The share of the documents that share their identifier with any other of the index, 0 to 1.
    public var collisionRate = 0.0

    /// The entropy in bits of a random document's identifier: at most the logarithm of `documents`, where
    /// all identifiers differ.
    public var identifierEntropy = 0.0

    /// The share of the identifiers that name one document of the index alone, 0 to 1.
    public var singleDocumentShare = 0.0

    /// The most documents of the group that have one identifier.
    public var largestBucket = 0

    /// The mean of the documents' own logits at their tokens: how sure the model is of them.
    public var meanWeight = 0.0
  }

  /// All documents.
  public var all: Group

  /// The documents of the oldest segment.
  public var first: Group

  /// The documents that were added since.
  public var added: Group

  /// How much surer the model is of the added documents than of the first: the difference of the mean
  /// weights; nil if either group is empty.
  public var weightMargin: Double?
}

extension IndexSnapshot {
  /// Measures the identifiers of all documents, and those of the oldest segment and of later ones apart.
  ///
  /// - Complexity: O(documents * n).
  public func driftReport() -> DriftReport {
    var tallies = [Tally(), Tally(), Tally()]
    let trie = IdentifierTrie(tables)
    trie.forEachIdentifier(below: trie.root, step: 0) { rows in
      let size = trie.documentCount(of: rows)
      var first = rows
      for table in rows.indices.dropFirst() { first[table] = 0..<0 }
      let old = trie.documentCount(of: first)
      for (group, own) in [size, old, size - old].enumerated() {
        tallies[group].count(own, of: size)
      }
    }
    for (index, segment) in segments.enumerated() {
      for document in 0..<segment.table.documentCount where segment.isLiving(document) {
        let sum = segment.table.weights(ofDocument: document).reduce(0) { $0 + Double($1) }
        tallies[0].weightSum += sum
        tallies[index == 0 ? 1 : 2].weightSum += sum
      }
    }
    let groups = tallies.map { $0.group(identifierLength: identifierLength) }
    let isDrift = groups[1].documents > 0 && groups[2].documents > 0
    return DriftReport(
      all: groups[0], first: groups[1], added: groups[2],
      weightMargin: isDrift ? groups[2].meanWeight - groups[1].meanWeight : nil)
  }

  /// Counts for one group.
  private struct Tally {
    private var documents = 0
    private var identifiers = 0
    private var colliding = 0
    private var alone = 0
    private var largest = 0

    /// The sum of s * log2(s) over the sizes of the buckets.
    private var sizeBits = 0.0
    var weightSum = 0.0

    /// Counts an identifier that some documents of the group have, and so many of the index.
    mutating func count(_ own: Int, of size: Int) {
      guard own > 0 else { return }
      documents += own
      identifiers += 1
      if size > 1 { colliding += own } else { alone += 1 }
      largest = max(largest, own)
      sizeBits += Double(own) * log2(Double(own))
    }

    func group(identifierLength: Int) -> DriftReport.Group {
      guard documents > 0 else { return DriftReport.Group() }
      let count = Double(documents)
      return DriftReport.Group(
        documents: documents, identifiers: identifiers, collisionRate: Double(colliding) / count,
        identifierEntropy: max(0, log2(count) - sizeBits / count),
        singleDocumentShare: Double(alone) / Double(identifiers), largestBucket: largest,
        meanWeight: weightSum / (count * Double(identifierLength)))
    }
  }
}

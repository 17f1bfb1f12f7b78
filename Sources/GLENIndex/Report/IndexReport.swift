/// How healthy an index is: how its documents share identifiers, and which words those are made of.
///
/// A page for people is ``html(title:)``.
public struct IndexReport: Sendable, Encodable, Equatable {
  /// An identifier with the documents that share it.
  public struct Bucket: Sendable, Encodable, Equatable {
    /// The identifier in words: its pieces.
    public var identifier: [String]
    /// How many documents have it.
    public var documents: Int
    /// The names and titles of the first few.
    public var examples: [Example]
  }

  /// A document of a bucket.
  public struct Example: Sendable, Encodable, Equatable {
    /// The document's own name.
    public var id: String
    /// Its title; nil or empty where it has none.
    public var title: String?
  }

  /// The identifiers that as many documents share, give or take.
  public struct SizeClass: Sendable, Encodable, Equatable {
    /// The smallest size of such a bucket.
    public var smallest: Int
    /// The largest size: twice the smallest, less one.
    public var largest: Int
    /// How many identifiers have such a bucket.
    public var identifiers: Int
    /// How many documents are in them.
    public var documents: Int
  }

  /// A token at the beginning of identifiers, with what follows it.
  public struct Branch: Sendable, Encodable, Equatable {
    /// The token's piece; nil for all tokens together that are too rare to be shown.
    public var piece: String?
    /// How many documents have an identifier that begins so.
    public var documents: Int
    /// How many tokens stand here: more than 1 only for the rare ones together.
    public var tokens: Int
    /// The tokens that follow, most documents first, the rare ones together last.
    public var branches: [Branch]
  }

  /// How many documents the index holds.
  public private(set) var documents = 0
  /// How many distinct identifiers they have.
  public private(set) var identifiers = 0
  /// How many tokens an identifier has.
  public private(set) var identifierLength: Int
  /// How many documents share their identifier with no other.
  public private(set) var documentsAlone = 0
  /// How many documents the fullest bucket has.
  public private(set) var largestBucket = 0
  /// The share of documents that share their identifier with another, 0 to 1.
  public private(set) var collisionRate = 0.0
  /// What the identifier of a document drawn at random tells about it, in bits.
  ///
  /// At most the logarithm of the number of documents, which it reaches without collisions.
  public private(set) var identifierEntropy = 0.0
  /// How many distinct tokens each step has.
  public private(set) var tokensByStep: [Int]
  /// What the token of each step tells about a document drawn at random, in bits.
  public private(set) var tokenEntropyByStep: [Double] = []
  /// The buckets by size: 1, 2 to 3, 4 to 7, and so on; the last one is not empty.
  public private(set) var bucketSizes: [SizeClass] = []
  /// How many documents have an identifier of one word, of two, and so on: a piece that does not
  /// begin with a space goes on with the word before.
  public private(set) var documentsByWordCount: [Int]
  /// The fullest buckets of more than one document, fullest first.
  public private(set) var largestBuckets: [Bucket] = []
  /// The first two tokens of the identifiers, most documents first.
  public private(set) var firstTokens: [Branch] = []
  /// How many documents each segment holds.
  public private(set) var documentsBySegment: [Int]
  /// How the documents that were added later fare beside those of the oldest segment.
  public private(set) var drift: DriftReport
  /// Names the model that made the identifiers.
  public private(set) var model: String

  /// How many first tokens are shown one by one.
  private static let firstTokenLimit = 36
  /// How many second tokens are shown one by one under a first.
  private static let secondTokenLimit = 14
  /// How many buckets, and how many documents of each, are shown.
  private static let (bucketLimit, exampleLimit) = (10, 4)

  /// Looks over the documents of an index.
  ///
  /// - Parameters:
  ///   - index: The index; deleted documents do not count.
  ///   - piece: The piece of a token.
  /// - Complexity: O(documents + identifiers * n).
  public init(_ index: IndexSnapshot, piece: (Int32) -> String) {
    identifierLength = index.identifierLength
    tokensByStep = []
    documentsByWordCount = [Int](repeating: 0, count: index.identifierLength)
    documentsBySegment = index.segments.map(\.livingCount)
    drift = index.driftReport()
    model = index.modelFingerprint
    var tally = Tally(identifierLength: identifierLength)
    var fullest = BoundedHeap<Candidate>(capacity: Self.bucketLimit)
    let trie = IdentifierTrie(index.tables)
    trie.forEachIdentifier(below: trie.root, step: 0) { rows in
      let members = rows.indices.flatMap { trie.documents(of: rows[$0], $0) }
        .filter(index.isLiving)
      guard let table = rows.firstIndex(where: { !$0.isEmpty }), !members.isEmpty else { return }
      let tokens = index.tables.tables[table].tokens(ofIdentifier: rows[table].lowerBound)
      documents += members.count
      identifiers += 1
      largestBucket = max(largestBucket, members.count)
      if members.count == 1 {
        documentsAlone += 1
      } else {
        fullest.insert(
          Candidate(
            size: members.count, place: identifiers, tokens: tokens,
            examples: Array(members.prefix(Self.exampleLimit))))
      }
      tally.add(tokens, members.count)
      let words = 1 + tokens.dropFirst().count { piece($0).hasPrefix("\u{2581}") }
      documentsByWordCount[words - 1] += members.count
    }
    if documents > 0 { collisionRate = 1 - Double(documentsAlone) / Double(documents) }
    tokensByStep = tally.documentsByToken.map(\.count)
    identifierEntropy = tally.identifiers.bits(of: documents)
    tokenEntropyByStep = tally.documentsByToken.map { counts in
      var entropy = Entropy()
      for count in counts.values { entropy.add(count) }
      return entropy.bits(of: documents)
    }
    bucketSizes = tally.bucketSizes
    firstTokens = Self.ranked(
      tally.documentsByToken[0], limit: Self.firstTokenLimit, piece: piece
    ) { token in
      Self.ranked(
        tally.seconds[token] ?? [:], limit: Self.secondTokenLimit, piece: piece
      ) { _ in [] }
    }
    largestBuckets = fullest.descending().map { candidate in
      Bucket(
        identifier: candidate.tokens.map(piece), documents: candidate.size,
        examples: candidate.examples.map {
          Example(id: index.id(ofDocument: $0), title: index.title(ofDocument: $0))
        })
    }
  }

  /// A bucket among the fullest: of equal ones the first wins.
  private struct Candidate: Comparable {
    var size: Int
    var place: Int
    var tokens: [Int32]
    var examples: [Int]

    static func < (left: Candidate, right: Candidate) -> Bool {
      (left.size, right.place) < (right.size, left.place)
    }
  }

  /// The most frequent tokens one by one, then the rest together.
  private static func ranked(
    _ counts: [Int32: Int], limit: Int, piece: (Int32) -> String, next: (Int32) -> [Branch]
  ) -> [Branch] {
    let order = counts.sorted { ($1.value, $0.key) < ($0.value, $1.key) }
    // A rest of one token is shown as that token.
    let shown = order.count <= limit + 1 ? order.count : limit
    var result = order[..<shown].map {
      Branch(piece: piece($0.key), documents: $0.value, tokens: 1, branches: next($0.key))
    }
    if shown < order.count {
      result.append(
        Branch(
          piece: nil, documents: order[shown...].reduce(0) { $0 + $1.value },
          tokens: order.count - shown, branches: []))
    }
    return result
  }
}

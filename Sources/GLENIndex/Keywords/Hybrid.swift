/// How the ranking of identifiers and that of keywords become one.
public enum Hybrid: Sendable, Hashable {
  /// Each list gives a document `1 / (60 + rank)`, with ranks from 1; a list without it gives 0.
  ///
  /// Reciprocal rank fusion: Cormack, Clarke and Büttcher, SIGIR 2009, with their constant.
  case reciprocalRank

  /// `weight` of the identifier's score and `1 - weight` of the keywords' score.
  ///
  /// Both are brought to 0...1 over the candidates first: log-probabilities by the smallest and the
  /// largest of them, BM25's scores by 0 and the largest. A weight outside 0...1 counts as the nearest one inside.
  case interpolated(Float)
}

/// A document with the two scores that it has, and what they come to.
public struct FusedDocument: Sendable, Equatable {
  /// The document in GLEN's eyes: identifier, log-probability and similarity.
  public var ranked: RankedDocument
  /// BM25's score; 0 if the document shares no piece with the query.
  public var keywordScore: Float
  /// The score that orders the list.
  public var score: Float
}

/// The documents that one of two searches found, with both scores of each.
///
/// Which document comes first depends on nothing else, so one set of candidates serves to compare
/// several ways of fusing them.
public struct HybridCandidates: Sendable {
  private struct Candidate {
    var ranked: RankedDocument
    var keywordScore: Float
    /// Places from 1 in the two lists; nil for a document that the list does not have.
    var place: Int?
    var keywordPlace: Int?
  }

  /// GLEN's own list.
  public let ranked: [RankedDocument]
  /// BM25's own list.
  public let keywords: [(document: Int, score: Float)]

  private let candidates: [Candidate]

  /// Joins two lists.
  ///
  /// - Parameters:
  ///   - ranked: GLEN's documents, best first.
  ///   - keywords: BM25's documents, best first.
  ///   - scores: BM25's score of every document.
  ///   - lookUp: Ranks exactly the documents of a set, in any order: those that only the keywords
  ///     found. A document that it does not return is left out.
  /// - Throws: What `lookUp` throws.
  public init(
    ranked: [RankedDocument], keywords: [(document: Int, score: Float)], scores: KeywordScores,
    lookUp: (DocumentSet) throws(IndexError) -> [RankedDocument]
  ) throws(IndexError) {
    var places: [Int: Int] = [:]
    for (place, document) in ranked.enumerated() { places[document.document] = place + 1 }
    var keywordPlaces: [Int: Int] = [:]
    for (place, hit) in keywords.enumerated() { keywordPlaces[hit.document] = place + 1 }
    let others = keywords.map(\.document).filter { places[$0] == nil }
    let found =
      others.isEmpty ? [] : try lookUp(DocumentSet(others, capacity: scores.documentCount))
    self.ranked = ranked
    self.keywords = keywords
    candidates = (ranked + found).map {
      Candidate(
        ranked: $0, keywordScore: scores[$0.document], place: places[$0.document],
        keywordPlace: keywordPlaces[$0.document])
    }
  }

  /// The best documents of the union of both lists.
  ///
  /// Equal scores come by log-probability, then by similarity, then by document number.
  ///
  /// - Complexity: O(candidates * log(candidates)).
  public func fused(_ hybrid: Hybrid, limit: Int) -> [FusedDocument] {
    let score = scoring(hybrid)
    let documents = candidates.map {
      FusedDocument(ranked: $0.ranked, keywordScore: $0.keywordScore, score: score($0))
    }
    return Array(documents.sorted(by: Self.precedes).prefix(max(limit, 0)))
  }

  private static func precedes(_ left: FusedDocument, _ right: FusedDocument) -> Bool {
    if left.score != right.score { return left.score > right.score }
    if left.ranked.score != right.ranked.score { return left.ranked.score > right.ranked.score }
    if left.ranked.similarity != right.ranked.similarity {
      return left.ranked.similarity > right.ranked.similarity
    }
    return left.ranked.document < right.ranked.document
  }

  private func scoring(_ hybrid: Hybrid) -> (Candidate) -> Float {
    switch hybrid {
    case .reciprocalRank:
      func share(_ place: Int?) -> Double { place.map { 1 / Double(60 + $0) } ?? 0 }
      return { Float(share($0.place) + share($0.keywordPlace)) }
    case .interpolated(let given):
      let weight = given > 0 ? min(given, 1) : 0
      let normalized = normalizing()
      return {
        let (identifier, keyword) = normalized($0)
        return weight * identifier + (1 - weight) * keyword
      }
    }
  }

  /// The two scores that interpolation adds, each in 0...1, of every document of the union.
  public var normalizedScores: [(document: Int, identifier: Float, keyword: Float)] {
    let normalized = normalizing()
    return candidates.map {
      let (identifier, keyword) = normalized($0)
      return ($0.ranked.document, identifier, keyword)
    }
  }

  private func normalizing() -> (Candidate) -> (identifier: Float, keyword: Float) {
    // A masked token makes a score -infinity: such a document is as bad as the worst other one.
    let finite = candidates.lazy.map(\.ranked.score).filter(\.isFinite)
    let (smallest, largest) = (finite.min() ?? 0, finite.max() ?? 0)
    let largestKeyword = candidates.lazy.map(\.keywordScore).max() ?? 0
    return { candidate in
      let own = candidate.ranked.score
      let identifier =
        own < smallest ? 0 : largest > smallest ? (own - smallest) / (largest - smallest) : 1
      return (identifier, largestKeyword > 0 ? candidate.keywordScore / largestKeyword : 0)
    }
  }
}

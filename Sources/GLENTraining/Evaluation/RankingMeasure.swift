import GLENPlatform

/// A way to judge one ranking against the grades of its query: the one place to add another.
///
/// A new measure is a new case, whose raw value is its name, and its branch in `value`. The values
/// are those of trec_eval: a document is relevant when its grade is above 0; an unjudged document
/// and a negative grade count as 0.
public enum RankingMeasure: String, Sendable, Hashable, CaseIterable {
  /// Recall: the share of the relevant documents that were found (trec_eval: recall).
  case recall = "R"
  /// The reciprocal of the rank of the first relevant document (trec_eval: recip_rank).
  case reciprocalRank = "MRR"
  /// Normalised discounted cumulative gain, with the grade as gain (trec_eval: ndcg, ndcg_cut).
  case normalizedGain = "nDCG"
  /// Average precision (trec_eval: map, map_cut).
  case averagePrecision = "AP"
  /// 1 when any relevant document was found, and 0 otherwise (trec_eval: success).
  case success = "Success"

  /// Computes the measure for one ranking.
  ///
  /// - Parameters:
  ///   - ranked: The grades of the ranked documents, best rank first; 0 where unjudged.
  ///   - judged: The grades of all judged documents of the query, in any order.
  ///   - cutoff: The rank after which nothing counts; nil for the whole ranking.
  /// - Returns: A value from 0 to 1; 0 where no judged document is relevant.
  public func value(
    ranked: some Sequence<Int>, judged: some Sequence<Int>, cutoff: Int? = nil
  ) -> Double {
    let cutoff = cutoff ?? .max
    let relevant = judged.filter { $0 > 0 }
    guard cutoff > 0, !relevant.isEmpty else { return 0 }
    let ranked = ranked.prefix(cutoff)
    switch self {
    case .recall:
      return Double(ranked.count { $0 > 0 }) / Double(relevant.count)
    case .reciprocalRank:
      let first = ranked.enumerated().first { $0.element > 0 }
      return first.map { 1 / Double($0.offset + 1) } ?? 0
    case .normalizedGain:
      let ideal = Self.discountedGain(relevant.sorted(by: >).prefix(cutoff))
      return Self.discountedGain(ranked) / ideal
    case .averagePrecision:
      var found = 0.0
      var sum = 0.0
      for (offset, grade) in ranked.enumerated() where grade > 0 {
        found += 1
        sum += found / Double(offset + 1)
      }
      return sum / Double(relevant.count)
    case .success:
      return ranked.contains { $0 > 0 } ? 1 : 0
    }
  }

  /// The sum over ranks r of grade / log2(r + 1).
  private static func discountedGain(_ grades: some Sequence<Int>) -> Double {
    grades.enumerated().reduce(0) { sum, entry in
      entry.element > 0 ? sum + Double(entry.element) / log2(Double(entry.offset + 2)) : sum
    }
  }
}

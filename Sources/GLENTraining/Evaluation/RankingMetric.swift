/// A measure with a cutoff, such as "R@10" or "AP".
public struct RankingMetric: Sendable, Hashable {
  /// What is measured.
  public let measure: RankingMeasure
  /// The rank after which nothing counts, at least 1; nil for the whole ranking.
  public let cutoff: Int?

  /// Creates a metric without a cutoff.
  public init(_ measure: RankingMeasure) {
    self.measure = measure
    cutoff = nil
  }

  /// Parses a name: a measure and, after "@", a cutoff.
  ///
  /// - Throws: `TrainingError.unknownMetric` when the measure is not known, or the cutoff is not a
  ///   number of at least 1.
  public init(_ name: String) throws(TrainingError) {
    let parts = name.split(separator: "@", maxSplits: 1, omittingEmptySubsequences: false)
    let cutoff = parts.count == 2 ? Int(parts[1]) : nil
    guard let measure = RankingMeasure(rawValue: String(parts[0])),
      parts.count == 1 || (cutoff ?? 0) >= 1
    else {
      throw .unknownMetric(name: name, known: RankingMeasure.allCases.map(\.rawValue))
    }
    self.measure = measure
    self.cutoff = cutoff
  }

  private init(_ measure: RankingMeasure, at cutoff: Int) {
    self.measure = measure
    self.cutoff = cutoff
  }

  /// R@1, R@10, R@100, MRR@10, MRR@100, nDCG@10 and AP.
  public static let standard: [RankingMetric] = [
    RankingMetric(.recall, at: 1), RankingMetric(.recall, at: 10), RankingMetric(.recall, at: 100),
    RankingMetric(.reciprocalRank, at: 10), RankingMetric(.reciprocalRank, at: 100),
    RankingMetric(.normalizedGain, at: 10), RankingMetric(.averagePrecision),
  ]

  /// The name, which parses to the same metric.
  public var name: String {
    cutoff.map { "\(measure.rawValue)@\($0)" } ?? measure.rawValue
  }

  /// Computes the metric for one ranking.
  ///
  /// - Parameters:
  ///   - ranked: The grades of the ranked documents, best rank first; 0 where unjudged.
  ///   - judged: The grades of all judged documents of the query, in any order.
  public func value(ranked: some Sequence<Int>, judged: some Sequence<Int>) -> Double {
    measure.value(ranked: ranked, judged: judged, cutoff: cutoff)
  }
}

extension RankingMetric: CustomStringConvertible {
  /// The name of the metric.
  public var description: String { name }
}

extension RankingMetric: Comparable {
  /// Orders by measure, in the order of its cases, and then by cutoff, the whole ranking last.
  public static func < (left: RankingMetric, right: RankingMetric) -> Bool {
    left.sortKey < right.sortKey
  }

  private var sortKey: (Int, Int) {
    (RankingMeasure.allCases.firstIndex(of: measure) ?? 0, cutoff ?? .max)
  }
}

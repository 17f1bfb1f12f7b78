import GLENPlatform

/// The means of some metrics over a number of queries.
///
/// Encodes as one flat object: `{"AP": 0.5, "MRR@10": 0.6, ..., "queries": 100}`.
public struct EvaluationReport: Sendable, Equatable {
  /// The number of queries that the means are over.
  public let queryCount: Int
  /// The mean of every metric; 0 where there are no queries.
  public let means: [RankingMetric: Double]

  /// Creates a report.
  public init(queryCount: Int, means: [RankingMetric: Double]) {
    self.queryCount = queryCount
    self.means = means
  }

  /// The metrics, in their order.
  public var metrics: [RankingMetric] { means.keys.sorted() }

  /// The mean of a metric, if the report has it.
  public subscript(metric: RankingMetric) -> Double? { means[metric] }

  /// The report as a JSON object with sorted keys.
  ///
  /// - Throws: What the encoder throws, when a mean is not finite.
  public func jsonData() throws -> Data {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
    return try encoder.encode(self)
  }

  /// Reports as aligned text: one row each, one column a metric, values times 100.
  ///
  /// ```
  ///       queries   R@1  R@10
  /// all       300  52.8  77.8
  /// seen      100  60.1  80.0
  /// ```
  ///
  /// - Parameter rows: The reports with their labels; a metric that a report lacks shows as "-".
  public static func table(_ rows: [(label: String, report: EvaluationReport)]) -> String {
    let metrics = Set(rows.flatMap { $0.report.means.keys }).sorted()
    let header = ["", "queries"] + metrics.map(\.name)
    let cells = rows.map { row in
      [row.label, String(row.report.queryCount)]
        + metrics.map { metric in row.report[metric].map(percent) ?? "-" }
    }
    return TextTable.aligned([header] + cells)
  }

  private static func percent(_ value: Double) -> String {
    String(printf: "%.1f", value * 100)
  }
}

extension EvaluationReport: CustomStringConvertible {
  /// The report as a table of one row.
  public var description: String { Self.table([("", self)]) }
}

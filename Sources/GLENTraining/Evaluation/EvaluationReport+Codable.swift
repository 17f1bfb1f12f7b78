extension EvaluationReport: Codable {
  /// Decodes a flat object of metric names and "queries".
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: Key.self)
    var means: [RankingMetric: Double] = [:]
    for key in container.allKeys where key != .queries {
      means[try RankingMetric(key.stringValue)] = try container.decode(Double.self, forKey: key)
    }
    self.init(queryCount: try container.decode(Int.self, forKey: .queries), means: means)
  }

  /// Encodes a flat object of metric names and "queries".
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: Key.self)
    try container.encode(queryCount, forKey: .queries)
    for metric in metrics {
      try container.encode(means[metric], forKey: Key(stringValue: metric.name))
    }
  }

  /// The name of a metric, or "queries".
  private struct Key: CodingKey, Equatable {
    static let queries = Key(stringValue: "queries")

    let stringValue: String
    var intValue: Int? { nil }

    init(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
  }
}

import CGLENKernels

/// A query's log-probabilities at the tokens that a table holds, step after step, by code.
struct LevelScores {
  /// The log-probability of every code; step `t` begins where the table's `levelOffsets` says.
  private(set) var values: [Float] = []

  /// The largest log-probability of each step, -infinity for a step without tokens.
  private(set) var largest: [Float]

  private let scores: QueryScores

  /// Checks that a query can be searched in some tables.
  init(_ scores: QueryScores, _ tables: IdentifierTables) throws(IndexError) {
    try Self.check(scores, tables)
    self.scores = scores
    self.largest = [Float](repeating: -.infinity, count: tables.identifierLength)
  }

  /// Looks up the query's scores once for each distinct token of each step of a table.
  mutating func load(_ table: IdentifierTable) {
    withExtendedLifetime(table) {
      let (scores, tokens) = (scores, table.allLevelTokens)
      values = [Float](unsafeUninitializedCapacity: tokens.count) { values, initialized in
        scores.logits.withUnsafeBufferPointer { logits in
          for step in 0..<table.identifierLength {
            let codes = Int(table.levelOffsets[step])..<Int(table.levelOffsets[step + 1])
            let normalizer = scores.logNormalizers[step]
            let row = UnsafeBufferPointer(rebasing: logits[(step * scores.vocabularySize)...])
            glen_log_probabilities(
              codes.count, row.baseAddress,
              UnsafeBufferPointer(rebasing: tokens[codes]).baseAddress,
              normalizer, UnsafeMutableBufferPointer(rebasing: values[codes]).baseAddress)
            largest[step] = Maximum.value(of: UnsafeBufferPointer(rebasing: values[codes]))
          }
        }
        initialized = tokens.count
      }
    }
  }

  /// Checks that a query can be searched in some tables.
  static func check(_ scores: QueryScores, _ tables: IdentifierTables) throws(IndexError) {
    guard scores.identifierLength == tables.identifierLength else {
      throw .invalidSearch(
        "search: the query has another identifier length than the index; expected "
          + "\(tables.identifierLength) steps, got \(scores.identifierLength); "
          + "search with the model that built the index")
    }
    guard scores.vocabularySize >= tables.vocabularySize else {
      throw .invalidSearch(
        "search: the query has a smaller vocabulary than the index; expected at least "
          + "\(tables.vocabularySize) tokens, got \(scores.vocabularySize); "
          + "search with the model that built the index")
    }
  }
}

/// A query's log-probabilities at the tokens that a table holds, step after step, by code.
///
/// One buffer serves all tables, one after the other. It goes on behind a table's last code for as far
/// as a 16-bit code can reach, so that a damaged column leads to a wrong score and not outside.
struct LevelScores {
  /// How many codes there are of 16 bits.
  private static let shortCodes = 1 << 16

  /// The log-probability of every code; step `t` begins where the table's `levelOffsets` says.
  private(set) var values: [Float]

  /// The largest log-probability of each step, -infinity for a step without tokens.
  private(set) var largest: [Float]

  private let scores: QueryScores

  /// Makes room for the largest of some tables.
  init(_ scores: QueryScores, _ tables: IdentifierTables) throws(IndexError) {
    try Self.check(scores, tables)
    let tokens = tables.tables.map(\.layout.levelTokenCount).max() ?? 0
    self.scores = scores
    self.values = [Float](repeating: -.infinity, count: tokens + Self.shortCodes)
    self.largest = [Float](repeating: -.infinity, count: tables.identifierLength)
  }

  /// Looks up the query's scores once for each distinct token of each step of a table.
  mutating func load(_ table: IdentifierTable) {
    withExtendedLifetime(table) {
      values.withUnsafeMutableBufferPointer { values in
        for step in 0..<table.identifierLength {
          let normalizer = scores.logNormalizers[step]
          let tokens = table.levelTokens(step)
          let base = step * scores.vocabularySize
          let first = Int(table.levelOffsets[step])
          scores.logits.withUnsafeBufferPointer { logits in
            for code in tokens.indices {
              values[first + code] = QueryScores.logProbability(
                logit: logits[base + Int(tokens[code])], logNormalizer: normalizer)
            }
          }
          largest[step] = Maximum.value(
            of: UnsafeBufferPointer(rebasing: values[first..<first + tokens.count]))
        }
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

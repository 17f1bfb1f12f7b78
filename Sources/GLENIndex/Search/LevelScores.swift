/// A query's log-probabilities at the tokens that a table holds, step after step, by code.
struct LevelScores {
  /// The log-probability of every code; step `t` begins where the table's `levelOffsets` says.
  let values: [Float]

  /// The largest log-probability of each step, -infinity for a step without tokens.
  let largest: [Float]

  /// Looks up a query's scores once for each distinct token of each step.
  init(_ scores: QueryScores, table: IdentifierTable) throws(IndexError) {
    try Self.check(scores, table: table)
    var largest: [Float] = []
    self.values = withExtendedLifetime(table) {
      [Float](unsafeUninitializedCapacity: table.layout.levelTokenCount) { values, count in
        for step in 0..<table.identifierLength {
          let normalizer = scores.logNormalizers[step]
          let tokens = table.levelTokens(step)
          let base = step * scores.vocabularySize
          scores.logits.withUnsafeBufferPointer { logits in
            for code in tokens.indices {
              let value = QueryScores.logProbability(
                logit: logits[base + Int(tokens[code])], logNormalizer: normalizer)
              values.initializeElement(at: count + code, to: value)
            }
          }
          let level = values[count..<count + tokens.count]
          largest.append(Maximum.value(of: UnsafeBufferPointer(rebasing: level)))
          count += tokens.count
        }
      }
    }
    self.largest = largest
  }

  /// Checks that a query's table has the steps and tokens of an index.
  static func check(_ scores: QueryScores, table: IdentifierTable) throws(IndexError) {
    guard scores.identifierLength == table.identifierLength else {
      throw .invalidSearch(
        "search: the query has another identifier length than the index; expected "
          + "\(table.identifierLength) steps, got \(scores.identifierLength); "
          + "search with the model that built the index")
    }
    guard scores.vocabularySize >= table.vocabularySize else {
      throw .invalidSearch(
        "search: the query has a smaller vocabulary than the index; expected at least "
          + "\(table.vocabularySize) tokens, got \(scores.vocabularySize); "
          + "search with the model that built the index")
    }
  }
}

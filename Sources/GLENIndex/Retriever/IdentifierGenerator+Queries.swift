import GLENModel
import GLENTensor

extension IdentifierGenerator {
  /// The scores of queries: each one's n x V logits, -infinity where no identifier may go.
  ///
  /// - Parameter queries: tokens with their end token.
  /// - Throws: `ModelError.input`, `TensorError`; `IndexError.invalidScores` if a weight of the
  ///   model is not a number, or so large that states or logits are not finite.
  public func scores(of queries: [[Int32]]) throws -> [QueryScores] {
    guard !queries.isEmpty else { return [] }
    let n = settings.identifierLength
    let size = model.configuration.vocabularySize
    var result: [QueryScores] = []
    result.reserveCapacity(queries.count)
    let states = try states(of: queries)
    guard try areSound(states) else {
      throw IndexError.invalidScores(overflow("read query scores"))
    }
    // A few queries at a time: all scores of a large batch would take gigabytes.
    let group = max(1, (1 << 23) / (n * size))
    let rows = try states.reshaped(to: [queries.count, n * model.configuration.width])
    for first in stride(from: 0, to: queries.count, by: group) {
      let last = min(first + group, queries.count)
      let part = try gather(
        rows, rows: TokenIDs((first..<last).map { Int32($0) }, on: model.backend))
      let logits = try model.logits(
        part.reshaped(to: [(last - first) * n, model.configuration.width])
      ).values()
      guard Self.largestMagnitude(of: logits[...]) < .infinity else {
        throw IndexError.invalidScores(overflow("read query scores"))
      }
      for query in 0..<last - first {
        var own = Array(logits[query * n * size..<(query + 1) * n * size])
        for step in 0..<n {
          for token in maskedTokens { own[step * size + token] = -.infinity }
        }
        result.append(
          try QueryScores(logits: own, identifierLength: n, vocabularySize: size))
      }
    }
    return result
  }
}

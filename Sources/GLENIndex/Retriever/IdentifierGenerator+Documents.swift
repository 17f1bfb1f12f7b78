import GLENModel
import GLENTensor

extension IdentifierGenerator {
  /// The most tokens that are encoded at once.
  private static let batchTokens = 4096

  /// The identifiers and weights of documents.
  ///
  /// Equation (2) of the paper.
  ///
  /// - Parameters:
  ///   - documents: tokens with their end token, at positions from 0; they may be made when they are asked
  ///     for, which happens at most three times each.
  ///   - progress: receives the number of documents done.
  /// - Returns: n tokens and n weights for each document, in order.
  /// - Throws: `ModelError.input`, `TensorError`, `CancellationError`; `IndexError.invalidIdentifiers` if
  ///   the weights are so large that states or logits are not finite.
  public func identifiers<Documents: RandomAccessCollection>(
    of documents: Documents, progress: (Int) -> Void = { _ in }
  ) throws -> (tokens: [Int32], weights: [Float])
  where Documents.Element == [Int32], Documents.Index == Int {
    let n = settings.identifierLength
    var tokens = [Int32](repeating: 0, count: documents.count * n)
    var weights = [Float](repeating: 0, count: documents.count * n)
    var done = 0
    while done < documents.count {
      try Task.checkCancellation()
      var last = done
      var size = 0
      repeat {
        size += documents[last].count
        last += 1
      } while last < documents.count && size + documents[last].count <= Self.batchTokens
      let states = try states(of: Array(documents[done..<last]))
      let (best, logits) = try model.identifiers(states, mask: mask)
      let values = try logits.values()
      // Where all logits are NaN the best of them is the lowest number.
      guard try areSound(states), values.allSatisfy({ abs($0) < .greatestFiniteMagnitude }) else {
        throw IndexError.invalidIdentifiers(overflow("index"))
      }
      tokens.replaceSubrange(done * n..<last * n, with: try best.values())
      weights.replaceSubrange(done * n..<last * n, with: values)
      done = last
      progress(done)
    }
    return (tokens, weights)
  }
}

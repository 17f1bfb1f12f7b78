import GLENModel
import GLENTensor

/// A model at work without training: documents become identifiers, queries become scores.
public struct IdentifierGenerator: Sendable {
  /// The network.
  public let model: T5Model
  /// The identifier's length and the tokens that it may not have.
  public let settings: IdentifierSettings
  private let mask: Tensor
  private let maskedTokens: [Int]

  /// The most tokens that are encoded at once.
  private static let batchTokens = 4096

  /// A generator over a model.
  ///
  /// - Throws: `TensorError.outOfMemory`.
  public init(model: T5Model, settings: IdentifierSettings) throws {
    self.model = model
    self.settings = settings
    let size = model.configuration.vocabularySize
    mask = try settings.mask(vocabularySize: size, on: model.backend)
    maskedTokens = settings.maskedTokens.map(Int.init).filter { (0..<size).contains($0) }
  }

  private var feedback: T5Model.Feedback {
    settings.feedsTokens ? .bestTokens(mask: mask) : .states
  }

  /// The decoder's states of texts: h_1 ... h_n, `[texts, n, width]`.
  ///
  /// - Throws: `ModelError.input`, `TensorError`.
  public func states(of texts: [[Int32]]) throws -> Tensor {
    let batch = try TokenBatch(
      texts, vocabularySize: model.configuration.vocabularySize, on: model.backend)
    return try model.rollout(batch, steps: settings.identifierLength, feedback: feedback)
  }

  /// The identifiers and weights of documents. Equation (2) of the paper.
  ///
  /// - Parameters:
  ///   - documents: tokens with their end token.
  ///   - progress: receives the number of documents done.
  /// - Returns: n tokens and n weights for each document, in order.
  /// - Throws: `ModelError.input`, `TensorError`, `CancellationError`.
  public func identifiers(
    of documents: [[Int32]], progress: (Int) -> Void = { _ in }
  ) throws -> (tokens: [Int32], weights: [Float]) {
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
      let (found, values) = try model.identifiers(
        states(of: Array(documents[done..<last])), mask: mask)
      tokens.replaceSubrange(done * n..<last * n, with: try found.values())
      weights.replaceSubrange(done * n..<last * n, with: try values.values())
      done = last
      progress(done)
    }
    return (tokens, weights)
  }

  /// The scores of queries: each one's n x V logits, -infinity where no identifier may go.
  ///
  /// - Parameter queries: tokens with their end token.
  /// - Throws: `ModelError.input`, `TensorError`; `IndexError.invalidScores` if a weight of the
  ///   model is not a number.
  public func scores(of queries: [[Int32]]) throws -> [QueryScores] {
    guard !queries.isEmpty else { return [] }
    let n = settings.identifierLength
    let size = model.configuration.vocabularySize
    var result: [QueryScores] = []
    result.reserveCapacity(queries.count)
    let states = try states(of: queries)
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

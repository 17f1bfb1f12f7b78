/// One query's logits for every step of an identifier and every token: all that a search needs.
///
/// The decoder is fed its own hidden states, never the chosen tokens, so this table is the same
/// whatever is searched. Tokens that no identifier may contain have the logit -infinity.
public struct QueryScores: Sendable {
  /// The logits, `[n, vocabulary]` in row-major order.
  public let logits: [Float]

  /// How many steps an identifier has, the paper's n.
  public let identifierLength: Int

  /// How many tokens each step has.
  public let vocabularySize: Int

  /// For each step the logarithm of the sum of exp(logit) over all tokens that are not masked.
  ///
  /// It is -infinity for a step at which every token is masked.
  public let logNormalizers: [Double]

  /// Takes a query's logits and computes the normaliser of each step.
  ///
  /// - Parameters:
  ///   - logits: `[n, vocabulary]` in row-major order, with -infinity for masked tokens.
  ///   - identifierLength: The paper's n, at least 1.
  ///   - vocabularySize: The number of tokens, at least 1.
  /// - Throws: ``IndexError/invalidScores(_:)`` if the count is not n times the vocabulary, or if a
  ///   logit is NaN or +infinity.
  /// - Complexity: O(n * vocabulary).
  public init(logits: [Float], identifierLength: Int, vocabularySize: Int) throws(IndexError) {
    let (count, overflowed) = identifierLength.multipliedReportingOverflow(by: vocabularySize)
    guard identifierLength >= 1, vocabularySize >= 1, !overflowed, count == logits.count else {
      throw .invalidScores(
        "read query scores: the logits do not fill the table; expected \(identifierLength) steps "
          + "of \(vocabularySize) tokens, got \(logits.count) logits; pass those of every step")
    }
    var normalizers: [Double] = []
    for step in 0..<identifierLength {
      let row = step * vocabularySize..<(step + 1) * vocabularySize
      let normalizer = logits.withUnsafeBufferPointer {
        LogSumExp.value(of: UnsafeBufferPointer(rebasing: $0[row]))
      }
      guard let normalizer else {
        let token = logits[row].firstIndex { $0.isNaN || $0 == .infinity } ?? row.lowerBound
        throw .invalidScores(
          "read query scores: step \(step) cannot be ranked; expected finite logits, or -infinity "
            + "for masked tokens, got \(logits[token]) at token \(token - row.lowerBound); "
            + "check the model's weights")
      }
      normalizers.append(normalizer)
    }
    self.logits = logits
    self.identifierLength = identifierLength
    self.vocabularySize = vocabularySize
    self.logNormalizers = normalizers
  }

  /// The logit of a token at a step.
  ///
  /// - Precondition: `step` is in `0..<identifierLength` and `token` in `0..<vocabularySize`.
  /// - Complexity: O(1).
  public func logit(_ step: Int, _ token: Int) -> Float {
    precondition(
      step >= 0 && step < identifierLength && token >= 0 && token < vocabularySize,
      "The table has no such step or token.")
    return logits[step * vocabularySize + token]
  }

  /// The logarithm of a token's probability at a step, over all tokens that are not masked.
  ///
  /// It is -infinity for a masked token, and at most 0.
  ///
  /// - Precondition: `step` is in `0..<identifierLength` and `token` in `0..<vocabularySize`.
  /// - Complexity: O(1).
  public func logProbability(_ step: Int, _ token: Int) -> Float {
    Self.logProbability(logit: logit(step, token), logNormalizer: logNormalizers[step])
  }

  /// The one definition that every search uses, so that all scores agree to the last bit.
  @inline(__always)
  static func logProbability(logit: Float, logNormalizer: Double) -> Float {
    // Where every token is masked, -infinity - -infinity would be NaN.
    logit == -.infinity ? -.infinity : Float(Double(logit) - logNormalizer)
  }
}

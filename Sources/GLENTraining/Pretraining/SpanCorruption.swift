import GLENTensor

/// T5's pre-training task: spans of a text are each replaced by a sentinel, and are to be written out
/// behind the same sentinels.
///
/// Raffel et al., "Exploring the Limits of Transfer Learning with a Unified Text-to-Text Transformer"
/// (2020), section 3.1.4.
struct SpanCorruption {
  /// The share of tokens that are taken out.
  var rate: Double
  /// The mean length of a span.
  var meanLength: Double
  /// The tokens that stand for the first span, the second, and so on.
  var sentinels: [Int32]

  /// The corrupted text and the spans, each with the end token 1; nil for less than two tokens.
  func example(
    of tokens: [Int32], using generator: inout SeededGenerator
  ) -> (input: [Int32], target: [Int32])? {
    guard tokens.count > 1, !sentinels.isEmpty else { return nil }
    let noise = min(max(Int((Double(tokens.count) * rate).rounded()), 1), tokens.count - 1)
    let wanted = max(Int((Double(noise) / meanLength).rounded()), 1)
    let spans = min(wanted, noise, tokens.count - noise, sentinels.count)
    let noiseLengths = Self.parts(of: noise, count: spans, using: &generator)
    let keptLengths = Self.parts(of: tokens.count - noise, count: spans, using: &generator)
    var (input, target): ([Int32], [Int32]) = ([], [])
    var place = 0
    for span in 0..<spans {
      input += tokens[place..<place + keptLengths[span]]
      place += keptLengths[span]
      input.append(sentinels[span])
      target.append(sentinels[span])
      target += tokens[place..<place + noiseLengths[span]]
      place += noiseLengths[span]
    }
    return (input + [1], target + [1])
  }

  /// A number as a sum of `count` numbers of at least 1, every such sum equally likely.
  private static func parts(
    of total: Int, count: Int, using generator: inout SeededGenerator
  ) -> [Int] {
    let cuts = Array((1..<max(total, 1)).shuffled(using: &generator).prefix(count - 1)).sorted()
    return zip(cuts + [total], [0] + cuts).map { $0 - $1 }
  }
}

import GLENPlatform
import GLENTensor

/// How generation draws its tokens: among the `topK` likeliest, by their probabilities.
///
/// Fan et al. 2018, "Hierarchical Neural Story Generation".
public struct TopKSampling: Sendable {
  /// How many tokens may be drawn; 1 is greedy.
  public var topK: Int
  /// What logits are divided by: below 1 likely tokens gain, above 1 unlikely ones.
  public var temperature: Float
  /// The random numbers of each text of a batch, of its own so that batches do not matter.
  public var keys: [RandomKey]

  /// A way of drawing.
  public init(topK: Int, temperature: Float = 1, keys: [RandomKey]) {
    (self.topK, self.temperature, self.keys) = (topK, temperature, keys)
  }
}

extension T5Model {
  /// Greedy generation with tokens fed back, until the end token or `maximumLength`.
  ///
  /// - Returns: for each text its tokens, without the end token.
  /// - Throws: `TensorError`, `ModelError.input` for a negative length.
  public func generate(_ batch: TokenBatch, maximumLength: Int) throws -> [[Int32]] {
    try generate(batch, maximumLength: maximumLength) { states, _ in
      try identifiers(states, mask: nil).tokens.values()
    }
  }

  /// Generation by drawing tokens, several times for each text, which are encoded once.
  ///
  /// - Parameters:
  ///   - batch: the packed texts.
  ///   - maximumLength: the most tokens of a result.
  ///   - samples: a way of drawing for each result of a text.
  ///   - mask: `[vocabulary]`, -infinity for tokens that are never drawn.
  /// - Returns: for each way of drawing, for each text, its tokens without the end token.
  /// - Throws: `TensorError`, `ModelError.input` for a negative length, less than one token to draw
  ///   from, a temperature that is not above 0, or keys that are not as many as the texts.
  public func generate(
    _ batch: TokenBatch, maximumLength: Int, samples: [TopKSampling], mask: Tensor? = nil
  ) throws -> [[[Int32]]] {
    for sampling in samples {
      guard sampling.topK >= 1, sampling.temperature > 0, sampling.keys.count == batch.count else {
        throw ModelError.input(
          reason: "drawing needs at least 1 token, a temperature above 0 and \(batch.count) keys; "
            + "got \(sampling.topK), \(sampling.temperature) and \(sampling.keys.count)")
      }
    }
    let start = try startGenerating(batch, maximumLength: maximumLength)
    let masked = try mask?.values()
    return try samples.map { sampling in
      try generate(from: start, batch, maximumLength: maximumLength) { states, step in
        let logits = try logits(states).values()
        let size = configuration.vocabularySize
        return (0..<batch.count).map { row in
          Self.draw(
            logits[row * size..<(row + 1) * size], masked: masked, sampling,
            key: sampling.keys[row].split(step))
        }
      }
    }
  }

  private func startGenerating(_ batch: TokenBatch, maximumLength: Int) throws -> DecoderState {
    guard maximumLength >= 0 else {
      throw ModelError.input(reason: "no text has \(maximumLength) tokens; expected 0 or more")
    }
    return try startDecoding(
      encode(batch), offsets: batch.offsets, longest: max(maximumLength, 1))
  }

  private func generate(
    _ batch: TokenBatch, maximumLength: Int, choose: (Tensor, Int) throws -> [Int32]
  ) throws -> [[Int32]] {
    try generate(
      from: startGenerating(batch, maximumLength: maximumLength), batch,
      maximumLength: maximumLength, choose: choose)
  }

  /// Feeds back what `choose` makes of a step's states, `[batch, width]`.
  private func generate(
    from start: DecoderState, _ batch: TokenBatch, maximumLength: Int,
    choose: (Tensor, Int) throws -> [Int32]
  ) throws -> [[Int32]] {
    var state = start
    var tokens = [Int32](repeating: 0, count: batch.count)
    var results = [[Int32]](repeating: [], count: batch.count)
    var isDone = [Bool](repeating: false, count: batch.count)
    for step in 0..<maximumLength where isDone.contains(false) {
      let h = try state.advance(gather(table, rows: TokenIDs(tokens, on: backend)))
      tokens = try choose(h, step)
      for (index, token) in tokens.enumerated() where !isDone[index] {
        if token == 1 { isDone[index] = true } else { results[index].append(token) }
      }
    }
    return results
  }

  /// Draws one token; of equal logits the smaller token is the likelier to be among the best.
  private static func draw(
    _ logits: ArraySlice<Float>, masked: [Float]?, _ sampling: TopKSampling, key: RandomKey
  ) -> Int32 {
    // The best so far, best first.
    var best: [(token: Int, logit: Float)] = []
    for (token, logit) in logits.enumerated() {
      guard best.count < sampling.topK || logit > best[best.count - 1].logit,
        masked?[token] ?? 0 == 0
      else { continue }
      let place = best.firstIndex { logit > $0.logit } ?? best.count
      best.insert((token, logit), at: place)
      if best.count > sampling.topK { best.removeLast() }
    }
    guard let first = best.first else { return 1 }
    let weights = best.map { exp(Double($0.logit - first.logit) / Double(sampling.temperature)) }
    var generator = SeededGenerator(key)
    var rest = Double.random(in: 0..<1, using: &generator) * weights.reduce(0, +)
    for (candidate, weight) in zip(best, weights) {
      rest -= weight
      if rest < 0 { return Int32(candidate.token) }
    }
    return Int32(first.token)
  }
}

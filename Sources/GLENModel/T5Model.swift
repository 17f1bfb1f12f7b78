import GLENTensor

/// A T5 encoder-decoder with one table for input, output and identifiers.
///
/// A value: copies share their parameters until one is changed.
public struct T5Model: Sendable, ParameterContainer {
  /// The model's shape.
  public internal(set) var configuration: T5Configuration
  /// The embedding table E, `[vocabulary, width]`.
  public var table: Tensor
  var encoder: T5Encoder
  var decoder: T5Decoder

  /// Whether training keeps only what goes into each block of the encoder, and computes the inside again on
  /// the way back: less memory, more time, the same numbers.
  ///
  /// It is not saved with the model.
  public var recomputesBlocks = false

  /// The backend that holds the parameters.
  public var backend: any Backend { table.backend }

  /// The name of the table among the parameters.
  public static let tableName = "shared.weight"

  /// Gives the model another vocabulary: a table of as many rows as that has tokens, row by row.
  ///
  /// - Throws: `TensorError.outOfMemory`, `.invalidArgument` if the numbers are no whole rows.
  package mutating func replaceTable(_ rows: [Float]) throws(TensorError) {
    let width = configuration.width
    guard !rows.isEmpty, rows.count % width == 0 else {
      throw .invalidArgument(
        operation: "replaceTable", reason: "\(rows.count) numbers are no rows of \(width)")
    }
    table = try Tensor(rows, shape: [rows.count / width, width], on: backend)
    configuration.vocabularySize = rows.count / width
  }

  /// Visits all parameters under their Hugging Face names.
  public mutating func visitParameters(
    _ body: (String, inout Tensor) throws -> Void
  ) rethrows {
    try body(Self.tableName, &table)
    try encoder.visitParameters(body)
    try decoder.visitParameters(body)
  }

  /// Encodes packed texts.
  ///
  /// - Returns: the encoder's final states, `[total length, width]`.
  /// - Throws: `TensorError`.
  public func encode(_ batch: TokenBatch, dropout: Dropout = .none) throws -> Tensor {
    let embeddings = try gather(table, rows: batch.tokens)
    return try encoder(
      embeddings, offsets: batch.offsets, configuration, dropout: dropout.ofTokens,
      recomputes: recomputesBlocks)
  }

  /// A decoder at the beginning, over encoded texts.
  ///
  /// - Parameters:
  ///   - encoded: the states that `encode` gave for the batch.
  ///   - longest: the greatest number of steps that will be taken.
  /// - Throws: `TensorError`.
  public func startDecoding(
    _ encoded: Tensor, offsets: SequenceOffsets, longest: Int, dropout: Dropout = .none
  ) throws -> DecoderState {
    try DecoderState(
      decoder, configuration, encoded: encoded, offsets: offsets, longest: longest,
      dropout: dropout.ofSequences)
  }

  /// The decoder's states at every position of given targets: ordinary training of a T5.
  ///
  /// - Parameters:
  ///   - inputs: what is encoded.
  ///   - targets: for each input its target, with the end token.
  /// - Returns: one state for each token of the targets, which predicts it, unscaled,
  ///   `[total target length, width]`.
  /// - Throws: `ModelError.input`, `TensorError`.
  public func targetStates(
    _ inputs: TokenBatch, targets: [[Int32]], dropout: Dropout = .none
  ) throws -> Tensor {
    guard targets.count == inputs.count else {
      throw ModelError.input(reason: "\(inputs.count) inputs need as many targets")
    }
    let shifted = try TokenBatch(
      targets.map { [0] + $0.dropLast() }, vocabularySize: configuration.vocabularySize,
      on: backend)
    let encoded = try encode(inputs, dropout: dropout.split(0))
    return try decoder(
      gather(table, rows: shifted.tokens), offsets: shifted.offsets, encoded: encoded,
      encodedOffsets: inputs.offsets, configuration, dropout: dropout.split(1))
  }

  /// What a decoder step takes in after the first, whose input is always the start token.
  public enum Feedback: Sendable {
    /// The step's own final state, unscaled: the method. Equation (2) of the paper.
    case states
    /// The embedding of the best token that the mask leaves: ordinary greedy generation, and the
    /// paper's ablation when searching.
    case bestTokens(mask: Tensor?)
    /// The embeddings of given tokens, `[batch]` for each step after the first: the ablation when
    /// training.
    case tokens([TokenIDs])
  }

  /// The rollout: n decoder states for each text.
  ///
  /// - Parameters:
  ///   - batch: the packed texts.
  ///   - steps: the identifier's length n.
  ///   - feedback: what each step hands to the next.
  /// - Returns: h_1 ... h_n, unscaled, `[batch, steps, width]`.
  /// - Throws: `TensorError`, `ModelError.input` for less than one step.
  public func rollout(
    _ batch: TokenBatch, steps: Int, feedback: Feedback = .states, dropout: Dropout = .none
  ) throws -> Tensor {
    guard steps > 0 else { throw ModelError.input(reason: "a rollout needs at least one step") }
    let encoded = try encode(batch, dropout: dropout.split(0))
    var state = try startDecoding(
      encoded, offsets: batch.offsets, longest: steps, dropout: dropout.split(1))
    let starts = try TokenIDs([Int32](repeating: 0, count: batch.count), on: backend)
    var input = try gather(table, rows: starts)  // [batch, width]
    var states: [Tensor] = []
    for step in 0..<steps {
      let h = try state.advance(input)
      states.append(h)
      guard step + 1 < steps else { break }
      switch feedback {
      case .states: input = h
      case .bestTokens(let mask):
        let best = try bestTokens(
          states: h, table: table, scale: configuration.headScale, mask: mask)
        input = try gather(table, rows: best.tokens)
      case .tokens(let tokens):
        guard step < tokens.count, tokens[step].count == batch.count else {
          throw ModelError.input(
            reason: "\(steps) steps need \(steps - 1) rows of \(batch.count) tokens to feed back")
        }
        input = try gather(table, rows: tokens[step])
      }
    }
    return try stack(states)
  }

  /// The logits of states, `[..., width]` to `[..., vocabulary]`: x Eᵀ with x = m^-1/2 h.
  ///
  /// - Throws: `TensorError`.
  public func logits(_ states: Tensor) throws -> Tensor {
    try linear(states, table, scale: configuration.headScale)
  }

  /// The masked arg max of every state and its logit: identifiers and weights of documents.
  ///
  /// - Parameters:
  ///   - states: `[batch, steps, width]`.
  ///   - mask: `[vocabulary]`, -infinity where no identifier may go.
  /// - Returns: tokens and weights in the order of the states.
  /// - Throws: `TensorError`.
  public func identifiers(
    _ states: Tensor, mask: Tensor?
  ) throws -> (tokens: TokenIDs, weights: Tensor) {
    try bestTokens(
      states: states.reshaped(to: [states.rows, states.width]), table: table,
      scale: configuration.headScale, mask: mask)
  }
}

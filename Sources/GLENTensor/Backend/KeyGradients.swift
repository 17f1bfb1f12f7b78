/// A backend that makes the gradients of keys and values which several attentions of single queries read at
/// once, for `AttentionMemory`; another adds to them attention by attention.
public protocol KeyGradientGatherer: Backend {
  /// Whether it does for heads of such a width.
  func gathersKeyGradients(headWidth: Int) -> Bool
  /// The gradient of the queries of attention of single queries, without a bias, and the step's weights.
  func attentionQueriesBackward(_ step: AttentionStep, dQueries: Region, accumulating: Bool)
  /// The gradients of keys and values from the steps that have read them.
  func attentionKeysBackward(
    _ steps: [AttentionStep], dKeys: Region, dValues: Region, accumulatingKeys: Bool,
    accumulatingValues: Bool)
}

/// One of several attentions over the same keys and values, on its way back.
///
/// For key j of a sequence, of whose only query q is the row and dO that of the output's gradient,
/// `dKeys[j, h] = Σ weights[0, h, j] q[h]` and `dValues[j, h] = Σ weights[1, h, j] dO[h]`, over the steps: the
/// gradient of the score, and the probability behind its dropout.
public struct AttentionStep: Sendable {
  /// What was computed.
  public var attention: AttentionArguments
  /// The gradient of the output.
  public var dOutput: Region
  /// [2, heads, total keys].
  public var weights: Region

  /// An attention with the gradient of its output, and room for weights.
  public init(attention: AttentionArguments, dOutput: Region, weights: Region) {
    (self.attention, self.dOutput, self.weights) = (attention, dOutput, weights)
  }
}

import GLENTensor

/// T5's feed-forward layer: ReLU (1.0), or gated GELU (1.1; Shazeer, "GLU Variants Improve
/// Transformer", 2020).
struct T5FeedForward: Sendable {
  var input: Tensor  // [feedForwardWidth, width]
  var gatedInput: Tensor?  // [feedForwardWidth, width]
  var output: Tensor  // [width, feedForwardWidth]

  /// normed `[length, width]` through the layer, added to the residual of the same shape.
  func callAsFunction(
    _ normed: Tensor, adding residual: consuming Tensor, dropout: Dropout
  ) throws(TensorError) -> Tensor {
    let hidden: Tensor =  // [length, feedForwardWidth]
      if let gatedInput {
        try gatedGELU(
          gate: linear(normed, input, rounding: .result),
          up: linear(normed, gatedInput, rounding: .result))
      } else {
        try relu(linear(normed, input, rounding: [.result, .inputGradient]))
      }
    return try dropout.split(1).residual(
      dropout.split(0)(hidden), output, adding: consume residual)
  }

  mutating func visitParameters(
    at path: String, _ body: (String, inout Tensor) throws -> Void
  ) rethrows {
    if var gated = gatedInput {
      try body(path + ".wi_0.weight", &input)
      try body(path + ".wi_1.weight", &gated)
      gatedInput = gated
    } else {
      try body(path + ".wi.weight", &input)
    }
    try body(path + ".wo.weight", &output)
  }
}

import GLENTensor

/// The four projections of T5's multi-head attention, without biases.
///
/// Raffel et al., "Exploring the Limits of Transfer Learning with a Unified Text-to-Text
/// Transformer" (2020). The products are not scaled.
struct T5Attention: Sendable {
  var query: Tensor  // [heads × headWidth, width]
  var key: Tensor  // [heads × headWidth, width]
  var value: Tensor  // [heads × headWidth, width]
  var output: Tensor  // [width, heads × headWidth]

  mutating func visitParameters(
    at path: String, _ body: (String, inout Tensor) throws -> Void
  ) rethrows {
    try body(path + ".q.weight", &query)
    try body(path + ".k.weight", &key)
    try body(path + ".v.weight", &value)
    try body(path + ".o.weight", &output)
  }
}

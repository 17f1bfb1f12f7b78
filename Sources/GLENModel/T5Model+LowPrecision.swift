import GLENTensor

extension T5Model {
  /// The model with its matrices in low precision, for inference on the processor.
  ///
  /// These are the table and all projections. Norms and position biases, a thousandth of the numbers, stay as they are.
  ///
  /// - Throws: `ModelError.configuration` if it is of low precision already; `TensorError`, of which
  ///   `.invalidArgument` names a weight that is not a number or not on the processor.
  public func quantized(to precision: LowPrecision) throws -> T5Model {
    try requireFloat32(path: "quantized", to: "quantize")
    var result = self
    result.configuration.precision = precision
    try result.visitParameters { name, tensor in
      if Self.isQuantized(name) { tensor = try tensor.packed(as: precision) }
    }
    return result
  }

  /// Whether a parameter is one of the matrices.
  static func isQuantized(_ name: String) -> Bool {
    !name.hasSuffix("norm.weight") && !name.hasSuffix("relative_attention_bias.weight")
  }

  /// Refuses a model of low precision where its weights are to change.
  ///
  /// - Parameters:
  ///   - path: what the message names.
  ///   - purpose: what the model was wanted for, as a verb.
  /// - Throws: `ModelError.configuration`.
  public func requireFloat32(path: String, to purpose: String) throws(ModelError) {
    guard let precision = configuration.precision else { return }
    throw .configuration(
      path: path,
      reason: "the weights are in \(precision), which is for inference; expected float32; "
        + "\(purpose) the model that it was made from")
  }
}

/// Checks that every operation shares: one backend, one tape.
enum Operation {
  /// The tape that the inputs are on, if any is tracked.
  ///
  /// - Parameter weight: the input that may be of low precision, if none is tracked.
  /// - Throws: `TensorError.backendMismatch`; `TensorError.invalidArgument` for two tapes, or for low
  ///   precision where it cannot be.
  static func tape(
    _ operation: String, _ inputs: Tensor?..., weight: Tensor? = nil
  ) throws(TensorError) -> Tape? {
    try tape(operation, all: inputs, weight: weight)
  }

  /// As above, of as many inputs as there are.
  static func tape(
    _ operation: String, all inputs: [Tensor?], weight: Tensor? = nil
  ) throws(TensorError) -> Tape? {
    var tape: Tape?
    var backend: (any Backend)?
    for case let input? in inputs + [weight] {
      if let backend, backend !== input.backend {
        throw .backendMismatch(
          operation: operation, first: backend.name, second: input.backend.name)
      }
      backend = input.backend
      guard let node = input.node else { continue }
      if let tape, tape !== node.tape {
        throw .invalidArgument(
          operation: operation, reason: "the operands belong to two differentiations")
      }
      tape = node.tape
    }
    for case let input? in tape == nil ? inputs : inputs + [weight] {
      if let precision = input.precision { throw lowPrecision(operation, precision) }
    }
    return tape
  }

  /// The error of an operation that low precision cannot take part in.
  static func lowPrecision(_ operation: String, _ precision: LowPrecision) -> TensorError {
    .invalidArgument(
      operation: operation,
      reason:
        "an operand is in \(precision), which is for products of inference; expected float32; "
        + "train and change the model that was quantized")
  }

  /// The input itself, or, if one of the others is the same value, that value as a node of its own.
  ///
  /// A backward that writes several gradients in one pass must not be handed one memory twice: the
  /// node of its own gets the gradient, and hands it on in a step after.
  static func apart(_ input: Tensor, from others: Tensor?...) -> Tensor {
    guard let node = input.node, others.contains(where: { $0?.node?.number == node.number })
    else { return input }
    let original = Input(input)
    return node.tape.record(input.detached) { (gradients, dy) throws(TensorError) in
      try gradients.add(dy, to: original)
    }
  }

  /// Throws `TensorError.backendMismatch` unless the memory is on the backend.
  static func require(
    _ storages: Storage..., on backend: any Backend, _ operation: String
  ) throws(TensorError) {
    for storage in storages where storage.backend !== backend {
      throw .backendMismatch(
        operation: operation, first: backend.name, second: storage.backend.name)
    }
  }

  /// Throws `TensorError.shapeMismatch` unless the condition holds.
  static func require(
    _ condition: Bool, _ operation: String, expected: @autoclosure () -> String,
    got: @autoclosure () -> String
  ) throws(TensorError) {
    if !condition {
      throw .shapeMismatch(operation: operation, expected: expected(), got: got())
    }
  }
}

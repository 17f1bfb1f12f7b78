/// Checks that every operation shares: one backend, one tape.
enum Operation {
  /// The tape that the inputs are on, if any is tracked.
  ///
  /// - Throws: `TensorError.backendMismatch`; `TensorError.invalidArgument` for two tapes.
  static func tape(
    _ operation: String, _ inputs: Tensor?...
  ) throws(TensorError) -> Tape? {
    var tape: Tape?
    var backend: (any Backend)?
    for case let input? in inputs {
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
    return tape
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

/// Something with named parameters: a model, a layer, or a list of tensors.
public protocol ParameterContainer {
  /// Calls `body` with the name and the tensor of every parameter, always in the same order.
  ///
  /// Loading, saving, tracking, optimising, counting and moving to a device are all such visits.
  /// The names are those of the checkpoint.
  mutating func visitParameters(_ body: (String, inout Tensor) throws -> Void) rethrows
}

extension ParameterContainer {
  /// All parameters with their names, in visiting order.
  public var parameters: [(name: String, tensor: Tensor)] {
    var copy = self
    var result: [(name: String, tensor: Tensor)] = []
    copy.visitParameters { result.append(($0, $1)) }
    return result
  }

  /// The number of values in all parameters.
  public var parameterCount: Int { parameters.reduce(0) { $0 + $1.tensor.count } }

  /// Gives every parameter memory of its own, where it shares it with others or with a mapped file.
  ///
  /// Who is about to change them all does well to do so at once: a mapped file stays in memory until its
  /// last tensor has gone.
  ///
  /// - Throws: `TensorError.outOfMemory`.
  public mutating func makeUnique() throws {
    try visitParameters { try $1.makeUnique() }
  }

  /// The parameters (1 - share) θ + share θ', where θ' are those of another container of the same shape.
  ///
  /// - Throws: `TensorError.invalidArgument` if one has a parameter that the other has not,
  ///   `.shapeMismatch`, `.backendMismatch`, `.outOfMemory`.
  public func mixed(with other: Self, share: Float) throws -> Self {
    var result = self
    var others = other.parameters.makeIterator()
    try result.visitParameters { name, tensor in
      guard let next = others.next(), next.name == name else {
        throw TensorError.invalidArgument(
          operation: "mixed", reason: "the other container has no parameter \(name) there")
      }
      tensor = try add(scaled(tensor, by: 1 - share), next.tensor, scale: share)
    }
    if let more = others.next() {
      throw TensorError.invalidArgument(
        operation: "mixed", reason: "only the other container has a parameter \(more.name)")
    }
    return result
  }

  /// The same container with all parameters on another backend; no gradient flows back through it.
  ///
  /// - Throws: `TensorError.outOfMemory`.
  public func moved(to backend: any Backend) throws -> Self {
    var copy = self
    try copy.visitParameters { _, tensor in tensor = try tensor.moved(to: backend) }
    return copy
  }
}

extension [Tensor]: ParameterContainer {
  /// Visits the elements; their names are their indices.
  public mutating func visitParameters(
    _ body: (String, inout Tensor) throws -> Void
  ) rethrows {
    for index in indices { try body(String(index), &self[index]) }
  }
}

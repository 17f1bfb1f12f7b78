/// Runs gradients backward from seeds, one for each value; a nil seed contributes nothing.
///
/// It may be called once: what the forward computation kept is freed on the way.
public struct Pullback {
  fileprivate let run: (_ seeds: [Tensor?], _ sum: inout Gradients) throws -> Void

  /// The gradients that flow from the seeds.
  ///
  /// - Throws: what `valueWithPullback` says.
  public func callAsFunction(_ seeds: [Tensor?]) throws -> Gradients {
    var gradients = Gradients()
    try run(seeds, &gradients)
    return gradients
  }

  /// Adds the gradients that flow from the seeds to others, in place where nobody else holds them.
  ///
  /// - Throws: what `valueWithPullback` says, and `TensorError.shapeMismatch` or `.backendMismatch`
  ///   for a sum that does not fit the parameters. After an error in the middle of the way back the
  ///   sum lacks what was taken from it.
  public func callAsFunction(_ seeds: [Tensor?], addingTo sum: inout Gradients) throws {
    try run(seeds, &sum)
  }
}

/// Computes `body` on a tracked copy of the model, and how gradients flow back to its parameters.
///
/// Several values can be seeded separately; seeding representations with their gradients is all
/// that a gradient cache needs.
///
/// - Throws: what `body` throws, and `TensorError.invalidArgument` if it returns a value of another
///   differentiation or a parameter is of low precision. The pullback throws `TensorError.shapeMismatch` for a seed that has not its
///   value's shape, `.backendMismatch` for one on another backend, and `.invalidArgument` for one of low precision or
///   if it is called again.
public func valueWithPullback<Model: ParameterContainer>(
  of model: Model, _ body: (Model) throws -> [Tensor]
) throws -> (values: [Tensor], pullback: Pullback) {
  let tape = Tape()
  var tracked = model
  var parameters: [(name: String, input: Input, backend: any Backend)] = []
  try tracked.visitParameters { name, tensor in
    if let precision = tensor.precision {
      throw Operation.lowPrecision("valueWithPullback: \(name)", precision)
    }
    tensor = tape.leaf(tensor)
    parameters.append((name, Input(tensor), tensor.backend))
  }
  let outputs = try body(tracked)
  if outputs.contains(where: { $0.node.map { $0.tape !== tape } ?? false }) {
    throw TensorError.invalidArgument(
      operation: "valueWithPullback", reason: "a value belongs to another differentiation")
  }
  let inputs = outputs.map(Input.init)
  let backends = outputs.map(\.backend)
  var isSpent = false
  let pullback = Pullback { [parameters] seeds, sum in
    guard seeds.count == inputs.count else {
      throw TensorError.invalidArgument(
        operation: "pullback",
        reason: "\(inputs.count) values need as many seeds, not \(seeds.count)")
    }
    guard !isSpent else {
      throw TensorError.invalidArgument(operation: "pullback", reason: "it was called before")
    }
    let table = GradientTable()
    table.grow(to: (inputs.compactMap(\.number).max() ?? 0) + 1)
    for ((seed, input), backend) in zip(zip(seeds, inputs), backends) {
      guard let seed else { continue }
      try Operation.require(seed.storage, on: backend, "pullback")
      if let precision = seed.precision { throw Operation.lowPrecision("pullback", precision) }
      guard seed.shape == input.shape else {
        throw TensorError.shapeMismatch(
          operation: "pullback", expected: "\(input.shape)", got: "\(seed.shape)")
      }
      try table.add(seed.detached, to: input)
    }
    for (name, input, backend) in parameters {
      guard let own = sum[name] else { continue }
      try Operation.require(own.storage, on: backend, "pullback: the sum's \(name)")
      if let precision = own.precision {
        throw Operation.lowPrecision("pullback: the sum's \(name)", precision)
      }
      guard own.shape == input.shape else {
        throw TensorError.shapeMismatch(
          operation: "pullback: the sum's \(name)", expected: "\(input.shape)",
          got: "\(own.shape)")
      }
    }
    isSpent = true
    for (name, input, _) in parameters {
      // Taken out of the sum, so that it is added to in place.
      if let own = sum.take(name) { try table.add(own, to: input) }
    }
    try tape.run(table)
    for (number, parameter) in parameters.enumerated() {
      sum[parameter.name] = table.take(number)
    }
  }
  return (outputs.map(\.detached), pullback)
}

/// The value of a scalar function of the model's parameters, and its gradient.
///
/// - Throws: what `body` throws, and `TensorError.shapeMismatch` if the value is not a scalar.
public func valueAndGradient<Model: ParameterContainer>(
  of model: Model, _ body: (Model) throws -> Tensor
) throws -> (value: Tensor, gradients: Gradients) {
  let (values, pullback) = try valueWithPullback(of: model) { [try body($0)] }
  let value = values[0]
  guard value.count == 1 else {
    throw TensorError.shapeMismatch(
      operation: "valueAndGradient", expected: "a scalar", got: "\(value.shape)")
  }
  let seed = try Tensor(repeating: 1, shape: value.shape, on: value.backend)
  return (value, try pullback([seed]))
}

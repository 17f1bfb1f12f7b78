/// Runs gradients backward from seeds, one for each value; a nil seed contributes nothing.
///
/// It may be called once: what the forward computation kept is freed on the way.
public typealias Pullback = (_ seeds: [Tensor?]) throws -> Gradients

/// Computes `body` on a tracked copy of the model, and how gradients flow back to its parameters.
///
/// Several values can be seeded separately; seeding representations with their gradients is all
/// that a gradient cache needs.
///
/// - Throws: what `body` throws, and `TensorError.invalidArgument` if it returns a value of another
///   differentiation or a parameter is of low precision. The pullback throws `TensorError.shapeMismatch` for a seed that has not its
///   value's shape, `.backendMismatch` for one on another backend, and `.invalidArgument` if it is
///   called again.
public func valueWithPullback<Model: ParameterContainer>(
  of model: Model, _ body: (Model) throws -> [Tensor]
) throws -> (values: [Tensor], pullback: Pullback) {
  let tape = Tape()
  var tracked = model
  var names: [String] = []
  try tracked.visitParameters { name, tensor in
    if let precision = tensor.precision {
      throw Operation.lowPrecision("valueWithPullback: \(name)", precision)
    }
    names.append(name)
    tensor = tape.leaf(tensor)
  }
  let outputs = try body(tracked)
  if outputs.contains(where: { $0.node.map { $0.tape !== tape } ?? false }) {
    throw TensorError.invalidArgument(
      operation: "valueWithPullback", reason: "a value belongs to another differentiation")
  }
  let inputs = outputs.map(Input.init)
  let backends = outputs.map(\.backend)
  var isSpent = false
  let pullback: Pullback = { seeds in
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
      guard seed.shape == input.shape else {
        throw TensorError.shapeMismatch(
          operation: "pullback", expected: "\(input.shape)", got: "\(seed.shape)")
      }
      try table.add(seed.detached, to: input)
    }
    isSpent = true
    try tape.run(table)
    var gradients = Gradients()
    for (number, name) in names.enumerated() { gradients[name] = table.take(number) }
    return gradients
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

/// Computes `body` so that, of all that it computes, only the result is kept until the way back, when it
/// is computed once more.
///
/// Gradient checkpointing (Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016): the memory
/// of a stack of layers is then one input a layer and the inside of one of them, for one more forward
/// computation. Results and gradients are the same to the bit, if `body` is: it must depend on nothing
/// but its arguments and constants, and on no tracked tensor beside them. Where no argument is tracked,
/// `body` just runs.
///
/// - Parameters:
///   - part: what has the parameters.
///   - inputs: what else is differentiated.
///   - body: receives both, and gives one value.
/// - Returns: the value of `body`.
/// - Throws: what `body` throws, and `TensorError.invalidArgument` if arguments belong to two
///   differentiations.
public func recomputed<Part: ParameterContainer & Sendable>(
  _ part: Part, _ inputs: [Tensor],
  _ body: @escaping @Sendable (Part, [Tensor]) throws(TensorError) -> Tensor
) throws(TensorError) -> Tensor {
  let arguments = part.parameters.map(\.tensor) + inputs
  guard let tape = arguments.lazy.compactMap(\.node?.tape).first else {
    return try body(part, inputs)
  }
  if arguments.contains(where: { $0.node.map { $0.tape !== tape } ?? false }) {
    throw .invalidArgument(
      operation: "recomputed", reason: "the operands belong to two differentiations")
  }
  var plain = part
  plain.visitParameters { $1 = $1.detached }
  let (kept, constants) = (plain, inputs.map(\.detached))
  let origins = arguments.map(Input.init)
  let value = try body(kept, constants).detached
  let backend = value.backend
  backend.discardIdleMemory()
  return tape.record(value) {
    (outer, dy: consuming Tensor) throws(TensorError) in
    let inner = Tape()
    var again = kept
    var leaves: [Input] = []
    func leaf(_ tensor: Tensor) -> Tensor {
      // What is not differentiated outside is a constant inside.
      guard origins[leaves.count].number != nil else {
        leaves.append(Input(tensor))
        return tensor
      }
      let leaf = inner.leaf(tensor)
      leaves.append(Input(leaf))
      return leaf
    }
    again.visitParameters { $1 = leaf($1) }
    let output = Input(try body(again, constants.map(leaf)))
    let table = GradientTable()
    table.grow(to: inner.nodeCount)
    // The sums so far go in, so that they are added to in place, and come out again.
    for (leaf, origin) in zip(leaves, origins) {
      guard let number = origin.number, let sum = outer.take(number) else { continue }
      try table.add(sum, to: leaf)
    }
    // Handed over, so that it is free, or written in place, as soon as the way back is past it.
    try table.add(consume dy, to: output)
    try inner.run(table)
    for (leaf, origin) in zip(leaves, origins) {
      guard let number = leaf.number, let gradient = table.take(number) else { continue }
      try outer.add(gradient, to: origin)
    }
    // Gradients that stay have come to lie among memory that went: whoever computes twice to save memory does not
    // want to pay for the gaps.
    backend.discardIdleMemory()
  }
}

import Synchronization

/// A value's number on a tape.
struct Node: Sendable {
  let tape: Tape
  let number: Int
}

/// The record of a computation: one pullback for each operation, in order.
///
/// A flat array that is run from its end; no recursion, no ambient state. Tensors carry the tape.
/// Pullbacks capture detached tensors and node numbers only, never tracked tensors, so that a tape
/// and its closures cannot hold each other.
final class Tape: Sendable {
  /// Reads the gradient of the operation's output, adds to those of its inputs.
  typealias Pullback = @Sendable (GradientTable, __owned Tensor) throws(TensorError) -> Void

  private struct Record: Sendable {
    let output: Int
    let pullback: Pullback
  }
  private struct State {
    var records: [Record] = []
    var nodeCount = 0
  }

  private let state = Mutex(State())

  /// The number of nodes so far.
  var nodeCount: Int { state.withLock { $0.nodeCount } }

  /// A new node without a record: a leaf.
  func leaf(_ value: Tensor) -> Tensor {
    let number = state.withLock { state -> Int in
      state.nodeCount += 1
      return state.nodeCount - 1
    }
    return Tensor(
      shape: value.shape, storage: value.storage, node: Node(tape: self, number: number))
  }

  /// Records how the gradient of `output` flows to its inputs, and puts it on the tape.
  func record(_ output: Tensor, _ pullback: @escaping Pullback) -> Tensor {
    let number = state.withLock { state -> Int in
      state.records.append(Record(output: state.nodeCount, pullback: pullback))
      state.nodeCount += 1
      return state.nodeCount - 1
    }
    return Tensor(
      shape: output.shape, storage: output.storage, node: Node(tape: self, number: number))
  }

  /// Runs the records from the last to the first, dropping each as it has run, so that what it
  /// held of the forward computation is free at once.
  func run(_ gradients: GradientTable) throws(TensorError) {
    gradients.grow(to: nodeCount)
    while let record = state.withLock({ $0.records.popLast() }) {
      guard let gradient = gradients.take(record.output) else { continue }
      try record.pullback(gradients, consume gradient)
    }
  }
}

/// Gradients by node number, while a tape runs.
final class GradientTable {
  private var slots: [Tensor?] = []

  /// Makes room for all nodes.
  func grow(to count: Int) {
    if slots.count < count { slots += [Tensor?](repeating: nil, count: count - slots.count) }
  }

  /// Hands over a gradient; the table forgets it.
  func take(_ number: Int) -> Tensor? {
    defer { slots[number] = nil }
    return slots[number]
  }

  /// Adds a whole tensor to an input's gradient.
  ///
  /// The first one is taken over without a copy.
  func add(_ gradient: __owned Tensor, to input: Input) throws(TensorError) {
    guard let number = input.number else { return }
    if slots[number] == nil {
      slots[number] = Tensor(shape: input.shape, storage: gradient.storage)
      return
    }
    try slots[number]?.makeUnique()
    guard let sum = slots[number] else { return }
    sum.backend.addScaled(gradient.region, scale: 1, to: sum.region, count: sum.count)
  }

  /// Adds a multiple of a tensor to an input's gradient.
  func add(_ gradient: Tensor, scale: Float, to input: Input) throws(TensorError) {
    if scale == 1 { return try add(gradient, to: input) }
    let backend = gradient.backend
    guard let (region, accumulating) = try destination(for: input, on: backend) else { return }
    if accumulating {
      backend.addScaled(gradient.region, scale: scale, to: region, count: gradient.count)
    } else {
      backend.scale(gradient.region, by: scale, into: region, count: gradient.count)
    }
  }

  /// Where an operation writes an input's gradient, and whether it must add to what is there; nil
  /// if the input is not differentiated.
  func destination(
    for input: Input, on backend: any Backend
  ) throws(TensorError) -> (region: Region, accumulating: Bool)? {
    guard let number = input.number else { return nil }
    if slots[number] == nil {
      let fresh = try Tensor(unset: input.shape, on: backend)
      slots[number] = fresh
      return (fresh.region, false)
    }
    try slots[number]?.makeUnique()
    return slots[number].map { ($0.region, true) }
  }

  /// As `destination`, for operations that write all their gradients: memory of nobody's if the input is
  /// not differentiated.
  func target(
    for input: Input, on backend: any Backend
  ) throws(TensorError) -> (region: Region, accumulating: Bool) {
    if let wanted = try destination(for: input, on: backend) { return wanted }
    return (try Tensor(unset: input.shape, on: backend).region, false)
  }

  /// As `destination`, for operations that may write in place: a fresh gradient takes over the output's
  /// if nobody else has it.
  func destination(
    for input: Input, replacing gradient: inout Tensor
  ) throws(TensorError) -> (region: Region, accumulating: Bool)? {
    guard let number = input.number, slots[number] == nil, gradient.isSole else {
      return try destination(for: input, on: gradient.backend)
    }
    slots[number] = Tensor(shape: input.shape, storage: gradient.storage)
    return (gradient.region, false)
  }

  /// As `destination`, for operations that can only add: a fresh gradient begins as zeros.
  func summingDestination(
    for input: Input, on backend: any Backend
  ) throws(TensorError) -> Region? {
    guard let (region, accumulating) = try destination(for: input, on: backend) else { return nil }
    if !accumulating { backend.fill(region, with: 0, count: input.shape.product) }
    return region
  }
}

/// What a pullback remembers of an input: its number on the tape, if it has one, and its shape.
struct Input: Sendable {
  let number: Int?
  let shape: [Int]

  init(_ tensor: Tensor) {
    number = tensor.node?.number
    shape = tensor.shape
  }
}

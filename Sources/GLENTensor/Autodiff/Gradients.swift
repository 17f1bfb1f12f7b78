/// The gradients of parameters, by name.
///
/// A parameter that the result does not depend on has none.
public struct Gradients: Sendable {
  /// The gradients that there are.
  public private(set) var tensors: [String: Tensor] = [:]

  /// No gradients.
  public init() {}

  /// The gradient of one parameter.
  public subscript(name: String) -> Tensor? {
    get { tensors[name] }
    set { tensors[name] = newValue }
  }

  /// Hands over the gradient of a parameter; nothing of it is left here.
  mutating func take(_ name: String) -> Tensor? { tensors.removeValue(forKey: name) }

  /// Adds other gradients, name by name.
  ///
  /// - Throws: `TensorError.outOfMemory`, `.shapeMismatch` if two of a name differ in shape,
  ///   `.backendMismatch` if they live on different backends, `.invalidArgument` for low precision.
  public mutating func add(_ other: Gradients) throws(TensorError) {
    try other.requireFloat32()
    try requireFloat32()
    for (name, tensor) in other.tensors {
      if let sum = tensors[name] {
        try Operation.require(
          sum.shape == tensor.shape, "gradient of \(name)", expected: "\(sum.shape)",
          got: "\(tensor.shape)")
        try Operation.require(tensor.storage, on: sum.backend, "gradient of \(name)")
      }
      guard var sum = tensors.removeValue(forKey: name) else {
        tensors[name] = tensor
        continue
      }
      try sum.makeUnique()
      sum.backend.addScaled(tensor.region, scale: 1, to: sum.region, count: sum.count)
      tensors[name] = sum
    }
  }

  /// Rounded weights are fewer bytes than arithmetic on their shape would read.
  private func requireFloat32() throws(TensorError) {
    for (name, tensor) in tensors {
      guard let precision = tensor.precision else { continue }
      throw Operation.lowPrecision("gradient of \(name)", precision)
    }
  }

  /// The Euclidean norm of all gradients together.
  ///
  /// - Throws: `TensorError.backendFailure`, `.outOfMemory`, `.backendMismatch` for gradients on
  ///   several devices, and `.invalidArgument` for low precision.
  public func norm() throws(TensorError) -> Float {
    try requireFloat32()
    let sorted = tensors.sorted { $0.key < $1.key }
    guard let backend = sorted.first?.value.backend else { return 0 }
    for (name, tensor) in sorted {
      try Operation.require(tensor.storage, on: backend, "gradient of \(name)")
    }
    let squares = try Tensor(unset: [sorted.count], on: backend)
    backend.sumsOfSquares(
      sorted.map { ($0.value.region, $0.value.count) }, into: squares.region)
    return Float(try squares.values().reduce(0.0) { $0 + Double($1) }.squareRoot())
  }
}

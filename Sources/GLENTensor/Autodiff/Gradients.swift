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
  ///   `.backendMismatch` if they live on different backends.
  public mutating func add(_ other: Gradients) throws(TensorError) {
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

  /// The Euclidean norm of all gradients together.
  ///
  /// - Throws: `TensorError.backendFailure`, `TensorError.outOfMemory`.
  public func norm() throws(TensorError) -> Float {
    var sum = 0.0
    for name in tensors.keys.sorted() {
      guard let tensor = tensors[name] else { continue }
      let square = try Tensor(unset: [], on: tensor.backend)
      tensor.backend.sumOfSquares(tensor.region, into: square.region, count: tensor.count)
      sum += Double(try square.scalar())
    }
    return Float(sum.squareRoot())
  }
}

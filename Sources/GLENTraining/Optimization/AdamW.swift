import GLENTensor

/// AdamW: Adam with decoupled weight decay (Loshchilov and Hutter, 2019).
///
/// The moments belong to the parameters by name, and are made when a parameter first has a gradient if
/// not before.
public struct AdamW: Sendable {
  /// The decay of the first moment.
  public var beta1: Float = 0.9
  /// The decay of the second moment.
  public var beta2: Float = 0.999
  /// What keeps the division finite.
  public var epsilon: Float = 1e-8
  /// The weight decay; the weights of norms do not decay.
  public var decay: Float = 1e-4
  /// How many updates have been made.
  public internal(set) var step = 0
  /// The moments of each parameter.
  var moments: [String: Moments] = [:]

  struct Moments: Sendable {
    var first: Tensor
    var second: Tensor
  }

  /// An optimiser without moments.
  public init() {}

  /// Makes the moments of all parameters that have none.
  ///
  /// Before the first gradients they lie side by side; after them, among what a step leaves, they would leave
  /// gaps that the next step does not fit into.
  ///
  /// - Throws: `TensorError.outOfMemory`.
  public mutating func makeMoments(for model: some ParameterContainer) throws(TensorError) {
    for (name, parameter) in model.parameters where moments[name] == nil {
      moments[name] = try Moments(for: parameter)
    }
  }

  /// Updates all parameters that have a gradient.
  ///
  /// - Parameters:
  ///   - model: what to update; in place where nobody else holds the parameters.
  ///   - gradients: by parameter name.
  ///   - gradientScale: multiplies the gradients first.
  ///   - rate: the learning rate of a parameter.
  /// - Throws: `TensorError.outOfMemory`.
  public mutating func update(
    _ model: inout some ParameterContainer, _ gradients: Gradients, gradientScale: Float = 1,
    rate: (String) -> Float
  ) throws {
    step += 1
    // The moments leave `self` while the parameters are visited, so that they are updated in place.
    var moments = self.moments
    self.moments = [:]
    defer { self.moments = moments }
    var updates = AdamWUpdates()
    try model.visitParameters { name, parameter in
      guard let gradient = gradients[name] else { return }
      var own = try moments.removeValue(forKey: name) ?? Moments(for: parameter)
      try updates.add(
        &parameter, gradient: gradient, firstMoment: &own.first, secondMoment: &own.second,
        AdamWStep(
          rate: rate(name), beta1: beta1, beta2: beta2, epsilon: epsilon,
          decay: name.hasSuffix("norm.weight") ? 0 : decay, update: step,
          gradientScale: gradientScale))
      moments[name] = own
    }
    updates.run()
  }
}

extension AdamW.Moments {
  /// Zeros.
  fileprivate init(for parameter: Tensor) throws(TensorError) {
    let zeros = { () throws(TensorError) in
      try Tensor(repeating: 0, shape: parameter.shape, on: parameter.backend)
    }
    try self.init(first: zeros(), second: zeros())
  }
}

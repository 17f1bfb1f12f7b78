/// One step of AdamW on many parameters, which a device makes in one go.
///
/// With g the scaled gradient: m = β₁ m + (1 - β₁) g, v = β₂ v + (1 - β₂) g²,
/// w -= rate (m / c₁ / (√(v / c₂) + ε) + decay w), where c = 1 - β^update.
public struct AdamWUpdates: Sendable {
  private var updates: [AdamWUpdate] = []

  /// No parameters yet.
  public init() {}

  /// Adds a parameter, whose tensors must stay as they are until `run()`.
  ///
  /// - Complexity: O(1) for tensors that nobody else holds, otherwise one copy.
  /// - Throws: `TensorError.shapeMismatch`, `.backendMismatch`, `.outOfMemory`.
  public mutating func add(
    _ parameter: inout Tensor, gradient: Tensor, firstMoment: inout Tensor,
    secondMoment: inout Tensor, _ step: AdamWStep
  ) throws(TensorError) {
    _ = try Operation.tape(
      "adamW", parameter.detached, gradient.detached, firstMoment, secondMoment)
    if let first = updates.first {
      try Operation.require(parameter.storage, on: first.weight.storage.backend, "adamW")
    }
    let shapes = [gradient.shape, firstMoment.shape, secondMoment.shape]
    try Operation.require(
      shapes.allSatisfy { $0 == parameter.shape }, "adamW", expected: "\(parameter.shape)",
      got: "\(shapes)")
    try parameter.makeUnique()
    try firstMoment.makeUnique()
    try secondMoment.makeUnique()
    updates.append(
      AdamWUpdate(
        gradient: gradient.region, weight: parameter.region, firstMoment: firstMoment.region,
        secondMoment: secondMoment.region, count: parameter.count, step: step))
  }

  /// Updates all parameters that were added, and forgets them.
  public mutating func run() {
    updates.first?.weight.storage.backend.adamW(updates)
    updates = []
  }
}

/// One step of AdamW on one parameter; see `AdamWUpdates`.
///
/// - Complexity: in place for tensors that nobody else holds, otherwise one copy first.
/// - Throws: `TensorError.shapeMismatch`, `.backendMismatch`, `.outOfMemory`.
public func adamW(
  _ parameter: inout Tensor, gradient: Tensor, firstMoment: inout Tensor,
  secondMoment: inout Tensor, _ step: AdamWStep
) throws(TensorError) {
  var updates = AdamWUpdates()
  try updates.add(
    &parameter, gradient: gradient, firstMoment: &firstMoment, secondMoment: &secondMoment, step)
  updates.run()
}

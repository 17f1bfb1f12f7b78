/// One step of AdamW on one parameter.
///
/// With g the scaled gradient: m = β₁ m + (1 - β₁) g, v = β₂ v + (1 - β₂) g²,
/// w -= rate (m / c₁ / (√(v / c₂) + ε) + decay w), where c = 1 - β^update.
///
/// - Complexity: in place for tensors that nobody else holds, otherwise one copy first.
/// - Throws: `TensorError.shapeMismatch`, `.backendMismatch`, `.outOfMemory`.
public func adamW(
  _ parameter: inout Tensor, gradient: Tensor, firstMoment: inout Tensor,
  secondMoment: inout Tensor, _ step: AdamWStep
) throws(TensorError) {
  _ = try Operation.tape(
    "adamW", parameter.detached, gradient.detached, firstMoment, secondMoment)
  let shapes = [gradient.shape, firstMoment.shape, secondMoment.shape]
  try Operation.require(
    shapes.allSatisfy { $0 == parameter.shape }, "adamW", expected: "\(parameter.shape)",
    got: "\(shapes)")
  try parameter.makeUnique()
  try firstMoment.makeUnique()
  try secondMoment.makeUnique()
  parameter.backend.adamW(
    gradient: gradient.region, weight: parameter.region, firstMoment: firstMoment.region,
    secondMoment: secondMoment.region, count: parameter.count, step)
}

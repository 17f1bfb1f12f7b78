/// How the learning rate moves over a phase: up to its peak, then down to zero.
public struct LearningRateSchedule: Sendable, Equatable {
  /// The way down.
  public enum Shape: String, Sendable, Codable, CaseIterable {
    /// In proportion to the steps left.
    case linear
    /// With the square root of the share of steps left.
    case squareRoot
    /// Not at all.
    case constant
  }

  /// The steps of the way up.
  public var warmupSteps: Int
  /// The steps of the whole phase.
  public var steps: Int
  /// The way down.
  public var shape: Shape

  /// The factor of the peak rate for the update after `step` updates.
  public func factor(at step: Int) -> Float {
    if step < warmupSteps { return Float(step + 1) / Float(warmupSteps) }
    let left = Float(max(steps - step, 0)) / Float(max(steps - warmupSteps, 1))
    switch shape {
    case .linear: return min(left, 1)
    case .squareRoot: return min(left, 1).squareRoot()
    case .constant: return 1
    }
  }
}

import GLENPlatform

/// How the temperature of identifier representations falls: τ = max(lowest, exp(-epoch)).
///
/// The epoch is a real number that grows within itself. Section 3.3.2 of the paper.
public struct TemperatureSchedule: Sendable, Equatable {
  /// The temperature that is never passed.
  public var lowest: Float = 1e-5
  /// Whether the temperature falls; otherwise it is at its lowest throughout (an ablation).
  public var anneals = true

  /// The paper's schedule.
  public init(lowest: Float = 1e-5, anneals: Bool = true) {
    self.lowest = lowest
    self.anneals = anneals
  }

  /// The temperature after so many epochs.
  public func temperature(epoch: Double) -> Float {
    anneals ? max(lowest, Float(exp(-epoch))) : lowest
  }
}

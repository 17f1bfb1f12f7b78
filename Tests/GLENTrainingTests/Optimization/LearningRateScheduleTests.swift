import Testing

@testable import GLENTraining

struct LearningRateScheduleTests {
  private static func factors(_ warmup: Int, _ steps: Int, _ shape: LearningRateSchedule.Shape)
    -> [Float]
  {
    let schedule = LearningRateSchedule(warmupSteps: warmup, steps: steps, shape: shape)
    return (0..<steps).map(schedule.factor)
  }

  @Test func linearFallsInEqualSteps() {
    #expect(Self.factors(0, 4, .linear) == [1, 0.75, 0.5, 0.25])
    #expect(Self.factors(2, 6, .linear) == [0.5, 1, 1, 0.75, 0.5, 0.25])
  }

  @Test func squareRootFallsLater() {
    #expect(
      Self.factors(0, 4, .squareRoot) == [
        1, Float(0.75).squareRoot(), Float(0.5).squareRoot(), 0.5,
      ])
  }

  @Test func constantStays() {
    #expect(Self.factors(2, 5, .constant) == [0.5, 1, 1, 1, 1])
  }

  /// No update has the rate zero or one above the peak, and beyond the end nothing moves.
  @Test func staysInItsRange() {
    for shape in [LearningRateSchedule.Shape.linear, .squareRoot, .constant] {
      for (warmup, steps) in [(0, 1), (1, 1), (5, 3), (3, 3), (10, 1000)] {
        #expect(Self.factors(warmup, steps, shape).allSatisfy { $0 > 0 && $0 <= 1 })
      }
    }
    let schedule = LearningRateSchedule(warmupSteps: 0, steps: 4, shape: .linear)
    #expect(schedule.factor(at: 4) == 0 && schedule.factor(at: 400) == 0)
  }
}

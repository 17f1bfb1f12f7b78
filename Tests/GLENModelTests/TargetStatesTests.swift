import GLENTensor
import Testing

@testable import GLENModel

@Suite("Target states") struct TargetStatesTests {
  private static let texts = SmallModel.texts(4)
  private static let targets: [[Int32]] = [[7, 9, 11, 1], [5, 1], [30, 31, 32, 1], [1]]

  @Test(arguments: [false, true])
  func allPositionsAtOnceAreThoseOneAfterTheOther(isGated: Bool) throws {
    let model = try SmallModel.make(isGated: isGated)
    let states = try model.targetStates(SmallModel.batch(Self.texts), targets: Self.targets)
    #expect(states.shape == [11, model.configuration.width])
    let width = model.configuration.width
    var all = ArraySlice(try states.values())
    for (text, target) in zip(Self.texts, Self.targets) {
      let fed = try target.dropLast().map { try TokenIDs([$0]) }
      let steps = try model.rollout(
        SmallModel.batch([text]), steps: target.count, feedback: .tokens(fed)
      ).values()
      #expect(relativeDifference(Array(all.prefix(target.count * width)), steps) < 1e-5)
      all = all.dropFirst(target.count * width)
    }
  }

  @Test func aLaterTokenDoesNotChangeAnEarlierState() throws {
    let model = try SmallModel.make()
    let batch = try SmallModel.batch([[3, 4, 1]])
    let width = model.configuration.width
    let states = try model.targetStates(batch, targets: [[7, 9, 11, 1]]).values()
    let changed = try model.targetStates(batch, targets: [[7, 9, 12, 1]]).values()
    #expect(states.prefix(3 * width) == changed.prefix(3 * width))
    #expect(states.suffix(width) != changed.suffix(width))
  }

  @Test func targetsThatDoNotFitAreRefused() throws {
    let model = try SmallModel.make()
    let batch = try SmallModel.batch([[3, 1]])
    #expect(throws: ModelError.self) { try model.targetStates(batch, targets: []) }
    #expect(throws: ModelError.self) { try model.targetStates(batch, targets: [[400, 1]]) }
  }
}

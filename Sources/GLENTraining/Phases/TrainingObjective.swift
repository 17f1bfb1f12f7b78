import GLENModel
import GLENTensor

/// What a phase teaches: losses and gradients, step by step.
///
/// A step's batch follows from its number and key alone, so that a run that is stopped and resumed
/// sees what an uninterrupted one sees.
public protocol TrainingObjective {
  /// The phase's name in messages.
  var name: String { get }
  /// The optimisation's numbers.
  var optimization: Recipe.Optimization { get }
  /// What must survive a restart besides weights and moments.
  var memory: [Int32] { get set }

  /// The tokens that went through the encoder since the objective was made.
  var tokenCount: Int { get }
  /// The time that went to choosing negatives since the objective was made.
  var samplingDuration: Duration { get }

  /// The losses and the gradients of one forward computation.
  ///
  /// - Parameters:
  ///   - model: the model, untracked.
  ///   - batch: the number of the forward computation since the phase began.
  ///   - key: random numbers for this computation alone.
  mutating func gradients(
    of model: T5Model, batch: Int, key: RandomKey
  ) throws -> (losses: [LossPart], gradients: Gradients)

  /// The examples of a batch in words, for whoever looks for the cause of an error.
  func exampleNames(inBatch batch: Int) -> [String]
}

extension TrainingObjective {
  /// Zero: nothing is counted.
  public var tokenCount: Int { 0 }
  /// Zero: no negatives are chosen.
  public var samplingDuration: Duration { .zero }

  /// None: they have no names.
  public func exampleNames(inBatch batch: Int) -> [String] { [] }
}

/// A number that training reports under a name; the first part of a step is the whole loss.
public struct LossPart: Sendable, Equatable {
  /// What it is.
  public var name: String
  /// Its value.
  public var value: Float

  /// The values of some losses, each a tensor of one element, with one copy from their device.
  ///
  /// The host waits for the device there, so call it once, after all work of the step was given out.
  ///
  /// - Throws: `TensorError`.
  static func reading(_ losses: [(name: String, tensor: Tensor)]) throws(TensorError) -> [LossPart]
  {
    guard let backend = losses.first?.tensor.backend else { return [] }
    let all = try Tensor(unset: [losses.count], on: backend)
    for (index, loss) in losses.enumerated() {
      backend.copy(loss.tensor.region, to: all.region.advanced(by: index), count: 1)
    }
    let values = try all.values()
    return zip(losses, values).map { LossPart(name: $0.0.name, value: $0.1) }
  }
}

/// The order in which examples are seen: a fresh permutation for every epoch.
struct EpochOrder {
  private let count: Int
  private let key: RandomKey
  private var epoch = -1
  private var permutation: [Int] = []

  init(count: Int, key: RandomKey) {
    self.count = count
    self.key = key
  }

  /// The example at a position counted from the beginning of the phase.
  mutating func example(at position: Int) -> Int {
    if position / count != epoch {
      epoch = position / count
      var generator = SeededGenerator(key.split(epoch))
      permutation = Array(0..<count).shuffled(using: &generator)
    }
    return permutation[position % count]
  }
}

/// Leaves out each token with the given probability in half of all cases, never the last one.
func droppingTokens(
  _ tokens: [Int32], rate: Double, using generator: inout SeededGenerator
) -> [Int32] {
  guard rate > 0, Bool.random(using: &generator), let end = tokens.last else { return tokens }
  let kept = tokens.dropLast().filter { _ in Double.random(in: 0..<1, using: &generator) >= rate }
  return kept + [end]
}

import Foundation
import GLENModel
import GLENTensor
import GLENTestSupport
import Synchronization
import Testing

@testable import GLENCUDA

@Suite("Recorded rollouts")
struct RecordingTests {
  private static func model(on backend: CUDABackend) throws -> T5Model {
    var configuration = T5Configuration(preset: "tiny") ?? T5Configuration()
    (configuration.vocabularySize, configuration.width) = (96, 64)
    (configuration.headWidth, configuration.feedForwardWidth) = (16, 48)
    return try T5Model(random: configuration, key: RandomKey(seed: 4), on: backend)
  }

  private static func eager(_ model: T5Model, _ texts: [[Int32]]) throws -> [Float] {
    let batch = try TokenBatch(texts, vocabularySize: 96, on: model.backend)
    return try model.rollout(batch, steps: 3).values()
  }

  /// The same bits as without a recording, whatever the memory was used for in between.
  @Test(arguments: [CUDABackend.Precision.float32, .bfloat16])
  func repeatsWithOtherTokens(_ precision: CUDABackend.Precision) throws {
    let backend = try hostBackend(
      precision: precision, rounding: Rounding(leastProduct: 0, leastFactor: 0))
    let model = try Self.model(on: backend)
    do {
      let rollouts = RecordedRollouts(of: model, steps: 3)
      var random = SeededGenerator(RandomKey(seed: 6))
      for turn in 0..<6 {
        let texts = [5, 3].map { length in
          (0..<length).map { _ in Int32.random(in: 3..<96, using: &random) }
        }
        let states = try rollouts.states(of: texts)
        #expect(backend.recordedBlocks.withLock { !$0.isEmpty } == (turn > 0))
        #expect(try states.values() == Self.eager(model, texts))
        #expect(try rollouts.states(of: [[9, 8, Int32(turn + 3)]]).shape == [1, 3, 64])
      }
    }
    // Their memory goes with them.
    #expect(backend.recordedBlocks.withLock { $0.isEmpty })
  }

  /// A recording whose rounded weights went is not used any more, and the answer is right.
  @Test func outlivesItsWeightsCopies() throws {
    let backend = try hostBackend(
      precision: .bfloat16, rounding: Rounding(leastProduct: 0, leastFactor: 0))
    let model = try Self.model(on: backend)
    let rollouts = RecordedRollouts(of: model, steps: 3)
    let texts: [[Int32]] = [[5, 6, 7, 1]]
    let first = try rollouts.states(of: texts).values()
    #expect(try rollouts.states(of: texts).values() == first)
    backend.forgetAllRounded()
    // What was theirs holds other numbers now.
    let others = try (0..<400).map {
      try Tensor(repeating: .nan, shape: [[1024, 1536, 2048, 3072][$0 % 4]], on: backend)
    }
    for _ in 0..<3 { #expect(try rollouts.states(of: texts).values() == first) }
    #expect(try others.allSatisfy { try $0.values().allSatisfy(\.isNaN) })
  }

  /// A weight that is rounded while another thread records is not there for this one: nothing has been
  /// done yet.
  @Test func copiesOfARecordingAreItsOwn() throws {
    let backend = try hostBackend(
      precision: .bfloat16, rounding: Rounding(leastProduct: 0, leastFactor: 0))
    let weight = try Tensor(repeating: 0.5, shape: [8, 8], on: backend)
    let x = try Tensor(repeating: 1, shape: [8, 8], on: backend)
    let expected = [Float](repeating: 4, count: 64)
    let inner = Mutex<[Float]?>(nil)
    let work = backend.recording {
      let y = try linear(x, weight)
      let ended = DispatchSemaphore(value: 0)
      Thread.detachNewThread {
        // NaN is what the recording's memory holds before it runs.
        let values = try? linear(x, weight).values()
        inner.withLock { $0 = values }
        ended.signal()
      }
      ended.wait()
      return try linear(y, weight)
    }
    #expect(work != nil && inner.withLock { $0 } == expected)
    #expect(try linear(x, weight).values() == expected)
  }

  @Test func refusesWhatARolloutRefuses() throws {
    let model = try Self.model(on: try hostBackend())
    let rollouts = RecordedRollouts(of: model, steps: 3)
    for _ in 0..<3 { _ = try rollouts.states(of: [[5, 6]]) }
    #expect(throws: ModelError.self) { try rollouts.states(of: [[5, 96]]) }
    #expect(throws: ModelError.self) { try rollouts.states(of: []) }
    #expect(throws: ModelError.self) { try rollouts.states(of: [[]]) }
  }

  /// A result of a recording that failed gives its memory back once.
  @Test func aFailedRecordingFreesOnce() throws {
    let backend = try hostBackend()
    let x = try Tensor(repeating: 2, shape: [24], on: backend)
    let work = backend.recording {
      backend.fail("a grid that is too large")
      return try add(x, x)
    }
    #expect(work == nil)
    let others = try (0..<8).map { _ in try Tensor(unset: [24], on: backend) }
    #expect(Set(others.map { $0.storage.address }).count == 8)
    #expect(try add(x, x).values() == [Float](repeating: 4, count: 24))
  }

  /// What reads a result cannot be recorded, and does no harm.
  @Test func workThatReadsItsResults() throws {
    let backend = try hostBackend()
    let x = try Tensor(repeating: 2, shape: [4], on: backend)
    let work = backend.recording {
      let y = try add(x, x)
      return try Tensor(y.values(), shape: [4], on: backend)
    }
    #expect(work == nil)
    #expect(try add(x, x).values() == [4, 4, 4, 4])
    #expect(backend.recordedBlocks.withLock { $0.isEmpty })
  }
}

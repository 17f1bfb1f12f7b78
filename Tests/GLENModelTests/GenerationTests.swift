import Foundation
import GLENTensor
import Testing

@testable import GLENModel

struct GenerationTests {
  private static let texts = SmallModel.texts(4).map { $0.isEmpty ? [1] : $0 }

  private static func sampling(
    _ count: Int, topK: Int, temperature: Float = 1, seed: UInt64 = 3
  ) -> TopKSampling {
    let key = RandomKey(seed: seed)
    return TopKSampling(
      topK: topK, temperature: temperature, keys: (0..<count).map { key.split($0) })
  }

  @Test func theLikeliestAloneIsGreedy() throws {
    let model = try SmallModel.make()
    let batch = try SmallModel.batch(Self.texts)
    let greedy = try model.generate(batch, maximumLength: 7)
    let samples = [Self.sampling(4, topK: 1), Self.sampling(4, topK: 9, temperature: 1e-6)]
    let drawn = try model.generate(batch, maximumLength: 7, samples: samples)
    #expect(drawn == [greedy, greedy])
  }

  @Test func resultsFollowFromTheKeysAndNotFromTheBatch() throws {
    let model = try SmallModel.make()
    let together = Self.sampling(4, topK: 12)
    let all = try model.generate(
      SmallModel.batch(Self.texts), maximumLength: 8, samples: [together, together])
    #expect(all[0] == all[1])
    for (index, text) in Self.texts.enumerated() {
      let alone = try model.generate(
        SmallModel.batch([text]), maximumLength: 8,
        samples: [TopKSampling(topK: 12, keys: [together.keys[index]])])
      #expect(alone[0][0] == all[0][index])
    }
    let other = Self.sampling(4, topK: 12, seed: 4)
    let others = try model.generate(
      SmallModel.batch(Self.texts), maximumLength: 8, samples: [other])
    #expect(others[0] != all[0])
  }

  /// The first token's frequencies are the softmax over the best k, masked ones left out.
  @Test func drawsInProportion() throws {
    let model = try SmallModel.make()
    let batch = try SmallModel.batch([Self.texts[1]])
    let temperature: Float = 2
    let states = try model.rollout(batch, steps: 1)
    let logits = try model.logits(states).values()
    let order = logits.indices.sorted { logits[$0] > logits[$1] }
    let masked = order[1]
    var mask = [Float](repeating: 0, count: logits.count)
    mask[masked] = -.infinity
    let candidates = [order[0], order[2], order[3]]
    let weights = candidates.map { exp2(Double(logits[$0] / temperature) * 1.4426950408889634) }
    let draws = 4000
    let samples = (0..<draws).map {
      TopKSampling(topK: 3, temperature: temperature, keys: [RandomKey(seed: UInt64($0))])
    }
    let drawn = try model.generate(
      batch, maximumLength: 1, samples: samples, mask: Tensor(mask, shape: [mask.count]))
    var counts: [Int: Int] = [:]
    // An end token gives an empty result.
    for result in drawn { counts[Int(result[0].first ?? 1), default: 0] += 1 }
    #expect(Set(counts.keys).isSubset(of: candidates))
    for (candidate, weight) in zip(candidates, weights) {
      let share = weight / weights.reduce(0, +)
      let deviation = (share * (1 - share) / Double(draws)).squareRoot()
      let found = Double(counts[candidate] ?? 0) / Double(draws)
      #expect(abs(found - share) < 5 * deviation + 1e-9, "\(found) for \(share)")
    }
  }

  @Test func refusesWhatCannotBeDrawn() throws {
    let model = try SmallModel.make()
    let batch = try SmallModel.batch(Self.texts)
    for wrong in [
      Self.sampling(4, topK: 0), Self.sampling(4, topK: 3, temperature: 0),
      Self.sampling(4, topK: 3, temperature: .nan), Self.sampling(3, topK: 3),
    ] {
      #expect(throws: ModelError.self) {
        try model.generate(batch, maximumLength: 4, samples: [wrong])
      }
    }
    #expect(throws: ModelError.self) {
      try model.generate(batch, maximumLength: -1, samples: [Self.sampling(4, topK: 3)])
    }
  }
}

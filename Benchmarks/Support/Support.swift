import Benchmark
import GLENTensor

extension BenchmarkMetric {
  /// What all tensors of the process took at once, at most.
  package static let tensorMemory = BenchmarkMetric.custom(
    "Tensors at most (kB)", polarity: .prefersSmaller, useScalingFactor: false)
}

extension Benchmark {
  /// Adds a benchmark of something that computes with tensors; each runs in a process of its own.
  ///
  /// - Parameters:
  ///   - name: what is computed, with its sizes.
  ///   - seconds: for how long it is repeated.
  ///   - setup: makes the inputs, untimed.
  ///   - body: what is timed.
  package static func ofTensors<Inputs>(
    _ name: String, seconds: Int = 1, setup: @escaping () throws -> Inputs,
    _ body: @escaping (Inputs) throws -> Void
  ) {
    Benchmark(
      name,
      configuration: .init(
        metrics: [.wallClock, .throughput, .peakMemoryResident, .tensorMemory],
        units: [.tensorMemory: .count], warmupIterations: 2, maxDuration: .seconds(seconds)),
      closure: { benchmark, inputs in
        try body(inputs)
        benchmark.stopMeasurement()
        benchmark.measurement(.tensorMemory, CPUBackend.shared.peakByteCount / 1000)
      },
      setup: setup)
  }
}

/// Random values from -1 to 1, the same for the same key.
package func randomTensor(_ shape: Int..., seed: UInt64 = 1) throws -> Tensor {
  var generator = SeededGenerator(RandomKey(seed: seed))
  let count = shape.reduce(1, *)
  return try Tensor(
    (0..<count).map { _ in Float(generator.next() >> 40) * 0x1p-23 - 1 }, shape: shape)
}

/// Random tokens of given texts, below T5's sentinels.
package func randomTexts(_ lengths: [Int], seed: UInt64 = 1) -> [[Int32]] {
  var generator = SeededGenerator(RandomKey(seed: seed))
  return lengths.map { length in
    (0..<length).map { _ in Int32.random(in: 3..<32_000, using: &generator) }
  }
}

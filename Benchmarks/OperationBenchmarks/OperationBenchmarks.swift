import Benchmark
import GLENTensor
import Support

/// The operations that a query or a training step of T5-base spends its time in.
let benchmarks: @Sendable () -> Void = {
  products()
  rows()
  vocabulary()
}

private let (width, inner, heads) = (768, 3072, 12)

private func products() {
  for rows in [1, 12, 32, 1248] {
    Benchmark.ofTensors(
      "linear, \(rows) x \(width) to \(inner)",
      setup: { (try randomTensor(rows, width), try randomTensor(inner, width)) },
      { x, weight in blackHole(try linear(x, weight)) })
  }
  for precision in LowPrecision.allCases {
    for rows in [1, 12, 1248] {
      Benchmark.ofTensors(
        "linear, \(rows) x \(width) to \(inner), \(precision.rawValue)",
        setup: {
          (try randomTensor(rows, width), try randomTensor(inner, width).packed(as: precision))
        },
        { x, weight in blackHole(try linear(x, weight)) })
    }
  }
}

private func rows() {
  for (texts, length) in [(1, 12), (16, 156)] {
    Benchmark.ofTensors(
      "attention, \(texts) x \(length), \(heads) heads",
      setup: {
        let offsets = try SequenceOffsets(lengths: Array(repeating: length, count: texts))
        let bias = try RelativePositionBias(
          table: randomTensor(32, heads), length: length, isBidirectional: true,
          maximumDistance: 128)
        return (try randomTensor(texts * length, width), offsets, bias)
      },
      { x, offsets, bias in
        blackHole(
          try attention(
            queries: x, keys: x, values: x, heads: heads, queryOffsets: offsets,
            keyOffsets: offsets, bias: bias))
      })
  }
  Benchmark.ofTensors(
    "RMS norm, 2496 x \(width)",
    setup: { (try randomTensor(2496, width), try randomTensor(width)) },
    { x, weight in blackHole(try rmsNorm(x, weight: weight, epsilon: 1e-6)) })
}

private func vocabulary() {
  Benchmark.ofTensors(
    "best tokens of 48 states, 32128 x \(width)",
    setup: { (try randomTensor(48, width), try randomTensor(32128, width)) },
    { states, table in
      blackHole(try bestTokens(states: states, table: table, scale: 0.036, mask: nil))
    })
  Benchmark.ofTensors(
    "cross-entropy and gradients of 48 states, 32128 x \(width)",
    setup: {
      let targets = try TokenIDs((0..<48).map { Int32($0 * 600) })
      return ([try randomTensor(48, width), try randomTensor(32128, width)], targets)
    },
    { inputs, targets in
      blackHole(
        try valueAndGradient(of: inputs) {
          try crossEntropy(states: $0[0], table: $0[1], scale: 0.036, targets: targets)
        })
    })
  Benchmark.ofTensors(
    "AdamW, 24 million parameters",
    setup: {
      Update(
        weight: try randomTensor(32128, width), gradient: try randomTensor(32128, width, seed: 2),
        first: try Tensor(repeating: 0, shape: [32128, width], on: CPUBackend.shared),
        second: try Tensor(repeating: 0, shape: [32128, width], on: CPUBackend.shared))
    },
    { try $0.run() })
}

/// A parameter that is updated in place.
private final class Update {
  private var weight: Tensor, gradient: Tensor, first: Tensor, second: Tensor

  init(weight: Tensor, gradient: Tensor, first: Tensor, second: Tensor) {
    (self.weight, self.gradient, self.first, self.second) = (weight, gradient, first, second)
  }

  func run() throws {
    try adamW(
      &weight, gradient: gradient, firstMoment: &first, secondMoment: &second,
      AdamWStep(
        rate: 1e-4, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, decay: 1e-4, update: 1,
        gradientScale: 1))
  }
}

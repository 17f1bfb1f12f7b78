import Benchmark
import GLENModel
import GLENTensor
import Support

/// T5 of random weights at inference: texts of full length, n = 3.
let benchmarks: @Sendable () -> Void = {
  add("encode", size: "base", 1, 12) { blackHole(try $0.encode($1)) }
  add("rollout", size: "base", 1, 12) { blackHole(try $0.rollout($1, steps: 3)) }
  for precision in [nil, LowPrecision.bf16, .int8] {
    for (size, texts, length) in [("base", 1, 12), ("small", 16, 32)] {
      add("query", size: size, texts, length, precision) {
        blackHole(try $0.logits($0.rollout($1, steps: 3)))
      }
    }
  }
  add("identifiers", size: "small", 16, 156) {
    let states = try $0.rollout($1, steps: 3)
    blackHole(try $0.identifiers(states, mask: nil))
  }
}

private func add(
  _ what: String, size: String, _ texts: Int, _ length: Int, _ precision: LowPrecision? = nil,
  _ body: @escaping (T5Model, TokenBatch) throws -> Void
) {
  let suffix = precision.map { ", \($0.rawValue)" } ?? ""
  Benchmark.ofTensors(
    "\(what), T5-\(size), \(texts) x \(length)\(suffix)",
    setup: {
      var model = try T5Model(
        random: T5Configuration(preset: size) ?? T5Configuration(), key: RandomKey(seed: 1))
      if let precision { model = try model.quantized(to: precision) }
      let batch = try TokenBatch(
        randomTexts(Array(repeating: length, count: texts)),
        vocabularySize: model.configuration.vocabularySize)
      return (model, batch)
    },
    { model, batch in try body(model, batch) })
}

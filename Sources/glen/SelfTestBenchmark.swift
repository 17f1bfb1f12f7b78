import GLENCUDA
import GLENIndex
import GLENModel
import GLENPlatform
import GLENTensor

/// What a device does in a second: one product, and a T5-base of random weights at work.
enum SelfTestBenchmark {
  /// Times each precision that the device has, or the one that was asked for, and where a step's time
  /// goes.
  static func run(on device: Device) throws {
    guard device == .cuda else { return try run(on: CPUBackend.shared, "float32", size: 2048) }
    let wanted = ProcessInfo.processInfo.environment["GLEN_CUDA_PRECISION"]
    for precision in CUDABackend.Precision.allCases
    where wanted == nil || wanted == precision.rawValue {
      try run(on: CUDABackend(precision: precision), precision.rawValue, size: 8192)
    }
    try search(on: CUDABackend())
    try profile(on: CUDABackend(precision: .bfloat16, profiles: true))
  }

  /// The best 100 of a million documents with random identifiers of three T5 pieces, for batches of
  /// queries whose scores are there; look-up tables and ranking on the processor are counted too.
  private static func search(on scanner: CUDABackend) throws {
    let (documents, steps, vocabulary) = (1_000_000, 3, 32_128)
    var random = SeededGenerator(RandomKey(seed: 5))
    let identifiers = (0..<documents * steps).map { _ in
      Int32.random(in: 3..<32_100, using: &random)
    }
    let table = try IdentifierTable.sorting(
      identifiers: identifiers, weights: [Float](repeating: 1, count: documents * steps),
      identifierLength: steps, vocabularySize: vocabulary
    ).table
    let queries = try (0..<16).map { _ in
      try QueryScores(
        logits: (0..<steps * vocabulary).map { _ in Float(random.next() >> 40) * 0x1p-21 },
        identifierLength: steps, vocabularySize: vocabulary)
    }
    scanner.profile?.reset()
    let search = try DeviceSearch(
      IdentifierTables(table), on: scanner,
      threadCount: ProcessInfo.processInfo.activeProcessorCount)
    for batch in [1, 256, 4096] {
      let scores = (0..<batch).map { queries[$0 % queries.count] }
      let milliseconds = try median(runs: 3, on: scanner) {
        _ = try search.rank(scores, limit: 100)
      }
      row(
        "search of 1M, batch \(batch)", "exact", milliseconds, Double(batch) / milliseconds,
        "queries/s")
    }
  }

  /// Which kernels and products a step of phase 1 spends its time in, and a search.
  private static func profile(on backend: CUDABackend) throws {
    try search(on: backend)
    if let profile = backend.profile { print(profile, runs: 15) }
    guard let base = T5Configuration(preset: "base"), let profile = backend.profile else { return }
    var model = try T5Model(random: base, key: RandomKey(seed: 1), on: backend)
    for runs in [1, 3] {
      profile.reset()
      let work = BenchmarkWork(
        task: .keywords, batch: 128, lengths: LengthList(156), identifierLength: 3, warmUps: 0)
      _ = try work.times(&model, runs: runs)
    }
    print(profile, runs: 3)
  }

  private static func print(_ profile: CUDAProfile, runs: Int) {
    for entry in profile.entries.prefix(36) {
      let (milliseconds, count) = (entry.milliseconds / Double(runs), entry.count / runs)
      SelfTest.row(entry.name, String(printf: "%.2f ms   in %ld calls", milliseconds, count))
    }
    let all = profile.entries.reduce(0) { $0 + $1.milliseconds } / Double(runs)
    let idle = profile.idleMilliseconds / Double(runs)
    SelfTest.row("all", String(printf: "%.2f ms, and %.2f ms idle between them", all, idle))
  }

  private static func run(on backend: any Backend, _ precision: String, size: Int) throws {
    let product = try median(runs: 5, on: backend, product(size, on: backend))
    let flops = 2 * pow(Double(size), 3)
    row("product \(size)^3", precision, product, flops / product / 1e9, "TFLOP/s")
    guard let base = T5Configuration(preset: "base") else { return }
    var model = try T5Model(random: base, key: RandomKey(seed: 1), on: backend)
    for (name, batch, length, trains) in [
      ("query, batch 1", 1, 12, false), ("queries, batch 256", 256, 12, false),
      ("documents, batch 128 x 156", 128, 156, false),
      ("step of phase 1, 128 x 156", 128, 156, true),
    ] {
      let work = BenchmarkWork(
        task: trains ? .keywords : .inference, batch: batch, lengths: LengthList(length),
        identifierLength: 3, warmUps: 2)
      let times = try work.times(&model, runs: 5).milliseconds
      let milliseconds = times[times.count / 2]
      row(name, precision, milliseconds, Double(batch) / milliseconds, "texts/s")
    }
  }

  private static func product(_ size: Int, on backend: any Backend) throws -> () -> Void {
    var random = SeededGenerator(RandomKey(seed: 3))
    let values = (0..<size * size).map { _ in Float(random.next() >> 40) * 0x1p-24 - 0.5 }
    let a = try Tensor(values, shape: [size, size], on: backend)
    let c = try Tensor(unset: [size, size], on: backend)
    return {
      backend.matrixProduct(
        MatrixProduct(
          m: size, n: size, k: size, a: a.region, b: a.region, c: c.region, transposeB: true))
    }
  }

  /// Milliseconds, after two runs to warm up.
  private static func median(
    runs: Int, on backend: any Backend, _ body: () throws -> Void
  ) throws -> Double {
    var times: [Double] = []
    for run in 0..<runs + 2 {
      let begin = ContinuousClock.now
      try body()
      try backend.synchronize()
      if run >= 2 { times.append((ContinuousClock.now - begin) / .milliseconds(1)) }
    }
    return times.sorted()[runs / 2]
  }

  private static func row(
    _ name: String, _ precision: String, _ milliseconds: Double, _ rate: Double, _ unit: String
  ) {
    // A rate counts thousands of milliseconds where it counts things.
    let perSecond = unit.hasSuffix("FLOP/s") ? rate : rate * 1000
    SelfTest.row(
      "\(name), \(precision)",
      String(printf: "%.2f ms   %.0f ", milliseconds, perSecond) + unit)
  }
}

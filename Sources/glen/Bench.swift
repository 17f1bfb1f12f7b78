import ArgumentParser
import Foundation
import GLENCUDA
import GLENModel
import GLENTensor

struct Bench: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Time encoding, rollout and scores, or a training step, on random tokens.")

  @Option(help: "A T5 folder, or a preset's name for random weights.") var model: String
  @Option(help: "Sequences in a batch.") var batch = 1
  @Option(help: "Tokens of a sequence.") var length = 12
  @Option(help: "Tokens of an identifier.") var identifierLength = 3
  @Option(help: "How often to run after the warm-up runs.") var runs = 7
  @Option(help: "How often to run before; 0 and one run show a cold start.") var warmUpRuns = 2
  @Option(help: "Threads that each answer a batch at once in every run.") var callers = 1
  @Option(help: "cpu or cuda.") var device = Device.cpu
  @Option(help: "Round the weights to int8 or bf16 first.") var type: LowPrecision?
  @Flag(help: "Time a step of phase 1: forward, backward and AdamW.") var train = false
  @Flag(help: "Print JSON.") var json = false

  func validate() throws {
    guard (1...4096).contains(batch), (1...4096).contains(length),
      (1...64).contains(identifierLength), (1...10000).contains(runs),
      (0...10000).contains(warmUpRuns), (1...256).contains(callers)
    else {
      throw ValidationError(
        "--batch and --length must be 1 to 4096, --identifier-length 1 to 64, --runs 1 to 10000, "
          + "--warm-up-runs 0 to 10000, --callers 1 to 256")
    }
    guard type == nil && callers == 1 || !train else {
      throw ValidationError("--type and --callers are for inference; leave them out with --train")
    }
  }

  func run() throws {
    let backend = try device.backend()
    var t5 =
      if let preset = T5Configuration(preset: model) {
        try T5Model(random: preset, key: RandomKey(seed: 1), on: backend)
      } else {
        try T5Model(folder: URL(fileURLWithPath: model), on: backend, warn: Console.error)
      }
    if let type { t5 = try t5.quantized(to: type) }
    let work = BenchmarkWork(
      batch: batch, length: length, identifierLength: identifierLength, callers: callers,
      trains: train)
    let times = try work.times(&t5, warmUpRuns: warmUpRuns, runs: runs)
    let median = times[times.count / 2]
    let result = Result(
      median_ms: median, min_ms: times[0],
      tokens_per_s: Double(callers * batch * length) / median * 1000,
      peak_tensor_mb: Double(peakByteCount(of: backend)) / 1e6)
    if json {
      try Console.json(result)
    } else {
      Console.output(
        String(
          format: "median %.2f ms, minimum %.2f ms, %.0f tokens/s, tensors at most %.0f MB",
          result.median_ms, result.min_ms, result.tokens_per_s, result.peak_tensor_mb))
    }
  }

  private func peakByteCount(of backend: any Backend) -> Int {
    (backend as? CUDABackend)?.peakByteCount ?? CPUBackend.shared.peakByteCount
  }

  // The keys that scripts read.
  // swift-format-ignore: AlwaysUseLowerCamelCase
  private struct Result: Encodable {
    var median_ms: Double
    var min_ms: Double
    var tokens_per_s: Double
    var peak_tensor_mb: Double
  }
}

import ArgumentParser
import GLENCUDA
import GLENModel
import GLENPlatform
import GLENTensor
import GLENTraining

struct Bench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench",
    abstract: "Time encoding, rollout and scores, or a training step, on random tokens.")

  @Option(help: "A T5 folder, or a preset's name for random weights.") var model: String
  @Option(help: "Sequences in a batch; with --refine questions.") var batch = 1
  @Option(
    help: "Tokens of a sequence, or of several in turn: 12,7,30. With --refine of a document.")
  var length = LengthList(12)
  @Option(help: "Tokens of an identifier.") var identifierLength = 3
  @Option(help: "How often to run after the warm-up runs.") var runs = 7
  @Option(help: "How often to run before that, untimed; 0 and one run show a cold start.")
  var warmUp = 2
  @Option(help: "Threads that each answer a batch at once in every run.") var callers = 1
  @Option(help: "cpu or cuda.") var device = Device.cpu
  @Option(help: "Round the weights to int8 or bf16 first.") var type: LowPrecision?
  @Flag(help: "Time a step of phase 1: forward, backward and AdamW.") var train = false
  @Flag(help: "Time a step of phase 2.") var refine = false
  @Option(help: "Tokens of a question, with --refine; one or several, as --length.")
  var queryLength = LengthList(12)
  @Option(help: "Negative documents of each question, with --refine.") var negatives = 8
  @Option(help: "Questions at once, by a gradient cache, with --refine; 0 for all.")
  var queryChunk = 0
  @Option(help: "Documents at once, by a gradient cache, with --refine; 0 for all.")
  var documentChunk = 0
  @Option(help: "The temperature of the identifier representations, with --refine.")
  var temperature: Float = 1
  @Flag(help: "Compute the encoder's blocks again on the way back, with --train and --refine.")
  var recompute = false
  @Option(help: "Rows of the table, for a preset's random weights.") var vocabulary: Int?
  @Flag(help: "Print JSON.") var json = false

  func validate() throws {
    guard (1...4096).contains(batch), (1...64).contains(identifierLength),
      (1...10000).contains(runs), (0...10000).contains(warmUp),
      (1...256).contains(callers)
    else {
      throw ValidationError(
        "--batch must be 1 to 4096, --identifier-length 1 to 64, --runs 1 to 10000, --warm-up 0 to "
          + "10000, --callers 1 to 256")
    }
    guard (0...4096).contains(negatives), queryChunk >= 0, documentChunk >= 0 else {
      throw ValidationError("--negatives must be 0 to 4096, and a chunk 0 or more")
    }
    guard temperature > 0, temperature.isFinite else {
      throw ValidationError("--temperature must be above 0")
    }
    guard refine || temperature == 1 else {
      throw ValidationError("--temperature is of phase 2; give --refine, too")
    }
    guard type == nil && callers == 1 || !(train || refine) else {
      throw ValidationError(
        "--type and --callers are for inference; leave them out with --train and --refine")
    }
    guard !(train && refine) else {
      throw ValidationError("--train is phase 1 and --refine phase 2; give one of them")
    }
    guard vocabulary == nil || T5Configuration(preset: model) != nil else {
      throw ValidationError("--vocabulary is for a preset; a folder has its own")
    }
    guard (128...(1 << 22)).contains(vocabulary ?? 128) else {
      throw ValidationError("--vocabulary must be 128 to \(1 << 22)")
    }
  }

  func run() throws {
    let backend = try device.backend()
    var t5 = try startModel(on: backend)
    if let type { t5 = try t5.quantized(to: type) }
    if train || refine { try t5.requireFloat32(path: model, to: "train") }
    t5.recomputesBlocks = recompute
    let work = BenchmarkWork(
      task: task, batch: batch, lengths: length, identifierLength: identifierLength,
      warmUps: warmUp, callers: callers)
    let (times, tokens) = try work.times(&t5, runs: runs)
    let median = times[times.count / 2]
    let result = Result(
      median_ms: median, min_ms: times[0],
      tokens_per_s: Double(callers * tokens) / median * 1000,
      peak_tensor_mb: Double(peakByteCount(of: backend)) / 1e6,
      peak_resident_mb: Self.peakResidentByteCount.map { Double($0) / 1e6 })
    if json {
      try Console.json(result)
    } else {
      Console.output(
        String(
          printf: "median %.2f ms, minimum %.2f ms, %.0f tokens/s, tensors at most %.0f MB",
          result.median_ms, result.min_ms, result.tokens_per_s, result.peak_tensor_mb))
    }
  }

  private var task: BenchmarkWork.Task {
    if refine {
      var loss = RefinementLoss()
      loss.temperature = temperature
      return .refinement(
        loss: loss, queries: queryLength, documentsPerQuery: 1 + negatives,
        chunks: .init(queries: queryChunk, documents: documentChunk))
    }
    return train ? .keywords : .inference
  }

  private func startModel(on backend: any Backend) throws -> T5Model {
    guard var preset = T5Configuration(preset: model) else {
      return try T5Model(folder: URL(fileURLWithPath: model), on: backend, warn: Console.error)
    }
    if let vocabulary { preset.vocabularySize = vocabulary }
    return try T5Model(random: preset, key: RandomKey(seed: 1), on: backend)
  }

  private func peakByteCount(of backend: any Backend) -> Int {
    (backend as? CUDABackend)?.peakByteCount ?? CPUBackend.shared.peakByteCount
  }

  /// The most memory that the process had resident, where the system says.
  ///
  /// `getrusage` would do, but counts what the process that started this one had, too.
  private static var peakResidentByteCount: Int? {
    guard let status = try? String(contentsOfFile: "/proc/self/status", encoding: .utf8) else {
      return nil
    }
    let line = status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
    return line.flatMap { Int($0.filter(\.isNumber)) }.map { $0 * 1024 }
  }

  // The keys that scripts read.
  // swift-format-ignore: AlwaysUseLowerCamelCase
  private struct Result: Encodable {
    var median_ms: Double
    var min_ms: Double
    var tokens_per_s: Double
    var peak_tensor_mb: Double
    var peak_resident_mb: Double?
  }
}

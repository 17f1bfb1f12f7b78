import CGLENBLAS
import CGLENKernels
import GLENPlatform

/// The processor: OpenBLAS for large products, the kernels of `CGLENKernels` for the rest, and
/// threads over both.
///
/// OpenBLAS is held to one thread and called from several, each on its own part of the result:
/// its own threads would fight with these.
public final class CPUBackend: Backend {
  /// The backend that is used where none is named: all processors.
  public static let shared = CPUBackend()

  /// How many threads share the work of one operation.
  public let threadCount: Int
  /// The widest instruction set that products of low precision use, where the machine has it.
  public let instructionSet: InstructionSet
  let memory = MemoryPool.host()
  /// The caller and `threadCount - 1` workers.
  private nonisolated(unsafe) let team: OpaquePointer?

  /// A backend that splits work over `threadCount` threads; by default one for each processor (as many as a
  /// container's quota is worth), or what the environment variable `GLEN_THREADS` says.
  ///
  /// OpenBLAS is set to one thread: for the whole process, or, where its threads are OpenMP's, for every
  /// thread that asks it for a product.
  ///
  /// Products of low precision use no wider instructions than `instructionSet`, by default what
  /// `GLEN_CPU_KERNELS` says (`portable`, `neon`, `avx2` or `avx512`) or the widest there are. All other
  /// loops go by that variable alone, as it is when the first of them runs.
  public init(threadCount: Int? = nil, instructionSet: InstructionSet? = nil) {
    self.threadCount = min(max(threadCount ?? Self.defaultThreadCount, 1), 256)
    self.instructionSet =
      instructionSet ?? InstructionSet.allCases.first { $0.kernels == glen_kernel_limit() }
      ?? .portable
    glen_hold_openblas_to_one_thread()
    team = glen_team_create(Int32(self.threadCount - 1))
  }

  deinit { glen_team_destroy(team) }

  /// As many threads as the environment asks for, or one for each processor.
  package static var defaultThreadCount: Int {
    let environment = ProcessInfo.processInfo.environment["GLEN_THREADS"].flatMap { Int($0) }
    return min(max(environment ?? processorCount, 1), 256)
  }

  /// Processors that there are for this process: no more than its container may use of them.
  private static var processorCount: Int {
    let quota = try? String(contentsOfFile: "/sys/fs/cgroup/cpu.max", encoding: .utf8)
    return min(ProcessInfo.processInfo.activeProcessorCount, quota.flatMap(processors) ?? .max)
  }

  /// What a control group's `cpu.max`, microseconds in a period of others, is worth in processors; nil
  /// for `max`.
  static func processors(quota: String) -> Int? {
    let numbers = quota.split(whereSeparator: \.isWhitespace).compactMap { Int($0) }
    guard numbers.count == 2, numbers[0] > 0, numbers[1] > 0 else { return nil }
    return max(1, (numbers[0] + numbers[1] / 2) / numbers[1])
  }

  /// What to call the device in messages.
  public var name: String { "cpu" }

  /// Calls `body` with parts of `0 ..< count`, each at least `grain` long, on several threads.
  func parallel(_ count: Int, grain: Int, _ body: (Range<Int>) -> Void) {
    let parts = min(threadCount, count / max(grain, 1))
    if parts <= 1 {
      if count > 0 { body(0..<count) }
      return
    }
    withoutActuallyEscaping(body) { body in
      var job = Job(count: count, parts: parts, body: body)
      withUnsafeMutablePointer(to: &job) { job in
        glen_team_run(
          team, Int32(parts),
          { job, part in
            guard let job = job?.assumingMemoryBound(to: Job.self).pointee else { return }
            let part = Int(part)
            job.body(job.count * part / job.parts..<job.count * (part + 1) / job.parts)
          }, job)
      }
    }
  }

  private struct Job {
    let count: Int
    let parts: Int
    /// Called by several threads at once, for parts that do not overlap.
    let body: (Range<Int>) -> Void
  }
}

extension Region {
  /// The elements as floats in host memory.
  var floats: UnsafeMutablePointer<Float> {
    storage.address.assumingMemoryBound(to: Float.self) + offset
  }

  /// The elements as whole numbers in host memory.
  var integers: UnsafeMutablePointer<Int32> {
    storage.address.assumingMemoryBound(to: Int32.self) + offset
  }
}

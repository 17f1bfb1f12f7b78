import ArgumentParser
import GLENPlatform
import GLENTraining

struct Train: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "train",
    abstract: "Train a model on a dataset, one phase or both.",
    discussion: """
      A model begins from the starter that comes with glen, a small pre-trained T5 whose layers take
      up a vocabulary that is trained on the corpus (or that --tokenizer names); --from-scratch begins
      from random weights, --init from any T5 as it is. A run that is stopped (Ctrl-C, SIGTERM) leaves
      a checkpoint that --resume goes on from: with the same data, seed and recipe but for steps, rates, limits
      and intervals.

      --phase refine goes on from the model in --out by that model's own recipe, where no --preset is named.
      """)

  @OptionGroup var data: DatasetOptions
  @OptionGroup var training: TrainingOptions
  @Option(help: "The folder for the model.") var out: String
  @Option(help: "keywords, refine or both; or queries, which learns to generate queries.")
  var phase = "both"
  @Option(help: "The seed of all random numbers.") var seed: UInt64 = 1
  @Flag(help: "Go on from the checkpoint in --out.") var resume = false

  func validate() throws {
    if out.isEmpty { throw ValidationError("--out must name a folder") }
    guard ["keywords", "refine", "both", "queries"].contains(phase) else {
      throw ValidationError("no phase is called \(phase); known: keywords, refine, both, queries")
    }
    if phase == "refine", training.fromScratch || training.size != nil {
      throw ValidationError(
        "--phase refine goes on from a model; --from-scratch and --size would begin another one")
    }
    if phase == "refine", training.initial == nil, training.starter == nil,
      !FileManager.default.fileExists(atPath: out + "/glen.json")
    {
      throw ValidationError(
        "--phase refine goes on from a model: give --init or --starter, or as --out a folder that "
          + "phase 1 wrote")
    }
  }

  func run() throws {
    let folder = URL(fileURLWithPath: out)
    // Phase 2 goes on from what phase 1 left in the same folder.
    var session = try training.session(
      data, start: phase == "refine" ? .folder(folder) : nil, out: out)
    if let only = TrainingSession.Phase(rawValue: phase) { session.phases = [only] }
    session.seed = seed
    session.resumes = resume
    let display = ProgressDisplay()
    let goesOn = resume || phase == "refine" && training.initial == nil && training.starter == nil
    let log = RunLog(folder: folder, goesOn: goesOn) { Console.error("warning: \($0)") }
    session.report = { progress in
      display.show(progress)
      log.record(progress)
    }
    let dataset = try data.dataset(splits: ["train", "dev"])
    do {
      _ = try session.run(dataset, to: folder)
    } catch is CancellationError {
      log.end()
      throw CancellationError()
    }
    log.end()
    Console.error("the model is in \(out)")
  }
}

/// Ctrl-C, a scheduler's SIGTERM, or a terminal that goes away asks for a stop at the next step.
///
/// A second time it ends the process. Whoever reads what a run prints cannot end it by reading no more.
enum Interruption {
  private nonisolated(unsafe) static var flag: sig_atomic_t = 0

  static var isRequested: Bool { flag != 0 }
  /// What a shell would say of a process that the signal ended: 130 for Ctrl-C, 143 for SIGTERM, 129 for
  /// SIGHUP.
  static var exitCode: Int32 { 128 + (flag == 0 ? SIGINT : Int32(flag)) }

  static func listen() {
    var signals = sigset_t()
    sigemptyset(&signals)
    for number in [SIGINT, SIGTERM, SIGHUP] {
      let earlier = signal(number) { number in
        Interruption.flag = sig_atomic_t(number)
        signal(number, SIG_DFL)
      }
      // nohup's.
      let isIgnored = unsafeBitCast(earlier, to: Int.self) == unsafeBitCast(SIG_IGN, to: Int.self)
      if number == SIGHUP, isIgnored { signal(number, SIG_IGN) }
      sigaddset(&signals, number)
    }
    signal(SIGPIPE, SIG_IGN)
    // A parent may have started us with the signals blocked, as threads of Dispatch have them.
    pthread_sigmask(SIG_UNBLOCK, &signals, nil)
  }
}

/// Shows training: one line that is rewritten on a terminal, otherwise a line now and then.
final class ProgressDisplay {
  private var lastLine = ContinuousClock.now - .seconds(60)

  func show(_ progress: TrainingProgress) {
    let isLast = progress.ending != nil
    let isDue = ContinuousClock.now - lastLine > .seconds(Console.isTerminal ? 0.2 : 10)
    guard isLast || isDue || progress.validation != nil || progress.validationBefore != nil else {
      return
    }
    lastLine = ContinuousClock.now
    let losses = progress.losses.map { "\($0.name) \(Self.number($0.value))" }
    var line =
      "\(progress.phase) \(progress.step)/\(progress.steps)  "
      + losses.joined(separator: "  ") + "  rate \(Self.number(progress.learningRate))"
      + "  norm \(Self.number(progress.gradientNorm))"
      + String(printf: "  %.1f steps/s", progress.stepsPerSecond)
      + "  \(Self.time(progress.secondsLeft)) left"
    if let validation = progress.validation {
      line += "  dev \(progress.measure.rawValue)" + String(printf: " %.1f", validation * 100)
    }
    if Console.isTerminal && !isLast && progress.validation == nil {
      Console.status(line)
    } else {
      Console.status("")
      Console.error(line)
    }
    if let before = progress.validationBefore {
      Console.error(
        "\(progress.phase): dev \(progress.measure.rawValue) "
          + String(printf: "%.1f before the first update", before * 100))
    }
    if let reason = progress.earlyEnding {
      Console.error("\(progress.phase): ended after \(progress.step) updates: \(reason)")
    }
    if let mixing = progress.mixing { Console.error("\(progress.phase): \(mixing)") }
    if progress.hasKeptStart {
      Console.error(
        "\(progress.phase): no validation was better than the first; the model from before is kept")
    }
  }

  private static func number(_ value: Float) -> String { String(printf: "%.3g", value) }

  private static func time(_ seconds: Double) -> String {
    let whole = Int(min(max(seconds, 0), 1e9))
    return whole >= 3600
      ? String(printf: "%ld:%02ld:%02ld", whole / 3600, whole / 60 % 60, whole % 60)
      : String(printf: "%ld:%02ld", whole / 60, whole % 60)
  }
}

import ArgumentParser
import Foundation
import GLENModel
import GLENTensor
import GLENTraining

struct Train: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Train a model on a dataset, one phase or both.",
    discussion: """
      Without --init a model of the given size begins from random weights, with a vocabulary that is
      trained on the corpus unless --tokenizer names one. An interrupted run (Ctrl-C) leaves a
      checkpoint that --resume goes on from.
      """)

  @OptionGroup var data: DatasetOptions
  @Option(help: "The folder for the model.") var out: String
  @Option(name: .customLong("init"), help: "A T5 folder to begin from.") var initial: String?
  @Option(help: "The size of a new model: tiny, mini, small or base.") var size: String?
  @Option(help: "A SentencePiece model to use.") var tokenizer: String?
  @Option(help: "keywords, refine or both; or queries, which learns to generate queries.")
  var phase = "both"
  @Option(help: "A file of generated queries for phase 1; may be given several times.")
  var generatedQueries: [String] = []
  @Option(help: "The tokens of an identifier.") var identifierLength: Int?
  @Option(help: "A JSON file whose keys replace the recipe's.") var recipe: String?
  @Option(help: "The recipe to begin from: paper or small.") var preset = "small"
  @Option(help: "A value of the recipe, as in keywords.optimization.steps=4000; may be repeated.")
  var set: [String] = []
  @Option(help: "Where tokenised corpora are kept for other runs; without it in OUT/cache.")
  var cache: String?
  @Option(help: "cpu or cuda.") var device = Device.cpu
  @Option(help: "The seed of all random numbers.") var seed: UInt64 = 1
  @Flag(help: "Go on from the checkpoint in --out.") var resume = false

  func validate() throws {
    if out.isEmpty { throw ValidationError("--out must name a folder") }
    if initial != nil && size != nil { throw ValidationError("give --init or --size, not both") }
    if let size, T5Configuration(preset: size) == nil {
      throw ValidationError(
        "no size is called \(size); known: \(T5Configuration.presets.joined(separator: ", "))")
    }
    guard ["keywords", "refine", "both", "queries"].contains(phase) else {
      throw ValidationError("no phase is called \(phase); known: keywords, refine, both, queries")
    }
    if phase == "refine", initial == nil,
      !FileManager.default.fileExists(atPath: out + "/glen.json")
    {
      throw ValidationError(
        "--phase refine goes on from a model: give --init, or as --out a folder that phase 1 wrote")
    }
    if let identifierLength, !(1...64).contains(identifierLength) {
      throw ValidationError("--identifier-length must be 1 to 64")
    }
    guard Recipe.preset(preset) != nil else {
      throw ValidationError("no recipe is called \(preset); known: paper, small")
    }
  }

  func run() throws {
    var resolved = Recipe.preset(preset) ?? .small
    if let recipe {
      resolved = try Recipe(contentsOf: URL(fileURLWithPath: recipe), over: resolved)
    }
    if let identifierLength { resolved.identifierLength = identifierLength }
    for assignment in set { try resolved.set(assignment) }
    let earlier = URL(fileURLWithPath: out)
    let start: TrainingSession.Start =
      if let initial {
        .folder(URL(fileURLWithPath: initial))
      } else if phase == "refine" {
        // Phase 2 goes on from what phase 1 left in the same folder.
        .folder(earlier)
      } else {
        .random(T5Configuration(preset: size ?? "tiny") ?? T5Configuration())
      }
    var session = TrainingSession(recipe: resolved, start: start)
    session.tokenizerURL = tokenizer.map { URL(fileURLWithPath: $0) }
    if let only = TrainingSession.Phase(rawValue: phase) { session.phases = [only] }
    session.generatedQueryURLs = generatedQueries.map { URL(fileURLWithPath: $0) }
    session.malformedLineLimit = data.malformedLimit
    session.cacheFolder = URL(fileURLWithPath: cache ?? out + "/cache")
    session.seed = seed
    session.resumes = resume
    session.backend = try device.backend()
    session.logger = Console.logger
    let display = ProgressDisplay()
    let log = RunLog(folder: URL(fileURLWithPath: out)) { Console.error("warning: \($0)") }
    session.report = { progress in
      display.show(progress)
      log.record(progress)
    }
    Interruption.listen()
    session.shouldStop = { Interruption.isRequested }
    let dataset = try data.dataset(splits: ["train", "dev"])
    _ = try session.run(dataset, to: URL(fileURLWithPath: out))
    Console.error("the model is in \(out)")
  }
}

/// Ctrl-C once asks for a stop at the next step; twice ends the process.
enum Interruption {
  private nonisolated(unsafe) static var flag: sig_atomic_t = 0

  static var isRequested: Bool { flag != 0 }

  static func listen() {
    signal(SIGINT) { _ in
      Interruption.flag = 1
      signal(SIGINT, SIG_DFL)
    }
    // A parent may have started us with the signal blocked, as threads of Dispatch have it.
    var signals = sigset_t()
    sigemptyset(&signals)
    sigaddset(&signals, SIGINT)
    pthread_sigmask(SIG_UNBLOCK, &signals, nil)
  }
}

/// Shows training: one line that is rewritten on a terminal, otherwise a line now and then.
final class ProgressDisplay {
  private var lastLine = ContinuousClock.now - .seconds(60)

  func show(_ progress: TrainingProgress) {
    let isLast = progress.step == progress.steps
    let isDue = ContinuousClock.now - lastLine > .seconds(Console.isTerminal ? 0.2 : 10)
    guard isLast || isDue || progress.validation != nil else { return }
    lastLine = ContinuousClock.now
    let losses = progress.losses.map { "\($0.name) \(Self.number($0.value))" }
    var line =
      "\(progress.phase) \(progress.step)/\(progress.steps)  "
      + losses.joined(separator: "  ") + "  rate \(Self.number(progress.learningRate))"
      + "  norm \(Self.number(progress.gradientNorm))"
      + String(format: "  %.1f steps/s", progress.stepsPerSecond)
      + "  \(Self.time(progress.secondsLeft)) left"
    if let validation = progress.validation {
      line += String(format: "  dev MRR@10 %.1f", validation * 100)
    }
    if Console.isTerminal && !isLast && progress.validation == nil {
      Console.status(line)
    } else {
      Console.status("")
      Console.error(line)
    }
  }

  private static func number(_ value: Float) -> String { String(format: "%.3g", value) }

  private static func time(_ seconds: Double) -> String {
    let whole = Int(min(max(seconds, 0), 1e9))
    return whole >= 3600
      ? String(format: "%d:%02d:%02d", whole / 3600, whole / 60 % 60, whole % 60)
      : String(format: "%d:%02d", whole / 60, whole % 60)
  }
}

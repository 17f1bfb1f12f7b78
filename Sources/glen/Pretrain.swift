import ArgumentParser
import GLENModel
import GLENPlatform
import GLENText
import GLENTraining

struct Pretrain: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "pretrain",
    abstract: "Pre-train a model on text of your own, for `glen train --starter` to begin from.",
    discussion: """
      The text is JSON lines, plain or .gz: passages {"_id", "text", "title"}, as in a corpus.jsonl, and
      if there are any, questions {"_id", "text", "passage"} with the id or the text of what answers
      them. Nothing else is needed: the tasks are made from the text. The recipe's "excludedSources"
      leaves out lines by their "source". An interrupted run (Ctrl-C) leaves a checkpoint that
      --resume goes on from, and saves the model as it is where the folder has no finished one.
      """)

  @Option(parsing: .upToNextOption, help: "Files of passages and questions.") var text: [String]
  @Option(help: "The folder for the model.") var out: String
  @Option(name: .customLong("init"), help: "A model folder to go on from.") var initial: String?
  @Option(help: "The size of a new model: micro, tiny, mini, small or base.") var size = "mini"
  @Flag(inversion: .prefixedNo, help: "Gated GELU, as in T5 1.1, at two thirds of the width.")
  var gated = true
  @Option(help: "A JSON file whose keys replace the recipe's.") var recipe: String?
  @Option(help: "The number of updates, instead of the recipe's.") var steps: Int?
  @Option(help: "cpu or cuda.") var device = Device.cpu
  @Option(help: "The seed of all random numbers.") var seed: UInt64 = 1
  @Flag(help: "Go on from the checkpoint in --out.") var resume = false

  func validate() throws {
    if out.isEmpty { throw ValidationError("--out must name a folder") }
    if T5Configuration(preset: size) == nil {
      throw ValidationError(
        "no size is called \(size); known: \(T5Configuration.presets.joined(separator: ", "))")
    }
    if let steps, steps < 1 { throw ValidationError("--steps must be at least 1") }
  }

  func run() throws {
    var resolved = PretrainingRecipe()
    if let recipe { resolved = try PretrainingRecipe(contentsOf: URL(fileURLWithPath: recipe)) }
    if let steps { resolved.optimization.steps = steps }
    var configuration = T5Configuration(preset: size) ?? T5Configuration()
    configuration.isGated = gated
    // A gate is a third matrix: at two thirds of the width all three are as large as the two were.
    if gated { configuration.feedForwardWidth = configuration.feedForwardWidth * 2 / 3 / 64 * 64 }
    var session = PretrainingSession(recipe: resolved, configuration: configuration)
    session.initialURL = initial.map { URL(fileURLWithPath: $0) }
    session.seed = seed
    session.resumes = resume
    session.backend = try device.backend()
    session.logger = Console.logger
    let display = ProgressDisplay()
    let log = RunLog(folder: URL(fileURLWithPath: out), goesOn: resume) {
      Console.error("warning: \($0)")
    }
    session.report = { progress in
      display.show(progress)
      log.record(progress)
    }
    Interruption.listen()
    session.shouldStop = { Interruption.isRequested }
    let text = try PretrainingText(
      contentsOf: text.map { URL(fileURLWithPath: $0) },
      excludingSources: Set(resolved.excludedSources))
    if text.unansweredQuestionCount > 0 {
      Console.error(
        "left out \(counted(text.unansweredQuestionCount, "question")) without a passage")
    }
    do {
      _ = try session.run(text, to: URL(fileURLWithPath: out))
    } catch is CancellationError {
      log.end()
      throw CancellationError()
    }
    log.end()
    Console.error("the model is in \(out)")
  }
}

import ArgumentParser
import GLENPlatform
import GLENTensor
import GLENTraining

struct Ablate: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "ablate",
    abstract: "Train a recipe without each of its parts, and print what each is worth.",
    discussion: """
      The rows are those of the paper's Tables 5, 6 and 8: full, no-keywords, no-annealing,
      tokens-fed-back, no-pairwise, no-pointwise, random-negatives, no-refinement,
      shuffled-collisions. Each is trained with every seed, indexed, and evaluated on the test splits;
      the table has R@1, R@10 and MRR@100 as means with 95 % confidence intervals (Student's t over the
      seeds), and is left in OUT as ablations.md and ablations.json, too. What is in OUT is not done
      again: the same command goes on where it was stopped (Ctrl-C), and more seeds or rows add to what
      is there.
      """)

  enum Format: String, ExpressibleByArgument { case text, markdown, json }

  @OptionGroup var data: DatasetOptions
  @OptionGroup var training: TrainingOptions
  @Option(help: "The folder for the runs and the tables.") var out: String
  @Option(help: "How many seeds: 1, 2 and so on.") var seeds = 3
  @Option(parsing: .upToNextOption, help: "Only these rows.") var only: [String] = []
  @Option(parsing: .upToNextOption, help: "The splits; without it all but train and dev.")
  var splits: [String] = []
  @Option(help: "How the table is printed: text, markdown or json.") var table = Format.text

  func validate() throws {
    if out.isEmpty { throw ValidationError("--out must name a folder") }
    if !(1...1000).contains(seeds) { throw ValidationError("--seeds must be 1 to 1000") }
    for name in names where Ablation(rawValue: name) == nil {
      let known = Ablation.allCases.map(\.rawValue).joined(separator: ", ")
      throw ValidationError("no ablation is called \(name); known: \(known)")
    }
  }

  /// The names of `--only`, with commas or spaces between.
  private var names: [String] {
    only.flatMap { $0.split(separator: ",") }.map { String($0) }
  }

  func run() throws {
    var study = AblationStudy(try training.session(data, out: out))
    if !names.isEmpty { study.ablations = Ablation.allCases.filter { names.contains($0.rawValue) } }
    study.seeds = (1...UInt64(seeds)).map { $0 }
    var named: Set<String> = []
    if !splits.isEmpty { study.splits = splits.filter { named.insert($0).inserted } }
    let display = ProgressDisplay()
    study.prepare = { session, run, folder in
      Console.error("\(run): training")
      let log = RunLog(folder: folder, goesOn: session.resumes) { Console.error("warning: \($0)") }
      session.report = { progress in
        display.show(progress)
        log.record(progress)
      }
    }
    study.evaluates = { Console.error("\($0): evaluating") }
    let dataset = try data.dataset(splits: ["train", "dev"] + splits)
    let folder = URL(fileURLWithPath: out)
    let result = try study.run(dataset, in: folder)
    let json = try result.jsonData()
    try AtomicFile.write(json, to: folder.appendingPathComponent("ablations.json"))
    try AtomicFile.write(
      Data(result.markdown.utf8), to: folder.appendingPathComponent("ablations.md"))
    switch table {
    case .text: Console.output(result.text)
    case .markdown: Console.output(result.markdown)
    case .json: Console.output(String(decoding: json, as: UTF8.self))
    }
  }
}

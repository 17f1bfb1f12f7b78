import ArgumentParser
import GLENModel
import GLENPlatform
import GLENStarter
import GLENTraining

/// What `glen train` and `glen ablate` have in common: the recipe, and what a model begins from.
struct TrainingOptions: ParsableArguments {
  @Option(
    name: .customLong("init"), help: "A T5 folder to begin from as it is, with its vocabulary.")
  var initial: String?
  @Option(help: "A folder of glen pretrain or train to begin from instead of the starter in glen.")
  var starter: String?
  @Flag(help: "Begin from random weights.") var fromScratch = false
  @Option(
    help: """
      The size of a model from random weights: micro, tiny, mini, small or base; it implies \
      --from-scratch, whose own size is tiny.
      """)
  var size: String?
  @Option(help: "A SentencePiece model to use.") var tokenizer: String?
  @Option(help: "A file of generated queries for phase 1; may be given several times.")
  var generatedQueries: [String] = []
  @Option(help: "The tokens of an identifier.") var identifierLength: Int?
  @Option(help: "A JSON file whose keys replace the recipe's.") var recipe: String?
  @Option(
    help: """
      The recipe to begin from: paper or small. (default: small; of glen train --phase refine that of the \
      model in --out)
      """)
  var preset: String?
  @Option(help: "A value of the recipe, as in keywords.optimization.steps=4000; may be repeated.")
  var set: [String] = []
  @Option(help: "Where tokenised corpora are kept for other runs; without it in OUT/cache.")
  var cache: String?
  @Option(help: "cpu or cuda.") var device = Device.cpu

  func validate() throws {
    let starts = [
      (initial != nil, "--init"), (starter != nil, "--starter"),
      (fromScratch || size != nil, fromScratch ? "--from-scratch" : "--size"),
    ].filter(\.0).map(\.1)
    if starts.count > 1 {
      throw ValidationError("give one of \(starts.joined(separator: ", "))")
    }
    if let size, T5Configuration(preset: size) == nil {
      throw ValidationError(
        "no size is called \(size); known: \(T5Configuration.presets.joined(separator: ", "))")
    }
    if let identifierLength, !(1...64).contains(identifierLength) {
      throw ValidationError("--identifier-length must be 1 to 64")
    }
    if let preset, Recipe.preset(preset) == nil {
      throw ValidationError("no recipe is called \(preset); known: paper, small")
    }
  }

  /// The preset, the file over it, then the single values.
  ///
  /// - Parameter folder: a model whose own recipe stands for the preset where none is named.
  func resolvedRecipe(of folder: URL? = nil) throws -> Recipe {
    var resolved = preset.flatMap(Recipe.preset) ?? .small
    let own = folder?.appendingPathComponent("recipe.json")
    if preset == nil, let own, FileManager.default.fileExists(atPath: own.path) {
      do {
        resolved = try Recipe(contentsOf: own, over: .small)
      } catch {
        Console.error("warning: phase 2 does not go by the model's own recipe: \(error)")
      }
    }
    if let recipe {
      resolved = try Recipe(contentsOf: URL(fileURLWithPath: recipe), over: resolved)
    }
    if let identifierLength { resolved.identifierLength = identifierLength }
    do {
      try resolved.set(set)
    } catch {
      throw ValidationError("--set \(error)")
    }
    return resolved
  }

  /// A training as these options and those of the corpus say, before it knows its seed.
  ///
  /// - Parameters:
  ///   - start: what the network begins from where no option says it; the bundled starter for nil.
  ///   - out: the folder that holds the cache where --cache names none.
  func session(
    _ data: DatasetOptions, start: TrainingSession.Start? = nil, out: String
  ) throws -> TrainingSession {
    let own: TrainingSession.Start =
      if let initial {
        .folder(URL(fileURLWithPath: initial))
      } else if let starter {
        .starter(try Starter(folder: URL(fileURLWithPath: starter), warn: Console.error))
      } else if fromScratch || size != nil {
        .random(T5Configuration(preset: size ?? "tiny") ?? T5Configuration())
      } else {
        try start ?? .starter(.bundled())
      }
    let goesOn: URL? = if case .folder(let folder)? = start, initial == nil { folder } else { nil }
    var session = TrainingSession(
      recipe: try resolvedRecipe(of: starter == nil ? goesOn : nil), start: own)
    session.tokenizerURL = tokenizer.map { URL(fileURLWithPath: $0) }
    session.generatedQueryURLs = generatedQueries.map { URL(fileURLWithPath: $0) }
    session.malformedLineLimit = data.malformedLimit
    session.skipsUnknownDocuments = data.skipUnknown
    session.cacheFolder = URL(fileURLWithPath: cache ?? out + "/cache")
    session.backend = try device.backend()
    session.logger = Console.logger
    Interruption.listen()
    session.shouldStop = { Interruption.isRequested }
    return session
  }
}

import Foundation
import Testing

@testable import GLENTraining

struct RecipeTests {
  private static func read(_ json: String, over base: Recipe = .small) throws -> Recipe {
    let folder = try TemporaryFolder(["recipe.json": json])
    return try Recipe(
      contentsOf: folder.url.appendingPathComponent("recipe.json"), over: base)
  }

  private static func refusal(_ json: String) throws -> String {
    let error = #expect(throws: TrainingError.self) { try read(json) }
    guard case .recipe(let path, let reason)? = error else {
      Issue.record("unexpected error: \(String(describing: error))")
      return ""
    }
    #expect(path.hasSuffix("/recipe.json"))
    return reason
  }

  @Test(arguments: [Recipe.small, .paper])
  func whatIsWrittenReadsBackOverAnyOther(recipe: Recipe) throws {
    let text = String(decoding: try JSONEncoder().encode(recipe), as: UTF8.self)
    for base in [Recipe.small, .paper] where (recipe == .small) == (base == .small) {
      #expect(try Self.read(text, over: base) == recipe)
    }
    #expect(try Self.read("{}", over: recipe) == recipe)
  }

  @Test func keysReplaceThoseOfTheBase() throws {
    var expected = Recipe.small
    expected.identifierLength = 5
    expected.keywords.targetsEnd = true
    expected.keywords.optimization.steps = 7
    expected.keywords.optimization.schedule = .constant
    expected.refinement.pointwiseWeight = 0.25
    #expect(
      try Self.read(
        """
        {"identifierLength": 5, "refinement": {"pointwiseWeight": 0.25},
         "keywords": {"targetsEnd": true, "optimization": {"steps": 7, "schedule": "constant"}}}
        """) == expected)
  }

  @Test func dropoutMayBeTheModelsOwn() throws {
    let dropout = { (value: String) in
      try Self.read("{\"keywords\": {\"optimization\": {\"dropout\": \(value)}}}")
        .keywords.optimization.dropout
    }
    #expect(Recipe.small.keywords.optimization.dropout == 0)
    #expect(try dropout("null") == nil)
    #expect(try dropout("0.25") == 0.25)
    // Where the base has none, too.
    let paper = try Self.read(
      "{\"refinement\": {\"optimization\": {\"dropout\": 0.5}}}", over: .paper)
    #expect(Recipe.paper.refinement.optimization.dropout == nil)
    #expect(paper.refinement.optimization.dropout == 0.5)
  }

  @Test(arguments: [
    ("{\"identifierLenght\": 3}", "identifierLenght"), ("{\"dropout\": 0.1}", "dropout"),
    ("{\"keywords\": {\"steps\": 3}}", "keywords.steps"),
    ("{\"keywords\": {\"dropout\": 0.1}}", "keywords.dropout"),
    ("{\"refinement\": {\"optimization\": {\"lr\": 3}}}", "refinement.optimization.lr"),
  ])
  func namesAnUnknownKey(json: String, key: String) throws {
    let reason = try Self.refusal(json)
    #expect(reason.hasPrefix("unknown key \(key);"), "\(reason)")
    #expect(reason.contains("known: "))
  }

  @Test(arguments: [
    ("{\"identifierLength\": \"3\"}", "identifierLength"),
    ("{\"identifierLength\": null}", "identifierLength"),
    ("{\"identifierLength\": 2.5}", "identifierLength"),
    ("{\"feedsTokens\": 1}", "feedsTokens"), ("{\"keywords\": 3}", "keywords"),
    ("{\"keywords\": {\"optimization\": {\"steps\": true}}}", "keywords.optimization.steps"),
    ("{\"keywords\": {\"optimization\": {\"dropout\": [0.1]}}}", "dropout"),
    ("{\"keywords\": {\"optimization\": {\"dropout\": {}}}}", "keywords.optimization.dropout"),
    ("{\"keywords\": {\"optimization\": {\"schedule\": \"cosine\"}}}", "schedule"),
    ("{\"keywords\": {\"optimization\": {\"bestBy\": \"AP\"}}}", "bestBy"),
  ])
  func namesAKeyOfAnotherType(json: String, key: String) throws {
    let reason = try Self.refusal(json)
    #expect(reason.contains(key), "\(reason)")
  }

  @Test(arguments: ["", "[]", "3", "null", "{\"identifierLength\": 3", "{,}"])
  func rejectsWhatIsNoObject(json: String) throws {
    #expect(try !Self.refusal(json).isEmpty)
  }

  @Test func aMissingFileIsMissing() throws {
    let folder = try TemporaryFolder()
    let url = folder.url.appendingPathComponent("none.json")
    #expect(throws: TrainingError.fileNotFound(path: url.path, expected: "a recipe in JSON")) {
      try Recipe(contentsOf: url, over: .small)
    }
  }

  @Test(arguments: [
    "{\"identifierLength\": 0}", "{\"identifierLength\": 65}", "{\"maximumQueryLength\": 1}",
    "{\"maximumDocumentLength\": 65537}", "{\"vocabularySize\": 15}",
    "{\"keywords\": {\"queryWeight\": -1}}",
    "{\"keywords\": {\"queryWeight\": 0, \"documentWeight\": 0, \"chunkWeight\": 0, \"generatedWeight\": 0}}",
    "{\"keywords\": {\"chunkLength\": 1}}", "{\"keywords\": {\"chunkLength\": -9}}",
    "{\"keywords\": {\"tokenDropRate\": 1}}", "{\"keywords\": {\"tokenDropRate\": -0.1}}",
    "{\"refinement\": {\"negatives\": -1}}", "{\"refinement\": {\"negatives\": 4097}}",
    "{\"refinement\": {\"lowestTemperature\": 0}}", "{\"refinement\": {\"documentLength\": -1}}",
    "{\"refinement\": {\"tokenDropRate\": 1}}",
    // As large as a number can be: no sum of such weights, no array of such length.
    "{\"keywords\": {\"queryWeight\": 4611686018427387904, \"chunkWeight\": 4611686018427387904}}",
    "{\"keywords\": {\"documentWeight\": 1e12}}", "{\"refinement\": {\"chunkWeight\": 1e12}}",
    "{\"refinement\": {\"queryWeight\": 0, \"chunkWeight\": 0}}",
    "{\"refinement\": {\"queryChunkSize\": -1}}", "{\"refinement\": {\"documentChunkSize\": -1}}",
    "{\"keywords\": {\"contrast\": {\"weight\": -0.1}}}",
    "{\"keywords\": {\"contrast\": {\"shortestSpan\": -1}}}",
    "{\"keywords\": {\"contrast\": {\"paddingShare\": 1.1}}}",
    "{\"keywords\": {\"contrast\": {\"paddingRate\": -0.1}}}",
    "{\"refinement\": {\"pointwiseWeight\": -0.5}}", "{\"refinement\": {\"distanceWeight\": -1}}",
    "{\"refinement\": {\"lowestTemperature\": 1e-40}}",
    "{\"refinement\": {\"documentLength\": 4097}}",
    "{\"keywords\": {\"chunkLength\": 4097}}", "{\"validationDocuments\": -1}",
    "{\"keywords\": {\"optimization\": {\"steps\": 4611686018427387904}}}",
    "{\"keywords\": {\"shortestChunkLength\": 1}}", "{\"keywords\": {\"shortestChunkLength\": 65}}",
  ])
  func rejectsValuesOutOfRange(json: String) throws {
    #expect(try !Self.refusal(json).isEmpty)
  }

  @Test(arguments: [
    "\"steps\": -1", "\"batchSize\": 0", "\"batchSize\": 1048577", "\"accumulation\": 0",
    "\"learningRate\": 0", "\"learningRate\": 1", "\"decoderLearningRate\": -0.1",
    "\"warmupSteps\": -1", "\"weightDecay\": -0.1", "\"clippingNorm\": -1", "\"dropout\": 1",
    "\"dropout\": -0.1", "\"checkpointInterval\": -1", "\"validationInterval\": -1",
    "\"patience\": -1", "\"patience\": 1, \"validationInterval\": 0",
  ])
  func rejectsOptimizationsOutOfRange(pair: String) throws {
    for phase in ["keywords", "refinement"] {
      let reason = try Self.refusal("{\"\(phase)\": {\"optimization\": {\(pair)}}}")
      #expect(reason.hasPrefix(phase), "\(reason)")
    }
  }

  @Test func thePresetsAreValidAndKnownByName() throws {
    for name in ["small", "paper"] { try #require(Recipe.preset(name)).validate() }
    #expect(Recipe.preset("large") == nil)
  }

  @Test func assignmentsChangeOneValue() throws {
    var recipe = Recipe.small
    try recipe.set(["keywords.optimization.steps=4000"])
    try recipe.set(["identifierLength=7"])
    try recipe.set(["refinement.optimization.schedule=constant"])
    try recipe.set(["refinement.anneals=false"])
    try recipe.set(["refinement.optimization.bestBy=R@1"])
    try recipe.set(["queries.dropout=null"])
    var expected = Recipe.small
    expected.keywords.optimization.steps = 4000
    expected.identifierLength = 7
    expected.refinement.optimization.schedule = .constant
    expected.refinement.anneals = false
    expected.refinement.optimization.bestBy = .recall
    expected.queries.dropout = nil
    #expect(recipe == expected)
  }

  /// Values that go together may come in any order, and none stays where one is wrong.
  @Test func assignmentsAreCheckedTogether() throws {
    var recipe = Recipe.small
    try recipe.set(["keywords.shortestChunkLength=60", "keywords.chunkLength=70"])
    #expect(recipe.keywords.chunkLengths == 60...70)
    let before = recipe
    let error = #expect(throws: TrainingError.self) {
      try recipe.set(["keywords.chunkLength=80", "identifierLength=0"])
    }
    #expect(
      error?.description.hasPrefix("keywords.chunkLength=80 identifierLength=0: identifierLength")
        == true)
    #expect(recipe == before)
  }

  @Test func generatedQueriesAloneAreEnough() throws {
    let recipe = try Self.read(
      """
      {"keywords": {"queryWeight": 0, "documentWeight": 0, "chunkWeight": 0, "generatedWeight": 2}}
      """, over: .small)
    #expect(recipe.keywords.generatedWeight == 2)
  }

  @Test func whatMayChangeIsNotWhatMustStay() throws {
    var other = Recipe.small
    other.keywords.optimization.steps = 9
    other.refinement.optimization.learningRate = 0.5
    other.queries.patience = 3
    other.refinement.documentChunkSize = 7
    other.recomputesBlocks = true
    #expect(other.unchangeable == Recipe.small.unchangeable)
    for assignment in [
      "keywords.optimization.batchSize=9", "keywords.optimization.accumulation=2",
      "refinement.optimization.bestBy=R@1", "refinement.optimization.dropout=0.1",
      "keywords.chunkWeight=1", "validationDocuments=5",
    ] {
      var other = Recipe.small
      try other.set([assignment])
      #expect(other.unchangeable != Recipe.small.unchangeable, "\(assignment)")
    }
    let differences = Recipe.differences(
      from: try TrainingSession.json(Recipe.small), to: try TrainingSession.json(other))
    #expect(
      differences == [
        "keywords.optimization.steps is 9 and was 2500", "queries.patience is 3 and was 0",
        "recomputesBlocks is true and was false", "refinement.documentChunkSize is 7 and was 0",
        "refinement.optimization.learningRate is 0.5 and was 0.0001",
      ])
  }

  @Test func namesWhatAValueMayBe() throws {
    #expect(
      try Self.refusal("{\"queries\": {\"schedule\": \"cosine\"}}")
        == "queries.schedule: expected one of linear, squareRoot, constant")
    #expect(
      try Self.refusal("{\"keywords\": {\"optimization\": {\"bestBy\": \"R@10\"}}}")
        == "keywords.optimization.bestBy: expected one of MRR@10, R@1")
    #expect(
      try Self.refusal("{\"queries\": {\"dropuot\": 0}}").contains("dropout, largestGradientNorm"))
    #expect(try Self.refusal("{\"preset\": 5}").contains("known: paper, small"))
  }

  @Test(arguments: [
    ("keywords={\"queryWeight\": 1, \"queryWeight\": 3}", "names a key twice"),
    ("keywords.optimization.dropout=1e999", "dropout"),
    ("about=x", "is no value"), ("preset=paper", "--preset"),
    ("keywords.optimization.steps=1e30", "never as large"),
    ("steps", "is no assignment"), ("=3", "is no assignment"), ("step=3", "unknown key step;"),
    ("keywords.steps=3", "unknown key keywords.steps;"), ("keywords=3", "keywords"),
    ("identifierLength=many", "identifierLength"), ("identifierLength=0", "must be 1 to 64"),
    ("identifierLength=", "identifierLength"), ("keywords..steps=1", "keywords."),
  ])
  func anAssignmentThatIsWrongNamesItself(text: String, reason: String) {
    var recipe = Recipe.small
    let error = #expect(throws: TrainingError.self) { try recipe.set([text]) }
    #expect(error?.description.hasPrefix(text + ": ") == true)
    #expect(error?.description.contains(reason) == true, "\(error?.description ?? "")")
    #expect(recipe == .small)
  }

  /// What is saved with a model is its recipe, whatever it is laid over.
  @Test(arguments: [Recipe.paper, .small], [Recipe.paper, .small])
  func whatIsWrittenIsTheSameRecipe(recipe: Recipe, base: Recipe) throws {
    let folder = try TemporaryFolder()
    let url = folder.url.appendingPathComponent("recipe.json")
    try JSONEncoder().encode(recipe).write(to: url)
    #expect(try Recipe(contentsOf: url, over: base) == recipe)
  }

  @Test(arguments: [
    "{\"identifierLength\": 3, \"identifierLength\": 4}",
    "{\"keywords\": {\"chunkLength\": 9}, \"keywords\": {\"chunkWeight\": 2}}",
    "{\"keywords\": {\"chunkWeight\": 9, \"chunkWeight\": 2}}",
  ])
  func aKeyThatIsThereTwiceIsRefused(text: String) throws {
    #expect(try Self.refusal(text).contains("names a key twice"))
  }

  @Test func aFileThatCannotBeReadIsThere() throws {
    let folder = try TemporaryFolder()
    let error = #expect(throws: TrainingError.self) {
      try Recipe(contentsOf: folder.url, over: .small)
    }
    #expect(error?.description.contains("cannot be read") == true)
  }

  @Test func aFileMayNameItsPreset() throws {
    let recipe = try Self.read(
      "{\"about\": \"x\", \"preset\": \"paper\", \"identifierLength\": 7}", over: .small)
    var expected = Recipe.paper
    expected.identifierLength = 7
    #expect(recipe == expected)
    #expect(try Self.refusal("{\"preset\": \"large\"}").contains("no preset is called large"))
  }

  /// Every file in Recipes is one, and the paper's have the paper's values.
  @Test func theRecipesOfTheRepositoryAreValid() throws {
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    let folder = root.appendingPathComponent("Recipes")
    let names = try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
      .filter { $0.hasSuffix(".json") }
    #expect(names.count == 7)
    let starter = try PretrainingRecipe(
      contentsOf: folder.appendingPathComponent("pretraining/starter.json"))
    #expect(starter.optimization.steps == 12_000 && starter.excludedSources == ["perseus-latin"])
    var recipes: [String: Recipe] = [:]
    for name in names {
      recipes[name] = try Recipe(contentsOf: folder.appendingPathComponent(name), over: .small)
    }
    #expect(recipes["nq320k.json"] == .paper)
    let marco = try #require(recipes["msmarco.json"])
    #expect(marco.identifierLength == 7)
    let optimization = marco.keywords.optimization
    #expect((optimization.batchSize, optimization.accumulation) == (128, 8))
    #expect(marco.refinement == Recipe.paper.refinement)
  }

  /// The numbers of the paper's NQ320k runs.
  @Test func thePaperIsThePapers() {
    let recipe = Recipe.paper
    #expect(recipe.identifierLength == 3)
    #expect(recipe.maximumQueryLength == 32)
    #expect(recipe.maximumDocumentLength == 156)
    #expect(!recipe.feedsTokens)
    let keywords = recipe.keywords.optimization
    #expect((keywords.batchSize, keywords.accumulation) == (32, 8))
    #expect((keywords.steps, keywords.warmupSteps) == (3_000_000, 0))
    #expect((keywords.learningRate, keywords.decoderLearningRate) == (2e-4, 1e-4))
    #expect((keywords.weightDecay, keywords.schedule) == (1e-4, .linear))
    #expect(recipe.keywords.targetsEnd)
    let contrast = recipe.keywords.contrast
    #expect((contrast.weight, contrast.shortestSpan) == (0.15, 100))
    #expect((contrast.paddingShare, contrast.paddingRate) == (0.5, 0.1))
    #expect(Recipe.small.keywords.contrast.weight == 0)
    #expect(recipe.keywords.chunkLength == 64)
    #expect(recipe.keywords.chunkLengths == 64...64)
    #expect(!recipe.beginsCopying)
    #expect((recipe.refinement.queryWeight, recipe.refinement.chunkWeight) == (1, 0))
    let refinement = recipe.refinement.optimization
    #expect((refinement.batchSize, refinement.steps) == (128, 30_000))
    #expect((refinement.learningRate, refinement.decoderLearningRate) == (5e-5, 5e-5))
    #expect(refinement.schedule == .linear)
    #expect(recipe.refinement.negatives == 8)
    #expect((recipe.refinement.queryChunkSize, recipe.refinement.documentChunkSize) == (128, 64))
    #expect((recipe.refinement.pointwiseWeight, recipe.refinement.distanceWeight) == (0.5, 0.5))
    #expect(recipe.refinement.lowestTemperature == 1e-5)
    #expect(recipe.refinement.anneals)
    #expect(recipe.refinement.usesPrefixNegatives)
    #expect(recipe.refinement.hasPairwise)
    // Dropout is the model's own, 0.1 in every T5.
    #expect(keywords.dropout == nil)
    #expect(refinement.dropout == nil)
  }
}

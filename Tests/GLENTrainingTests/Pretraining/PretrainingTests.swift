import Foundation
import GLENIndex
import GLENModel
import GLENTensor
import GLENText
import Testing

@testable import GLENTraining

@Suite("Pre-training", .serialized) struct PretrainingTests {
  private let folder: TemporaryFolder

  init() throws {
    var lines = ToyCorpus.files["corpus.jsonl"] ?? ""
    lines = lines.replacingOccurrences(of: " and ", with: ". And ")
    folder = try TemporaryFolder([
      "passages.jsonl": lines,
      "questions.jsonl": """
      {"_id": "q1", "text": "what is it", "passage": "d3"}
      {"_id": "q2", "text": "who was there", "passage": "somebody who is not in the corpus"}
      {"_id": "q3", "text": "nobody knows", "answer": "42"}
      {"_id": "q4", "text": "where has it gone", "passage": "d999"}

      """,
    ])
  }

  private func text() throws -> PretrainingText {
    try PretrainingText(
      contentsOf: ["passages.jsonl", "questions.jsonl"].map(folder.url.appendingPathComponent))
  }

  private static func session(steps: Int) -> PretrainingSession {
    var recipe = PretrainingRecipe()
    recipe.vocabularySize = 120
    recipe.optimization.steps = steps
    recipe.optimization.warmupSteps = 2
    recipe.optimization.checkpointInterval = 0
    (recipe.optimization.learningRate, recipe.optimization.decoderLearningRate) = (5e-3, 5e-3)
    (recipe.optimization.batchSize, recipe.halvesBatchSize, recipe.spansBatchSize) = (12, 6, 6)
    return PretrainingSession(recipe: recipe, configuration: ToyCorpus.configuration())
  }

  @Test func questionsFindWhatAnswersThem() throws {
    let text = try text()
    #expect(text.passages.count == ToyCorpus.documentCount)
    #expect(text.questions.count == 2)
    #expect(text.questions[0].answer == text.passages[3].fullText)
    #expect(text.questions[1].answer == "somebody who is not in the corpus")
    #expect(text.unansweredQuestionCount == 2)
  }

  @Test func sourcesCanBeLeftOut() throws {
    let folder = try TemporaryFolder([
      "text.jsonl": """
      {"_id": "p1", "text": "Bees dance.", "source": "book"}
      {"_id": "p2", "text": "Wasps do not.", "source": "letters"}
      {"_id": "q1", "text": "Who dances?", "passage": "p1", "source": "quiz"}
      {"_id": "q2", "text": "Who does not?", "passage": "p2", "source": "quiz"}

      """
    ])
    let url = folder.url.appendingPathComponent("text.jsonl")
    let text = try PretrainingText(contentsOf: [url], excludingSources: ["letters", "unknown"])
    #expect(text.passages.map(\.id) == ["p1"])
    #expect(text.questions.map(\.question) == ["Who dances?"])
    #expect(text.unansweredQuestionCount == 1)
    #expect(try PretrainingText(contentsOf: [url]).passages.count == 2)
  }

  @Test func textWithoutPassagesIsAnError() throws {
    #expect(throws: TrainingError.self) {
      try PretrainingText(contentsOf: [folder.url.appendingPathComponent("questions.jsonl")])
    }
    #expect(throws: TrainingError.self) {
      try PretrainingText(contentsOf: [folder.url.appendingPathComponent("nothing.jsonl")])
    }
    let passages = folder.url.appendingPathComponent("passages.jsonl")
    #expect(throws: TrainingError.self) { try PretrainingText(contentsOf: [passages, passages]) }
  }

  @Test func everyTaskIsLearned() throws {
    let output = try TemporaryFolder()
    var losses: [String: [Float]] = [:]
    var session = Self.session(steps: 160)
    session.report = { losses[$0.losses[1].name, default: []].append($0.losses[1].value) }
    let model = try session.run(text(), to: output.url)
    #expect(losses.keys.sorted() == ["halves", "keywords", "spans"])
    for (name, values) in losses {
      let (early, late) = (values.prefix(8), values.suffix(8))
      #expect(late.reduce(0, +) < 0.9 * early.reduce(0, +), "\(name): \(early) to \(late)")
    }
    // The table has rows for T5's hundred sentinels.
    let rows = model.generator.model.configuration.vocabularySize
    #expect(rows >= model.tokenizer.pieceCount + 100)
    #expect(model.tokenizer.sentinelCount == 100)
    #expect(
      try FileManager.default.contentsOfDirectory(atPath: output.url.path).sorted() == [
        "config.json", "glen.json", "model.safetensors", "recipe.json", "spiece.model",
      ])
  }

  /// Text without questions, from which a recipe's weights for them take nothing away.
  @Test func questionsThatAreNotThereAreNotDrawn() throws {
    let text = try PretrainingText(
      contentsOf: [folder.url.appendingPathComponent("passages.jsonl")])
    var session = Self.session(steps: 6)
    session.recipe.weights.keywords = 0
    session.recipe.weights.cloze = 0
    var names: Set<String> = []
    session.report = { names.insert($0.losses[1].name) }
    _ = try session.run(text, to: TemporaryFolder().url)
    #expect(!names.isEmpty && names.isSubset(of: ["halves", "spans"]))
    session.recipe.weights.halves = 0
    session.recipe.weights.spans = 0
    let error = #expect(throws: TrainingError.self) {
      try session.run(text, to: TemporaryFolder().url)
    }
    #expect(error?.description.contains("nothing but questions") == true)
  }

  @Test func aResumedRunIsTheUninterruptedOne() throws {
    let (whole, parts) = (try TemporaryFolder(), try TemporaryFolder())
    let text = try text()
    _ = try Self.session(steps: 12).run(text, to: whole.url)
    var session = Self.session(steps: 12)
    var done = 0
    session.report = { done = $0.step }
    session.shouldStop = { done == 5 }
    #expect(throws: CancellationError.self) { try session.run(text, to: parts.url) }
    // What was learned so far is there to be used.
    _ = try ModelFolder(opening: parts.url)
    session.shouldStop = { false }
    session.resumes = true
    _ = try session.run(text, to: parts.url)
    let weights = try [whole, parts].map {
      try Data(contentsOf: $0.url.appendingPathComponent("model.safetensors"))
    }
    #expect(weights[0] == weights[1])
  }

  /// Minutes of work do not take the place of hours.
  @Test func anInterruptedRunLeavesAFinishedModel() throws {
    let output = try TemporaryFolder()
    func weights() throws -> Data {
      try Data(contentsOf: output.url.appendingPathComponent("model.safetensors"))
    }
    _ = try Self.session(steps: 4).run(text(), to: output.url)
    let finished = try weights()
    var session = Self.session(steps: 12)
    session.seed = 2
    var (done, stop) = (0, 3)
    session.report = { done = $0.step }
    session.shouldStop = { done == stop }
    #expect(throws: CancellationError.self) { try session.run(text(), to: output.url) }
    #expect(try weights() == finished)
    (session.resumes, stop) = (true, 6)
    #expect(throws: CancellationError.self) { try session.run(text(), to: output.url) }
    #expect(try weights() == finished)
    stop = .max
    _ = try session.run(text(), to: output.url)
    #expect(try weights() != finished)

    // What an interrupted run saved is replaced by the next interrupted one.
    let other = try TemporaryFolder()
    (session.resumes, done, stop) = (false, 0, 3)
    #expect(throws: CancellationError.self) { try session.run(text(), to: other.url) }
    #expect(!TrainingSession.hasFinishedModel(in: other.url))
    let early = try Data(contentsOf: other.url.appendingPathComponent("model.safetensors"))
    (session.resumes, stop) = (true, 6)
    #expect(throws: CancellationError.self) { try session.run(text(), to: other.url) }
    #expect(
      try Data(contentsOf: other.url.appendingPathComponent("model.safetensors")) != early)
  }

  /// The vocabulary of `glen train` may fill its table to the last row.
  @Test func spansNeedSentinels() throws {
    let (start, output) = (try TemporaryFolder(), try TemporaryFolder())
    let folder = try TemporaryFolder(ToyCorpus.files)
    var training = TrainingSession(
      recipe: ToyCorpus.recipe, start: .random(ToyCorpus.configuration()))
    training.recipe.vocabularySize = 112
    training.phases = [.keywords]
    _ = try training.run(RetrievalDataset(contentsOf: folder.url), to: start.url)
    var session = Self.session(steps: 3)
    session.initialURL = start.url
    let error = #expect(throws: TrainingError.self) { try session.run(text(), to: output.url) }
    #expect(error?.description.contains("weights.spans") == true)
    session.recipe.weights.spans = 0
    _ = try session.run(text(), to: output.url)
  }

  /// Of a vocabulary with capitals windows have the keywords of lower-cased text, as documents do.
  @Test func windowsOfCasedTextHaveLowerCasedKeywords() throws {
    struct CasedWords: Tokenizer {
      let words = ["The", "the", "Bees", "bees", "dance", "Dance", "wasps"]
      var vocabularySize: Int { words.count + 3 }
      func encode(_ text: String) -> [Int32] {
        text.split(separator: " ").map { word in
          words.firstIndex(of: String(word)).map { Int32($0) + 3 } ?? 2
        }
      }
      func decode(_ tokens: [Int32]) -> String { tokens.map(piece).joined(separator: " ") }
      func piece(_ token: Int32) -> String { isSpecial(token) ? "" : words[Int(token) - 3] }
      func isSpecial(_ token: Int32) -> Bool { token < 3 || token >= vocabularySize }
    }
    let url = folder.url.appendingPathComponent("cased.jsonl")
    let lines = ["The Bees dance", "The wasps dance", "the wasps", "Dance the wasps"].enumerated()
    let text = lines.map { "{\"_id\": \"\($0)\", \"text\": \"\($1)\"}\n" }.joined()
    try Data(text.utf8).write(to: url)
    let tokenizer = CasedWords()
    let corpus = try PretrainingCorpus(
      PretrainingText(contentsOf: [url]), tokenizer: tokenizer, recipe: PretrainingRecipe(),
      sentinels: [])
    let keywords = corpus.keywords(ofWindow: tokenizer.encode("The Bees dance"), count: 3)
    #expect(keywords == tokenizer.encode("bees dance the"))
  }

  @Test func sentencesEndBeforeASpace() throws {
    let sentences = PretrainingCorpus.sentences(of: "One. Two is it? 3.5 is a number! End")
    #expect(sentences == ["One.", " Two is it?", " 3.5 is a number!", " End"])
  }

  @Test func recipesAreChecked() throws {
    let url = folder.url.appendingPathComponent("recipe.json")
    func recipe(_ json: String) throws -> PretrainingRecipe {
      try Data(json.utf8).write(to: url)
      return try PretrainingRecipe(contentsOf: url)
    }
    #expect(try recipe(#"{"weights": {"spans": 0}}"#).weights.spans == 0)
    #expect(try recipe(#"{"optimization": {"steps": 7}}"#).optimization.steps == 7)
    for json in [
      #"{"wieghts": {}}"#, #"{"temperature": 0}"#, #"{"tokenDropRate": 1}"#, "[]",
      #"{"halvesBatchSize": 4611686018427387904}"#, #"{"spansBatchSize": 0}"#,
      #"{"weights": {"spans": 0, "halves": 0, "cloze": 0, "questions": 0, "keywords": 0}}"#,
    ] {
      #expect(throws: TrainingError.self, "\(json)") { try recipe(json) }
    }
  }
}

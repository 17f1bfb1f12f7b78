import Foundation
import GLENIndex
import GLENModel
import GLENTensor
import GLENText

@testable import GLENTraining

/// Thirty made-up documents of made-up words, with questions, in BEIR's layout.
enum ToyCorpus {
  static let documentCount = 30

  /// Made-up words: a consonant and a vowel, three times.
  private static func word(_ number: Int) -> String {
    let (consonants, vowels) = (Array("bdfgklmnprstvz"), Array("aeiou"))
    var rest = number * 7919 + 13
    return (0..<3).map { _ in
      let syllable = "\(consonants[rest % 14])\(vowels[rest / 14 % 5])"
      rest = rest / 70 + number * 31 + 7
      return syllable
    }.joined()
  }

  /// A document's own two words, and one that it shares with others.
  private static func words(_ document: Int) -> (String, String, String) {
    (word(document), word(100 + document), word(200 + document % 6))
  }

  /// The files of the folder by name.
  static let files: [String: String] = {
    var corpus = ""
    var queries = ""
    var (train, dev) = ("query-id\tcorpus-id\tscore\n", "query-id\tcorpus-id\tscore\n")
    for document in 0..<documentCount {
      let (first, second, shared) = words(document)
      corpus += """
        {"_id": "d\(document)", "title": "\(first)", "text": "the \(first) and the \(second) are \
        of the \(shared) and \(second) is near \(first)"}

        """
      queries += """
        {"_id": "a\(document)", "text": "what is \(first)"}
        {"_id": "b\(document)", "text": "where is the \(second) of \(shared)"}

        """
      train += "a\(document)\td\(document)\t1\nb\(document)\td\(document)\t1\n"
      if document % 3 == 0 {
        queries += "{\"_id\": \"c\(document)\", \"text\": \"\(second) near \(first)\"}\n"
        dev += "c\(document)\td\(document)\t1\n"
      }
    }
    return [
      "corpus.jsonl": corpus, "queries.jsonl": queries, "qrels/train.tsv": train,
      "qrels/dev.tsv": dev,
    ]
  }()

  /// Numbers with which everything takes a second.
  static var recipe: Recipe {
    var recipe = Recipe.small
    // Whatever the preset's mixture is.
    (recipe.refinement.queryWeight, recipe.refinement.chunkWeight) = (1, 0)
    (recipe.keywords.queryWeight, recipe.keywords.chunkWeight) = (1, 1)
    recipe.vocabularySize = 120
    recipe.maximumDocumentLength = 40
    recipe.keywords.tokenDropRate = 0.1
    recipe.keywords.optimization = optimization
    recipe.refinement.optimization = optimization
    recipe.refinement.optimization.batchSize = 6
    recipe.refinement.tokenDropRate = 0.1
    recipe.refinement.negatives = 3
    return recipe
  }

  private static var optimization: Recipe.Optimization {
    var optimization = Recipe.small.keywords.optimization
    (optimization.steps, optimization.batchSize, optimization.accumulation) = (8, 8, 2)
    (optimization.learningRate, optimization.decoderLearningRate) = (3e-3, 2e-3)
    (optimization.warmupSteps, optimization.dropout) = (2, 0.1)
    (optimization.checkpointInterval, optimization.validationInterval) = (0, 0)
    return optimization
  }

  /// A narrow network.
  static func configuration(vocabularySize: Int = 128) -> T5Configuration {
    var c = T5Configuration()
    c.vocabularySize = vocabularySize
    (c.width, c.headWidth, c.feedForwardWidth, c.heads) = (16, 8, 32, 2)
    (c.encoderLayers, c.decoderLayers) = (1, 1)
    return c
  }

  static func model(seed: UInt64 = 1) throws -> T5Model {
    try T5Model(random: configuration(), key: RandomKey(seed: seed))
  }

  /// The corpus in tokens, a token a word.
  static func corpus(_ recipe: Recipe = recipe) throws -> TrainingCorpus {
    let folder = try TemporaryFolder(files)
    return try TrainingCorpus(
      RetrievalDataset(contentsOf: folder.url), tokenizer: WordTokenizer(), recipe: recipe)
  }

  static func settings(_ recipe: Recipe = recipe) -> IdentifierSettings {
    IdentifierSettings(
      identifierLength: recipe.identifierLength,
      maskedTokens: [2] + (Int32(WordTokenizer.words.count) + 3..<128))
  }

  static func keywords(_ recipe: Recipe = recipe, key: UInt64 = 1) throws -> KeywordObjective {
    try KeywordObjective(corpus(recipe), recipe: recipe, key: RandomKey(seed: key))
  }

  static func refinement(_ recipe: Recipe = recipe, key: UInt64 = 1) throws -> RefinementObjective {
    let settings = settings(recipe)
    return try RefinementObjective(
      corpus(recipe), recipe: recipe, settings: settings,
      mask: settings.mask(vocabularySize: 128, on: CPUBackend.shared), key: RandomKey(seed: key))
  }
}

/// A token for every word of the toy corpus; any other is unknown.
struct WordTokenizer: Tokenizer {
  static let words: [String] = {
    let text = ToyCorpus.files.values.joined(separator: " ").lowercased()
    let letters = text.map { $0.isLetter && $0.isASCII ? $0 : " " }
    return Set(String(letters).split(separator: " ").map(String.init)).sorted()
  }()
  private static let tokens = Dictionary(
    uniqueKeysWithValues: words.enumerated().map { ($1, Int32($0) + 3) })

  var vocabularySize: Int { Self.words.count + 3 }

  func encode(_ text: String) -> [Int32] {
    text.lowercased().split(separator: " ").map { Self.tokens[String($0)] ?? 2 }
  }

  func decode(_ tokens: [Int32]) -> String { tokens.map(piece).joined(separator: " ") }

  func piece(_ token: Int32) -> String {
    Self.words.indices.contains(Int(token) - 3) ? Self.words[Int(token) - 3] : ""
  }

  func isSpecial(_ token: Int32) -> Bool { token < 3 || Int(token) >= vocabularySize }
}

/// All values of a model, by name and to the last bit.
func bits(of model: T5Model) throws -> [String: [UInt32]] {
  try Dictionary(
    uniqueKeysWithValues: model.parameters.map {
      ($0.name, try $0.tensor.values().map(\.bitPattern))
    })
}

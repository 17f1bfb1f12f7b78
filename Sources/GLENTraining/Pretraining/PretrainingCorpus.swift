import GLENIndex
import GLENText

/// Pre-training text in tokens, with what every task needs to know of it.
public struct PretrainingCorpus: Sendable {
  /// A passage: the tokens of its sentences, without an end token, and its best keywords.
  struct Passage: Sendable {
    var sentences: [[Int32]]
    var keywords: [Int32]
    var tokens: [Int32] { Array(sentences.joined()) }
  }

  /// How many of a passage's keywords are kept: taking a sentence out must leave enough.
  static let keywordCount = 16

  private let extractor: KeywordExtractor
  /// Set where the vocabulary tells capitals from small letters: keywords are pieces of lower-cased text, and
  /// a capital one, which no count has seen, would outweigh them.
  private let casedTokenizer: (any Tokenizer)?
  let passages: [Passage]
  /// Each question's tokens with the end token, and the keywords of what answers it.
  let questions: [(tokens: [Int32], keywords: [Int32])]
  /// Rows of the table that stand for what is left out, from the first on.
  let sentinels: [Int32]

  /// Tokenises text and ranks keywords, which are BM25's over the passages.
  ///
  /// - Parameters:
  ///   - sentinelCount: the rows that the table has above the vocabulary for sentinels.
  /// - Throws: `TrainingError.trainingData` if no passage has two tokens.
  public init(
    _ text: PretrainingText, tokenizer: some Tokenizer, recipe: PretrainingRecipe,
    sentinels: [Int32]
  ) throws(TrainingError) {
    self.sentinels = sentinels
    let pieces = text.passages.map {
      KeywordExtractor.pieces(title: $0.title, text: $0.text, tokenizer: tokenizer)
    }
    let extractor = KeywordExtractor(documents: pieces, tokenizer: tokenizer)
    self.extractor = extractor
    let isCased = (0..<Int32(clamping: tokenizer.vocabularySize)).contains { token in
      !tokenizer.isSpecial(token) && tokenizer.piece(token).contains(where: \.isUppercase)
    }
    casedTokenizer = isCased ? tokenizer : nil
    var passages: [Passage] = []
    for (index, passage) in text.passages.enumerated() {
      let sentences = Self.sentences(of: TextCleaning.clean(passage.text))
        .map { tokenizer.encode($0) as [Int32] }.filter { !$0.isEmpty }
      guard sentences.reduce(0, { $0 + $1.count }) > 1 else { continue }
      passages.append(
        Passage(
          sentences: sentences,
          keywords: extractor.keywords(for: pieces[index], count: Self.keywordCount)))
    }
    guard !passages.isEmpty else {
      throw .trainingData(reason: "no passage of the text has two tokens")
    }
    self.passages = passages
    questions = text.questions.map { question in
      let answer = KeywordExtractor.pieces(
        title: "", text: question.answer, tokenizer: tokenizer)
      return (
        tokenizer.encode(
          TextCleaning.clean(question.question), maximumLength: recipe.maximumQueryLength),
        extractor.keywords(for: answer, count: recipe.identifierLength)
      )
    }
  }

  /// The keywords of a part of a passage, given its tokens.
  func keywords(ofWindow tokens: [Int32], count: Int) -> [Int32] {
    guard let casedTokenizer else { return extractor.keywords(for: tokens, count: count) }
    let pieces = KeywordExtractor.pieces(
      title: "", text: casedTokenizer.decode(tokens), tokenizer: casedTokenizer, limit: .max)
    return extractor.keywords(for: pieces, count: count)
  }

  /// Cuts a text behind full stops, question and exclamation marks that a space follows.
  static func sentences(of text: String) -> [String] {
    var sentences: [String] = []
    var current = ""
    var isEnding = false
    for character in text {
      if isEnding && character == " " {
        sentences.append(current)
        current = ""
      }
      isEnding = character == "." || character == "?" || character == "!"
      current.append(character)
    }
    if !current.isEmpty { sentences.append(current) }
    return sentences
  }
}

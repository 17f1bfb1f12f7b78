import GLENIndex
import GLENTensor
import GLENText

/// A dataset in tokens, as both phases read it.
public struct TrainingCorpus: Sendable {
  /// One training query and the documents that answer it.
  public struct Question: Sendable {
    /// Its position in the dataset.
    public var query: Int
    /// Its tokens, with the end token.
    public var tokens: [Int32]
    /// The positions of its positive documents, in ascending order.
    public var positives: [Int]
  }

  /// All pieces of each document, without an end token.
  public let documents: TokenSequences
  /// The training queries.
  public let questions: [Question]
  /// Generated queries in tokens, each with the position of its document.
  public let generated: [(tokens: [Int32], document: Int)]
  /// Each document's keywords, and a distinguishing piece where keywords collide.
  public let keywords: [[Int32]]
  /// The most tokens of a document, the end token included.
  public let maximumDocumentLength: Int
  /// Where the names come from; whoever trains holds it anyway.
  private let dataset: RetrievalDataset
  private let tokenizer: any Tokenizer
  /// The most tokens of any input.
  private let maximumLength: Int

  /// Tokenises a dataset and extracts keywords.
  ///
  /// - Parameters:
  ///   - split: the judgements to train on; queries without a positive are left out.
  ///   - generatedQueries: more queries for phase 1.
  ///   - cache: where tokens are kept for other runs.
  /// - Throws: `TrainingError.trainingData` if nothing can be trained on; what the dataset throws.
  public init(
    _ dataset: RetrievalDataset, split: String = "train", tokenizer: some Tokenizer, recipe: Recipe,
    generatedQueries: [GeneratedQueries.Pair] = [], cache: TokenCache? = nil
  ) throws {
    let texts = dataset.documents.lazy.map(\.fullText)
    func sequences(_ purpose: String, _ encode: (String) -> [Int32]) -> TokenSequences {
      cache?.sequences(of: texts, purpose: purpose, encode: encode)
        ?? TokenSequences(texts.map(encode))
    }
    documents = sequences("documents") { tokenizer.encode(TextCleaning.clean($0)) }
    maximumDocumentLength = recipe.maximumDocumentLength
    self.dataset = dataset
    self.tokenizer = tokenizer
    maximumLength = max(recipe.maximumDocumentLength, recipe.maximumQueryLength)
    var positives: [Int: Set<Int>] = [:]
    for judgement in try dataset.judgements(split: split) where judgement.isPositive {
      positives[judgement.query, default: []].insert(judgement.document)
    }
    questions = positives.keys.sorted().map { query in
      Question(
        query: query,
        tokens: tokenizer.encode(
          TextCleaning.clean(dataset.queries[query].text),
          maximumLength: recipe.maximumQueryLength),
        positives: (positives[query] ?? []).sorted())
    }
    generated = generatedQueries.map { pair in
      let text = TextCleaning.clean(pair.text)
      return (
        tokenizer.encode(text, maximumLength: recipe.maximumQueryLength), document: pair.document
      )
    }
    guard !documents.isEmpty else {
      throw TrainingError.trainingData(reason: "the corpus has no documents")
    }
    let pieces = sequences("keywords") {
      KeywordExtractor.pieces(title: "", text: $0, tokenizer: tokenizer)
    }
    let extractor = KeywordExtractor(documents: Array(pieces), tokenizer: tokenizer)
    keywords = extractor.keywordTargets(count: recipe.identifierLength)
  }

  /// What messages call a document.
  func name(ofDocument document: Int) -> String { "document '\(dataset.documents[document].id)'" }

  /// What messages call a training query.
  func name(ofQuestion question: Int) -> String {
    "query '\(dataset.queries[questions[question].query].id)'"
  }

  /// A random part of a document and the end token.
  ///
  /// - Parameter lengths: the tokens of the part, the end token included; a shorter document is
  ///   taken whole.
  func chunk(
    of document: Int, lengths: ClosedRange<Int>, using generator: inout SeededGenerator
  ) -> [Int32] {
    let pieces = documents[document]
    let length = Int.random(in: lengths, using: &generator) - 1
    let first = Int.random(in: 0...max(pieces.count - length, 0), using: &generator)
    return pieces[first...].prefix(length) + [1]
  }

  /// A corrupted copy of an input: a random span of its characters, some tokens of which may become
  /// padding.
  func corrupted(
    _ tokens: [Int32], by c: Recipe.Contrast, using generator: inout SeededGenerator
  ) -> [Int32] {
    let text = Array(tokenizer.decode(tokens.last == 1 ? tokens.dropLast() : tokens))
    let length = Int.random(
      in: min(c.shortestSpan, text.count)...text.count, using: &generator)
    let first = Int.random(in: 0...text.count - length, using: &generator)
    let span = String(text[first..<first + length])
    let copy = tokenizer.encode(span, maximumLength: maximumLength)
    guard Double.random(in: 0..<1, using: &generator) < c.paddingShare else { return copy }
    return copy.map {
      Double.random(in: 0..<1, using: &generator) < c.paddingRate ? SpecialToken.pad : $0
    }
  }

  /// A document's first tokens and the end token.
  public func beginning(of document: Int, limit: Int? = nil) -> [Int32] {
    documents[document].prefix((limit ?? maximumDocumentLength) - 1) + [1]
  }
}

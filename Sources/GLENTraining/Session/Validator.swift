import GLENIndex
import GLENModel
import GLENPlatform
import GLENTensor
import GLENText

/// Measures a model in training: indexes the corpus, or a sample of it, and ranks the queries of a split.
struct Validator {
  /// The queries in tokens, the positions in the corpus of what answers them, and that of the document
  /// that a query may not find, as in evaluation.
  let judgedQueries: [(tokens: [Int32], positives: Set<Int>, own: Int?)]
  /// The positions of the documents that are ranked.
  let documents: [Int]
  private let corpus: TrainingCorpus
  private let settings: IdentifierSettings

  /// A validator over a split, or nil if the dataset has no such split or nothing positive in it.
  ///
  /// - Parameters:
  ///   - documentLimit: `Recipe.validationDocuments`.
  ///   - key: draws the documents that answer none of the queries.
  init?(
    _ dataset: RetrievalDataset, split: String, corpus: TrainingCorpus,
    tokenizer: some Tokenizer, settings: IdentifierSettings, documentLimit: Int, key: RandomKey
  ) throws {
    guard dataset.splits.contains(split) else { return nil }
    var positives: [Int: Set<Int>] = [:]
    for judgement in try dataset.judgements(split: split) where judgement.isPositive {
      positives[judgement.query, default: []].insert(judgement.document)
    }
    guard !positives.isEmpty else { return nil }
    let withoutOwn = try RelevanceJudgements(dataset, split: split)
      .queriesWithoutOwnDocument(in: dataset)
    judgedQueries = positives.sorted { $0.key < $1.key }.map { query, positives in
      let id = dataset.queries[query].id
      let own = withoutOwn.contains(ExactText(id)) ? dataset.documentPosition(of: id) : nil
      let tokens = tokenizer.encode(
        TextCleaning.clean(dataset.queries[query].text), maximumLength: settings.maximumQueryLength)
      return (tokens, positives, own)
    }
    self.corpus = corpus
    self.settings = settings
    documents = Self.sample(
      of: corpus.documents.count,
      with: judgedQueries.reduce(into: Set()) { $0.formUnion($1.positives) },
      limit: documentLimit, key: key)
  }

  /// The positions that a sample has, in ascending order: all of some, and others up to a limit.
  private static func sample(of count: Int, with some: Set<Int>, limit: Int, key: RandomKey)
    -> [Int]
  {
    guard limit > 0, limit < count else { return Array(0..<count) }
    var chosen = some
    var generator = SeededGenerator(key)
    while chosen.count < limit { chosen.insert(Int.random(in: 0..<count, using: &generator)) }
    return chosen.sorted()
  }

  /// The measure's value of exact search; beside it the other measures, and how well the
  /// identifiers tell documents apart.
  func measure(
    _ model: T5Model, by measure: Recipe.ValidationMeasure
  ) throws -> (value: Double, parts: [LossPart]) {
    let generator = try IdentifierGenerator(model: model, settings: settings)
    let (tokens, weights) = try generator.identifiers(
      of: documents.lazy.map { corpus.beginning(of: $0) })
    let (table, order) = try IdentifierTable.sorting(
      identifiers: tokens, weights: weights, identifierLength: settings.identifierLength,
      vocabularySize: model.configuration.vocabularySize)
    let search = ExactSearch(table: table)
    var sum = 0.0
    var (first, firstTen) = (0, 0)
    for begin in stride(from: 0, to: judgedQueries.count, by: 128) {
      let part = judgedQueries[begin..<min(begin + 128, judgedQueries.count)]
      for (query, scores) in zip(part, try generator.scores(of: part.map(\.tokens))) {
        let ranked = try search.rank(scores, limit: query.own == nil ? 10 : 11)
          .map { documents[order[$0.document]] }.filter { $0 != query.own }.prefix(10)
        guard let place = ranked.firstIndex(where: query.positives.contains) else { continue }
        sum += 1 / Double(place + 1)
        firstTen += 1
        if place == 0 { first += 1 }
      }
    }
    let count = Double(judgedQueries.count)
    let (meanReciprocalRank, recall) = (sum / count, Double(first) / count)
    let parts = [
      LossPart(name: "validation/MRR@10", value: Float(meanReciprocalRank)),
      LossPart(name: "validation/R@1", value: Float(recall)),
      LossPart(name: "validation/R@10", value: Float(Double(firstTen) / count)),
    ]
    let statistics = Self.statistics(of: tokens, length: settings.identifierLength)
    return (measure == .recall ? recall : meanReciprocalRank, parts + statistics)
  }

  /// How well identifiers tell documents apart.
  ///
  /// The share of documents with an identifier of their own, the documents that share theirs, the
  /// most that share one, and the entropy of the identifiers' distribution in bits.
  static func statistics(of tokens: [Int32], length: Int) -> [LossPart] {
    var counts: [ArraySlice<Int32>: Int] = [:]
    for first in stride(from: 0, to: tokens.count, by: length) {
      counts[tokens[first..<first + length], default: 0] += 1
    }
    let documents = tokens.count / length
    let unique = counts.values.count { $0 == 1 }
    let entropy = counts.values.reduce(0.0) { sum, count in
      let share = Double(count) / Double(documents)
      return sum - share * log2(share)
    }
    return [
      LossPart(name: "identifiers/unique_share", value: Float(unique) / Float(max(documents, 1))),
      LossPart(name: "identifiers/colliding_documents", value: Float(documents - unique)),
      LossPart(name: "identifiers/largest_collision", value: Float(counts.values.max() ?? 0)),
      LossPart(name: "identifiers/entropy_bits", value: Float(entropy)),
    ]
  }
}

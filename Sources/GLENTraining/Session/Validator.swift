import GLENIndex
import GLENModel
import GLENText

/// Measures a model in training: indexes the corpus and ranks the queries of a split.
struct Validator {
  private let documents: [[Int32]]
  private let queries: [[Int32]]
  private let positives: [Set<Int>]
  private let settings: IdentifierSettings

  /// A validator over a split, or nil if the dataset has no such split or nothing positive in it.
  init?(
    _ dataset: RetrievalDataset, split: String, corpus: TrainingCorpus,
    tokenizer: some Tokenizer, settings: IdentifierSettings
  ) throws {
    guard dataset.splits.contains(split) else { return nil }
    var positives: [Int: Set<Int>] = [:]
    for judgement in try dataset.judgements(split: split) where judgement.isPositive {
      positives[judgement.query, default: []].insert(judgement.document)
    }
    guard !positives.isEmpty else { return nil }
    let order = positives.keys.sorted()
    self.positives = order.map { positives[$0] ?? [] }
    self.settings = settings
    documents = corpus.documents.indices.map { corpus.beginning(of: $0) }
    queries = order.map {
      tokenizer.encode(
        TextCleaning.clean(dataset.queries[$0].text),
        maximumLength: settings.maximumQueryLength)
    }
  }

  /// The mean reciprocal rank within ten of exact search: it moves with Recall@1, in smaller steps.
  func value(of model: T5Model) throws -> Double {
    let generator = try IdentifierGenerator(model: model, settings: settings)
    let (tokens, weights) = try generator.identifiers(of: documents)
    let (table, order) = try IdentifierTable.sorting(
      identifiers: tokens, weights: weights, identifierLength: settings.identifierLength,
      vocabularySize: model.configuration.vocabularySize)
    let search = ExactSearch(table: table)
    var sum = 0.0
    for first in stride(from: 0, to: queries.count, by: 128) {
      let part = Array(queries[first..<min(first + 128, queries.count)])
      for (offset, scores) in try generator.scores(of: part).enumerated() {
        let ranked = try search.rank(scores, limit: 10)
        let place = ranked.firstIndex { positives[first + offset].contains(order[$0.document]) }
        if let place { sum += 1 / Double(place + 1) }
      }
    }
    return sum / Double(queries.count)
  }
}

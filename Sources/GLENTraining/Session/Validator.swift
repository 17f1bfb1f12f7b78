import GLENIndex
import GLENModel
import GLENText

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

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

  /// The measure's value of exact search; beside it the other measures, and how well the
  /// identifiers tell documents apart.
  func measure(
    _ model: T5Model, by measure: Recipe.ValidationMeasure
  ) throws -> (value: Double, parts: [LossPart]) {
    let generator = try IdentifierGenerator(model: model, settings: settings)
    let (tokens, weights) = try generator.identifiers(of: documents)
    let (table, order) = try IdentifierTable.sorting(
      identifiers: tokens, weights: weights, identifierLength: settings.identifierLength,
      vocabularySize: model.configuration.vocabularySize)
    let search = ExactSearch(table: table)
    var sum = 0.0
    var (first, firstTen) = (0, 0)
    for begin in stride(from: 0, to: queries.count, by: 128) {
      let part = Array(queries[begin..<min(begin + 128, queries.count)])
      for (offset, scores) in try generator.scores(of: part).enumerated() {
        let ranked = try search.rank(scores, limit: 10)
        let place = ranked.firstIndex { positives[begin + offset].contains(order[$0.document]) }
        guard let place else { continue }
        sum += 1 / Double(place + 1)
        firstTen += 1
        if place == 0 { first += 1 }
      }
    }
    let count = Double(queries.count)
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

import GLENIndex
import GLENModel
import GLENTensor
import Testing

@testable import GLENTraining

/// As in ArguAna, whose queries are documents.
@Suite("Queries with the ids of documents")
struct IdenticalIDTests {
  private let index: RandomIndex
  private let retriever: Retriever
  /// The documents' own names, and one that no document has.
  private let queries: [Query]
  private let judgements: RelevanceJudgements

  init() throws {
    index = try RandomIndex()
    retriever = try index.retriever(keepingKeywords: true) { [Int32($0 % 6) + 5, 7] }
    queries =
      index.dataset.documents.map { Query(id: $0.id, text: $0.fullText) }
      + [Query(id: "nobody", text: index.dataset.documents[0].fullText)]
    // Its neighbour in the bucket answers each.
    let ids = index.dataset.documents.map(\.id)
    var grades: [ExactText: [ExactText: Int]] = ["nobody": [ExactText(ids[0]): 1]]
    for (place, id) in ids.enumerated() {
      grades[ExactText(id)] = [ExactText(ids[(place + 6) % ids.count]): 1]
    }
    judgements = RelevanceJudgements(grades: grades)
  }

  /// All queries, also the one that no document is called by.
  private var own: Set<ExactText> { Set(queries.map { ExactText($0.id) }) }

  private var ranking: SplitRanking {
    var ranking = SplitRanking(depth: 5)
    ranking.withoutOwnDocument = own
    return ranking
  }

  /// What is left of longer lists without the query's own document.
  private func expected(_ longer: [RankedList]) -> [RankedList] {
    longer.map { list in
      RankedList(
        query: list.query, documents: Array(list.documents.filter { $0.id != list.query }.prefix(5))
      )
    }
  }

  @Test("Lists lack the query's own document and are as long as others")
  func lists() throws {
    let found = try ranking.rankings(of: queries, by: retriever)
    let all = try SplitRanking(depth: 30).rankings(of: queries, by: retriever)
    #expect(found == expected(all) && found.allSatisfy { $0.documents.count == 5 })
    #expect(try found != SplitRanking(depth: 5).rankings(of: queries, by: retriever))
    let baseline = BM25Baseline(index.dataset.documents)
    let words = baseline.rankings(of: queries, depth: 5, withoutOwnDocument: own)
    #expect(words == expected(baseline.rankings(of: queries, depth: 30)))
    // A document's own words find it first.
    #expect(baseline.rankings(of: queries, depth: 5)[3].documents.first?.id == queries[3].id)
    #expect(words.last?.documents.first?.id == queries[0].id)
  }

  @Test("So do hybrid lists and both their parts")
  func hybrid() throws {
    let keywords = try #require(retriever.snapshot.keywords)
    func fused(_ ignores: Bool) throws -> HybridRanking {
      try HybridRanking(
        of: queries, by: retriever, keywords: keywords, depth: 5,
        withoutOwnDocument: ignores ? own : [])
    }
    for list in try fused(true).rankings(.interpolated(0.5)) + fused(true).parts.keywords {
      #expect(!list.documents.contains { $0.id == list.query } && list.documents.count == 5)
    }
    #expect(try fused(false).parts.keywords[3].documents.first?.id == queries[3].id)
  }

  @Test("And shuffles of collisions")
  func shuffles() throws {
    let metric = try RankingMetric("MRR@10")
    func value(_ ranking: SplitRanking) throws -> Double {
      try #require(
        CollisionShuffles(
          ranking, of: queries, by: retriever, against: judgements, metrics: [metric]
        ).summary(count: 50).mean[metric])
    }
    #expect(try value(ranking) > value(SplitRanking(depth: 5)))
  }

  /// As if the document were not in the index: a beam keeps another in its place.
  @Test("A beam does not spend its width on the query's own document")
  func beam() throws {
    var beam = SplitRanking(depth: 5, mode: .beam(1))
    beam.withoutOwnDocument = own
    let alone = try index.retriever { [Int32($0) + 5, 7] }
    for list in try beam.rankings(of: queries, by: alone) {
      #expect(list.documents.count == 1 && list.documents[0].id != list.query)
    }
    #expect(try SplitRanking(depth: -1).rankings(of: queries, by: retriever)[0].documents.isEmpty)
  }

  @Test("BEIR's layout wants it, but not for a document that answers the query")
  func formats() throws {
    let all = judgements.queriesWithoutOwnDocument(in: index.dataset)
    #expect(all == own.subtracting(["nobody"]))
    var grades = judgements.grades
    grades["d3", default: [:]]["d3"] = 1
    grades["d4", default: [:]]["d4"] = 0
    let some = RelevanceJudgements(grades: grades).queriesWithoutOwnDocument(in: index.dataset)
    #expect(some == all.subtracting(["d3"]))
  }

  /// The model that training keeps is chosen by what evaluation says.
  @Test("Validation ranks as evaluation does")
  func validation() throws {
    var files = ToyCorpus.files
    let documents = index.dataset.documents
    files["queries.jsonl"] = documents.map {
      "{\"_id\": \"\($0.id)\", \"text\": \"\($0.fullText)\"}\n"
    }.joined()
    let rows = documents.indices.map { "d\($0)\td\(($0 + 6) % documents.count)\t1\n" }
    files["qrels/dev.tsv"] = "query-id\tcorpus-id\tscore\n" + rows.joined()
    files["qrels/train.tsv"] = files["qrels/dev.tsv"]
    let folder = try TemporaryFolder(files)
    let dataset = try RetrievalDataset(contentsOf: folder.url)
    var recipe = ToyCorpus.recipe
    recipe.maximumDocumentLength = index.model.settings.maximumDocumentLength
    let corpus = try TrainingCorpus(
      dataset, tokenizer: index.model.tokenizer, recipe: recipe)
    let validator = try #require(
      try Validator(
        dataset, split: "dev", corpus: corpus, tokenizer: index.model.tokenizer,
        settings: index.model.settings, documentLimit: 0, key: RandomKey(seed: 1)))
    let value = try validator.measure(
      index.model.generator.model, by: .meanReciprocalRank
    ).value
    func evaluated(_ withoutOwn: Set<ExactText>) throws -> Double {
      var ranking = SplitRanking(depth: 10)
      ranking.withoutOwnDocument = withoutOwn
      let retriever = try Indexer(model: index.model).index(documents)
      let run = try Run(ranking.rankings(of: dataset.queries, by: retriever))
      return try Evaluation(of: run, against: RelevanceJudgements(dataset, split: "dev")).report()[
        RankingMetric("MRR@10")] ?? -1
    }
    let judged = try RelevanceJudgements(dataset, split: "dev")
    #expect(try abs(value - evaluated(judged.queriesWithoutOwnDocument(in: dataset))) < 1e-12)
    #expect(try abs(value - evaluated([])) > 1e-3)
  }
}

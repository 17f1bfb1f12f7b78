import GLENIndex
import Testing

@testable import GLENTraining

@Suite("Hybrid rankings")
struct HybridRankingTests {
  private let index: RandomIndex
  private let judgements: RelevanceJudgements
  private let hybrid: HybridRanking
  private let queries: [Query]

  init() throws {
    index = try RandomIndex()
    let dataset = index.dataset
    queries = dataset.queries
    judgements = try RelevanceJudgements(dataset, split: "train")
    let retriever = try index.retriever(keepingKeywords: true) { [Int32($0 % 7) + 5, 7] }
    hybrid = try HybridRanking(
      of: queries, by: retriever, keywords: try #require(retriever.snapshot.keywords), depth: 20)
  }

  private func value(_ rankings: [RankedList]) throws -> Double {
    let metric = try RankingMetric("MRR@10")
    return try #require(
      Evaluation(of: Run(rankings), against: judgements, metrics: [metric]).report()[metric])
  }

  @Test("The parts are what each search finds alone")
  func parts() throws {
    #expect(hybrid.parts.identifiers.map(\.query) == queries.map(\.id))
    let alone = try SplitRanking(depth: 20).rankings(
      of: queries, by: index.retriever { [Int32($0 % 7) + 5, 7] })
    #expect(hybrid.parts.identifiers.map(\.documents) == alone.map(\.documents))
    // The questions repeat the documents' words, so keywords find them; a random model does not.
    #expect(try value(hybrid.parts.keywords) > 0.9)
    #expect(try value(hybrid.parts.identifiers) < 0.5)
  }

  @Test("A short list is the beginning of a long one, as in a search")
  func shortLists() throws {
    let retriever = try index.retriever(keepingKeywords: true) { [Int32($0 % 7) + 5, 7] }
    let short = try HybridRanking(
      of: queries, by: retriever, keywords: try #require(retriever.snapshot.keywords), depth: 3)
    for method in [Hybrid.reciprocalRank, .interpolated(0.5)] {
      for (list, query) in zip(short.rankings(method), queries) {
        let hits: [SearchHit] = try retriever.search(
          query.text, limit: 3, options: SearchOptions(hybrid: method))
        #expect(list.documents.map(\.id) == hits.map(\.id) && hits.count == 3)
      }
    }
    #expect(short.parts.keywords.allSatisfy { $0.documents.count == 3 })
  }

  @Test("Tuning leans on the search that finds the documents")
  func tuning() throws {
    let weight = hybrid.tunedWeight(on: judgements)
    #expect(weight < 0.3)
    let best = try value(hybrid.rankings(.interpolated(weight)))
    #expect(try best >= value(hybrid.parts.identifiers))
    #expect(try best >= value(hybrid.parts.keywords) - 0.01)
    #expect(try value(hybrid.rankings(.reciprocalRank)) > value(hybrid.parts.identifiers))
    #expect(hybrid.tunedWeight(on: RelevanceJudgements()) == 0.5)
  }
}

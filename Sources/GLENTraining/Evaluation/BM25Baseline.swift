import GLENIndex
import GLENText

/// BM25 over the words of title and text: what any retriever has to beat.
///
/// k1 = 0.9, b = 0.4, lower-cased words, no stemming, no stop list.
public struct BM25Baseline: Sendable {
  private let ids: [String]
  private let analyzer: WordAnalyzer
  private let index: BM25Index

  /// Indexes documents.
  public init(_ documents: [Document]) {
    ids = documents.map(\.id)
    var analyzer = WordAnalyzer()
    index = BM25Index(documents: documents.map { analyzer.learn($0.fullText) })
    self.analyzer = analyzer
  }

  /// Ranks the documents for each query.
  ///
  /// - Parameters:
  ///   - queries: the queries, in the order of the lists.
  ///   - depth: how many documents a list has at most.
  ///   - withoutOwnDocument: as of `SplitRanking`.
  public func rankings(
    of queries: [Query], depth: Int = 100, withoutOwnDocument: Set<ExactText> = []
  ) -> [RankedList] {
    queries.map { query in
      let own = withoutOwnDocument.contains(ExactText(query.id)) ? ExactText(query.id) : nil
      let limit = own == nil || depth == .max ? depth : depth + 1
      let found = index.search(analyzer.encode(query.text), limit: limit).map {
        ScoredDocument(id: ids[$0.document], score: $0.score)
      }
      let others = own.map { own in found.filter { ExactText($0.id) != own } } ?? found
      return RankedList(query: query.id, documents: Array(others.prefix(max(depth, 0))))
    }
  }
}

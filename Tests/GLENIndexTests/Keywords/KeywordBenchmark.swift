import Foundation
import GLENText
import Testing

@testable import GLENIndex

private let documentCount = ProcessInfo.processInfo.environment["GLEN_BENCHMARK"]
  .flatMap { Int($0) }

/// `GLEN_BENCHMARK=100000 Scripts/test --filter KeywordBenchmark`: time and size at that many
/// documents of 100 made-up pieces, beside `BM25Index` in the same run.
@Suite(
  "KeywordBenchmark",
  .enabled(if: documentCount != nil, "GLEN_BENCHMARK names no number of documents"))
struct KeywordBenchmark {
  /// Pieces as texts have them: the one of rank r is drawn in proportion to 1 / r.
  private static func pieces(_ count: Int, _ generator: inout SeededGenerator) -> [Int32] {
    (0..<count).map { _ in
      Int32(exp(Double.random(in: 0..<log(32_000.0), using: &generator)))
    }
  }

  private static func seconds(_ body: () throws -> Void) rethrows -> Double {
    let begin = ContinuousClock.now
    try body()
    return (ContinuousClock.now - begin) / .seconds(1)
  }

  @Test func measure() throws {
    let count = try #require(documentCount)
    var generator = SeededGenerator(seed: 1)
    let documents = (0..<count).map { _ in Self.pieces(100, &generator) }
    let queries = (0..<50).map { _ in Self.pieces(10, &generator) }
    var index: KeywordIndex?
    let building = try Self.seconds { index = try KeywordIndex(documents: documents) }
    let search = KeywordSearch([try #require(index)])
    let judge = BM25Index(documents: documents)
    var (own, other): ([Double], [Double]) = ([], [])
    for query in queries {
      var (mine, its): ([Float], [Float]) = ([], [])
      own.append(Self.seconds { mine = search.rank(query, limit: 100).map(\.score) })
      other.append(Self.seconds { its = judge.search(query, limit: 100).map(\.score) })
      #expect(mine == its)
    }
    let merging = try Self.seconds {
      _ = try KeywordIndex.merged(search.segments, order: Array((0..<count).reversed()))
    }
    func milliseconds(_ times: [Double]) -> String {
      String(format: "%.2f ms", 1000 * times.sorted()[times.count / 2])
    }
    print(
      """
      \(count) documents: built in \(String(format: "%.1f", building)) s, merged in \
      \(String(format: "%.1f", merging)) s, \
      \(String(format: "%.1f", Double(search.segments[0].byteCount) / Double(count))) bytes a document; \
      top 100 for 10 pieces, median of 50: \(milliseconds(own)), BM25Index \(milliseconds(other))
      """)
  }
}

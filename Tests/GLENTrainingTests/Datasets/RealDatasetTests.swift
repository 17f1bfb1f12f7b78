import Foundation
import GLENTraining
import Testing

/// Counts on real data, from the description that comes with it.
@Suite(.enabled(if: TestData.hasRealData, "needs the data that GLEN_DATA names"))
struct RealDatasetTests {
  @Test func squadTiny() throws {
    let dataset = try load("squad-tiny")
    #expect(dataset.documents.count == 120)
    let counts = try ["train", "dev", "test", "test-seen", "test-unseen"].map {
      try dataset.judgements(split: $0).count
    }
    #expect(counts == [453, 37, 123, 69, 54])
    #expect(dataset.queries.count == 613)
    #expect(dataset.splits.count == 7)
  }

  @Test func scifact() throws {
    let dataset = try load("scifact")
    #expect(dataset.documents.count == 5183)
    let queries = try ["train", "test", "test-graded"].map {
      Set(try dataset.judgements(split: $0).map(\.query)).count
    }
    #expect(queries == [809, 300, 300])
    #expect(Set(try dataset.judgements(split: "test-graded").map(\.grade)) == [1, 2])
    #expect(dataset.skippedLines.isEmpty)
  }

  private func load(_ name: String) throws -> RetrievalDataset {
    let folder = try #require(TestData.realData)
    return try RetrievalDataset(contentsOf: folder.appendingPathComponent(name))
  }
}

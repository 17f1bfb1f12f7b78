import Foundation
import Testing

@testable import GLENIndex

@Suite("Hybrid search with a model")
struct HybridRetrieverTests {
  @Test("Keywords find what a random model does not, after saving and opening too")
  func findsByKeywords() throws {
    try withTemporaryFolder { folder in
      var indexer = Indexer(model: try ToyModel.folder(in: folder))
      indexer.keepsKeywords = true
      let made = try indexer.index(ToyModel.documents)
      let url = folder.appendingPathComponent("index")
      try made.save(to: url)
      let opened = try Retriever(opening: url)
      for question in ToyModel.questions {
        for hybrid in [Hybrid.reciprocalRank, .interpolated(0.4)] {
          let hits = try opened.search(question, limit: 7, options: SearchOptions(hybrid: hybrid))
          #expect(
            hits == (try made.search(question, limit: 7, options: SearchOptions(hybrid: hybrid))))
          #expect(hits.count == 7)
          // The score of the order stands beside the identifier's own.
          let fused = hits.compactMap(\.fusedScore)
          #expect(fused.count == 7 && fused == fused.sorted(by: >))
          let own = try opened.search(question, limit: 48)
          for hit in hits { #expect(own.contains { $0.id == hit.id && $0.score == hit.score }) }
          #expect(own.allSatisfy { $0.fusedScore == nil })
        }
        #expect(
          try opened.search(question, limit: 48, options: SearchOptions(hybrid: .interpolated(1)))
            .map(\.id)
            == opened.search(question, limit: 48).map(\.id))
      }
      // Case does not matter to keywords.
      for question in ["comets", "The COMETS of which we speak"] {
        let best = try opened.search(
          question, limit: 4, options: SearchOptions(hybrid: .interpolated(0)))
        #expect(best.allSatisfy { $0.id.hasPrefix("comets-") })
      }
    }
  }

  @Test("What identifiers do not explain is refused")
  func explanation() throws {
    try withTemporaryFolder { folder in
      let retriever = try ToyModel.retriever(in: folder)
      let scores = try retriever.scores(of: ["comets"])[0]
      let error = #expect(throws: IndexError.self) {
        try retriever.explain(
          "comets-0", for: "comets", scores: scores, options: SearchOptions(hybrid: .reciprocalRank)
        )
      }
      #expect(error?.description.contains("hybrid") == true)
    }
  }

  @Test("An index without keywords says so")
  func withoutKeywords() throws {
    try withTemporaryFolder { folder in
      let retriever = try ToyModel.retriever(in: folder)
      let error = #expect(throws: IndexError.self) {
        try retriever.search("comets", options: SearchOptions(hybrid: .reciprocalRank))
      }
      #expect(error?.description.contains("keeps none") == true)
    }
  }
}

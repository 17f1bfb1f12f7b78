import Foundation
import GLENIndex
import Testing

@testable import GLENTraining

struct RunTests {
  @Test func aRunHasEveryQueryAndDocumentOnce() throws {
    let list = ranking("q1", ["a": 1])
    #expect(throws: TrainingError.self) { try Run([list, list]) }
    let twice = RankedList(query: "q2", documents: list.documents + list.documents)
    #expect(throws: TrainingError.self) { try Run([twice]) }
    let run = try Run([list])
    #expect(run["q1"] == list)
    #expect(run["q2"] == nil)
  }

  @Test func writesTRECColumns() throws {
    let list = RankedList(
      query: "q1",
      documents: [ScoredDocument(id: "b", score: -0.5), ScoredDocument(id: "a", score: -1.25)])
    #expect(try RunWriter(tag: "t").lines(of: list) == "q1 Q0 b 1 -0.5 t\nq1 Q0 a 2 -1.25 t\n")
  }

  @Test func keepsTrueScoresWhereTheyDecrease() throws {
    let scores: [Float] = [3, 2.5, 2.5, 2.5, -1, 7, -8]
    let written = try RunWriter.writtenScores(
      of: RankedList(
        query: "q",
        documents: scores.enumerated().map { ScoredDocument(id: "\($0.offset)", score: $0.element) }
      ))
    #expect(
      written == [
        3, 2.5, Float(2.5).nextDown, Float(2.5).nextDown.nextDown, -1, Float(-1).nextDown, -8,
      ])
  }

  /// What TREC's tools read back is in our order, ties and all, whatever the identifiers.
  @Test func aWrittenRunReadsBackInTheSameOrder() throws {
    var random = SeededGenerator(seed: 3)
    let scales: [Float] = [1, 1e-30, 1e30, 0]
    let rankings = (0..<40).map { query in
      let scale = scales[query % scales.count]
      let documents = (0..<60).map { number in
        let step = Float(Int.random(in: -9...0, using: &random)) * 0.37
        return ScoredDocument(id: "d\(number)", score: step * scale)
      }.shuffled(using: &random).sorted { $0.score > $1.score }
      return RankedList(query: "q\(query)", documents: documents)
    }
    let run = try Run(rankings)
    let folder = try TemporaryFolder()
    let file = folder.url.appendingPathComponent("run.trec")
    try RunWriter().write(run, to: file)
    let back = try RunReader().read(contentsOf: file)
    #expect(back.rankings.map(\.query) == run.rankings.map(\.query))
    for (read, written) in zip(back.rankings, run.rankings) {
      #expect(read.documents.map(\.id) == written.documents.map(\.id))
      let scores = read.documents.map(\.score)
      #expect(zip(scores, scores.dropFirst()).allSatisfy { $0 > $1 })
      #expect(scores == (try RunWriter.writtenScores(of: written)))
    }
  }

  @Test func scoresSurviveBeingReadAsDoubles() {
    // The shortest decimal of this float, read as a double and rounded, is its neighbour.
    let score: Float = 7.038531e-26
    #expect(Float(Double(String(describing: score)) ?? 0) != score)
    for score in [score, -score, 0.1, -17.25, .leastNonzeroMagnitude, .greatestFiniteMagnitude] {
      #expect(Double(RunWriter.text(of: score)).map { Float($0) } == score)
    }
  }

  @Test func rejectsWhatARunCannotHold() throws {
    let writer = try RunWriter()
    for score in [Float.nan, .infinity, -.infinity] {
      #expect(throws: TrainingError.self) { try writer.lines(of: ranking("q", ["a": score])) }
    }
    #expect(throws: TrainingError.self) { try writer.lines(of: ranking("q", ["a b": 1])) }
    #expect(throws: TrainingError.self) { try writer.lines(of: ranking("", ["a": 1])) }
    #expect(throws: TrainingError.self) { try RunWriter(tag: "two words") }
    #expect(throws: TrainingError.self) {
      try writer.write(try Run([]), to: URL(fileURLWithPath: "/nowhere/at/all/run.trec"))
    }
  }

  /// All that `write` would refuse but scores, and nothing is left behind.
  @Test func whatCannotBeWrittenIsKnownBefore() throws {
    let folder = try TemporaryFolder(["run.trec": "earlier"])
    let url = folder.url.appendingPathComponent("run.trec")
    let writer = try RunWriter()
    try writer.check(queries: ["q"], documents: ["a", "\u{E9}"], to: url)
    try writer.check(queries: [], documents: [], to: URL(fileURLWithPath: "/dev/null"))
    for (queries, documents) in [(["q", "r s"], ["a"]), (["q"], ["a", "b\tc"]), ([""], ["a"])] {
      let error = #expect(throws: TrainingError.self) {
        try writer.check(queries: queries, documents: documents, to: url)
      }
      guard case .invalidRun? = error else {
        Issue.record("\(String(describing: error))")
        continue
      }
    }
    let missing = folder.url.appendingPathComponent("none/run")
    for place in [folder.url, missing, url.appendingPathComponent("x")] {
      let error = #expect(throws: TrainingError.self) {
        try writer.check(queries: ["q"], documents: ["a"], to: place)
      }
      guard case .unwritableFile(place.path, _)? = error else {
        Issue.record("\(String(describing: error))")
        continue
      }
    }
    #expect(try String(contentsOf: url, encoding: .utf8) == "earlier")
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.url.path) == ["run.trec"])
  }

  @Test func aRunThatCannotBeWrittenKeepsTheEarlierFile() throws {
    let folder = try TemporaryFolder(["run.trec": "earlier"])
    let url = folder.url.appendingPathComponent("run.trec")
    let run = try Run([ranking("q", ["a": 1]), ranking("r", ["a b": 1])])
    #expect(throws: TrainingError.self) { try RunWriter().write(run, to: url) }
    #expect(try String(contentsOf: url, encoding: .utf8) == "earlier")
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.url.path) == ["run.trec"])
  }

  @Test func readsByScoreThenByDescendingIdentifier() throws {
    let folder = try TemporaryFolder([
      "run": """
      q1 Q0 a 1 1.0 t
      q2\tQ0\tz\t1\t-3\tt
      q1 Q0 c 2 2.0 t
      q1 Q0 b 3 1.00000000001 t
      q1 Q0 \u{E9} 4 1 t
      """
    ])
    let run = try RunReader().read(contentsOf: folder.url.appendingPathComponent("run"))
    #expect(run.rankings.map(\.query) == ["q1", "q2"])
    #expect(run["q1"]?.documents.map(\.id) == ["c", "\u{E9}", "b", "a"])
    #expect(run["q2"]?.documents == [ScoredDocument(id: "z", score: -3)])
  }

  @Test(arguments: ["q Q0 d 1 0.5", "q Q0 d 1 x t", "q Q0 d 1 nan t", "q Q0 d 1 1 t more"])
  func malformedRunsNameFileAndLine(line: String) throws {
    let folder = try TemporaryFolder(["run": "q Q0 e 1 1 t\n\(line)\n"])
    let file = folder.url.appendingPathComponent("run")
    let error = #expect(throws: TrainingError.self) { try RunReader().read(contentsOf: file) }
    guard case .malformedLine(file.path, 2, _, _) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
  }

  private func ranking(_ query: String, _ scores: [String: Float]) -> RankedList {
    RankedList(
      query: query, documents: scores.map { ScoredDocument(id: $0.key, score: $0.value) })
  }
}

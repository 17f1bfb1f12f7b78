import Testing

@testable import GLENIndex

@Suite struct DeficitsTests {
  /// Every row that reaches a threshold must stay within the limit, at whatever threshold they were made.
  @Test(arguments: Scenario.allCases, [1, 3, 7])
  func noRowThatReachesTheThresholdIsLeftOut(scenario: Scenario, length: Int) throws {
    for scale in [Float(1e-6), 1, 1e4, 1e20] {
      let made = try SearchCase(
        scenario, documents: 300, length: length, vocabulary: 40, seed: UInt64(length))
      let scores = try QueryScores(
        logits: made.scores.logits.map { $0 * scale }, identifierLength: length,
        vocabularySize: made.scores.vocabularySize)
      var levels = try LevelScores(scores, IdentifierTables(made.table))
      levels.load(made.table)
      let rows = (0..<made.table.identifierCount).map { row in
        let codes = (0..<length).map {
          Int(made.table.levelOffsets[$0]) + made.table.code(step: $0, row: row)
        }
        return (codes, codes.reduce(Float(0)) { $0 + levels.values[$1] })
      }
      let thresholds = rows.map(\.1).filter { $0 > -.infinity }.sorted()
      for first in thresholds.prefix(1) + thresholds.suffix(3) {
        let deficits = try #require(Deficits(levels, made.table, threshold: first))
        for threshold in thresholds where threshold >= first {
          let limit = Int(deficits.limit(threshold))
          for (codes, score) in rows where score >= threshold {
            #expect(codes.reduce(0) { $0 + Int(deficits.values[$1]) } <= limit)
          }
        }
      }
    }
  }

  @Test func mostRowsAreLeftOut() throws {
    let made = try SearchCase(.random, documents: 5000, length: 5, vocabulary: 3000, seed: 1)
    var levels = try LevelScores(made.scores, IdentifierTables(made.table))
    levels.load(made.table)
    let threshold = made.bruteForce()[99].score
    let deficits = try #require(Deficits(levels, made.table, threshold: threshold))
    let kept = (0..<made.table.identifierCount).filter { row in
      (0..<5).reduce(0) {
        $0
          + Int(
            deficits.values[
              Int(made.table.levelOffsets[$1]) + made.table.code(step: $1, row: row)])
      } <= Int(deficits.limit(threshold))
    }
    #expect((100..<200).contains(kept.count))
  }

  @Test func numbersBeyondReasonAreRefused() throws {
    let table = try IdentifierTable([[0], [1]], weights: [1, 1], length: 1)
    let scores = try QueryScores(
      logits: [3e38, -3e38], identifierLength: 1, vocabularySize: 2)
    var levels = try LevelScores(scores, IdentifierTables(table))
    levels.load(table)
    #expect(Deficits(levels, table, threshold: -3e38) == nil)
    #expect(try ExactSearch(table: table).rank(scores, limit: 2).map(\.document) == [0, 1])
  }
}

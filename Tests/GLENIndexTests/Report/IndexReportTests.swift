import Foundation
import Testing

@testable import GLENIndex

@Suite("IndexReport")
struct IndexReportTests {
  /// Opens an index of these identifiers, as any user would find it on disk.
  private static func report(
    _ identifiers: [[Int32]], titles: [String]? = nil,
    piece: (Int32) -> String = { "\u{2581}w\($0)" }
  ) throws -> IndexReport {
    let length = identifiers.first?.count ?? 2
    var records = DocumentRecords()
    for (number, tokens) in identifiers.enumerated() {
      records.append(
        id: "d\(number)", title: titles?[number], tokens: tokens,
        weights: [Float](repeating: 1, count: length))
    }
    return try report(
      [IndexSegment(records, identifierLength: length, vocabularySize: 100)], length, piece)
  }

  private static func report(
    _ segments: [IndexSegment], _ length: Int, _ piece: (Int32) -> String = { "\u{2581}w\($0)" }
  ) throws -> IndexReport {
    try withTemporaryFolder { folder in
      try IndexFolder.write(
        IndexSnapshot(
          segments, identifierLength: length, vocabularySize: 100, modelFingerprint: "f<>&"),
        to: folder)
      return IndexReport(try IndexFolder.open(folder), piece: piece)
    }
  }

  @Test("Segments count as one index, without what is deleted")
  func segments() throws {
    var (first, second) = (DocumentRecords(), DocumentRecords())
    for (id, tokens) in [("a", [1, 2]), ("b", [1, 2]), ("c", [3, 4])] as [(String, [Int32])] {
      first.append(id: id, tokens: tokens, weights: [1, 1])
    }
    for (id, tokens) in [("x", [1, 2]), ("y", [7, 8])] as [(String, [Int32])] {
      second.append(id: id, tokens: tokens, weights: [1, 1])
    }
    let report = try Self.report(
      [
        IndexSegment(first, identifierLength: 2, vocabularySize: 100).deleting([0, 2]),
        IndexSegment(second, identifierLength: 2, vocabularySize: 100),
      ], 2)
    #expect(report.documents == 3 && report.identifiers == 2 && report.documentsAlone == 1)
    #expect(report.documentsBySegment == [1, 2])
    #expect(report.largestBuckets.map { $0.examples.map(\.id) } == [["b", "x"]])
    #expect(report.html(title: "two").contains("Documents by segment"))
  }

  @Test("Counts, rates and bits are those of the definitions")
  func numbers() throws {
    // Buckets of 4, 2, 1 and 1 documents.
    let identifiers: [[Int32]] =
      Array(repeating: [1, 2], count: 4) + [[1, 3], [1, 3], [2, 2], [5, 9]]
    let report = try Self.report(identifiers) { $0 == 9 ? "go" : "\u{2581}w\($0)" }
    #expect(report.documents == 8 && report.identifiers == 4 && report.identifierLength == 2)
    #expect(report.documentsAlone == 2 && report.largestBucket == 4)
    #expect(report.collisionRate == 0.75)
    // 1/2 * 1 + 1/4 * 2 + 2 * 1/8 * 3
    #expect(abs(report.identifierEntropy - 1.75) < 1e-12)
    #expect(report.tokensByStep == [3, 3])
    let first = [6.0, 1, 1].reduce(0) { $0 - $1 / 8 * log2($1 / 8) }
    #expect(abs(report.tokenEntropyByStep[0] - first) < 1e-12)
    #expect(
      report.bucketSizes == [
        .init(smallest: 1, largest: 1, identifiers: 2, documents: 2),
        .init(smallest: 2, largest: 3, identifiers: 1, documents: 2),
        .init(smallest: 4, largest: 7, identifiers: 1, documents: 4),
      ])
    #expect(report.documentsByWordCount == [1, 7])
    #expect(report.largestBuckets.map(\.documents) == [4, 2])
    #expect(report.largestBuckets[0].identifier == ["\u{2581}w1", "\u{2581}w2"])
    #expect(report.largestBuckets[1].examples.map(\.id) == ["d4", "d5"])
    #expect(report.firstTokens.map(\.documents) == [6, 1, 1])
    #expect(report.firstTokens[0].branches.map(\.documents) == [4, 2])
    #expect(report.firstTokens[0].branches.map(\.piece) == ["\u{2581}w2", "\u{2581}w3"])
    #expect(report.documentsBySegment == [8])
  }

  @Test("Rare tokens are counted together, and nobody is lost")
  func rareTokens() throws {
    let identifiers = (0..<3000).map { [Int32($0 % 100), Int32($0 % 64), 3] }
    let report = try Self.report(identifiers)
    let rest = try #require(report.firstTokens.last)
    #expect(rest.piece == nil && rest.tokens == 100 - report.firstTokens.count + 1)
    #expect(report.firstTokens.reduce(0) { $0 + $1.documents } == 3000)
    for branch in report.firstTokens.dropLast() {
      #expect(branch.branches.reduce(0) { $0 + $1.documents } == branch.documents)
    }
    #expect(report.largestBuckets.count == 10)
    #expect(report.bucketSizes.reduce(0) { $0 + $1.documents } == 3000)
  }

  @Test("An index of nothing, and of one document, has a report and a page")
  func small() throws {
    let nothing = try Self.report([])
    #expect(nothing.collisionRate == 0 && nothing.identifierEntropy == 0)
    #expect(nothing.html(title: "").contains("</html>"))
    let one = try Self.report([[4]])
    #expect(one.documentsAlone == 1 && one.identifierEntropy == 0)
    #expect(one.firstTokens[0].branches.isEmpty)
    #expect(one.html(title: "one").contains("1 document"))
  }

  @Test("The page is well-formed XML but for its doctype, whatever the texts are")
  func page() throws {
    let hostile = "</title><script>alert('x')</script>&\"\u{1}"
    let identifiers = (0..<40).map { [Int32($0 % 4), Int32($0 % 8)] }
    let report = try Self.report(
      identifiers, titles: [String](repeating: hostile, count: 40), piece: { "<\($0)&\"'" })
    let page = report.html(title: hostile)
    #expect(!page.contains("<script") && !page.contains("http"))
    #expect(page.contains("&lt;script&gt;alert(&#39;x&#39;)"))
    #expect(page.contains("prefers-color-scheme: dark"))
    // Every tag that opens closes again, in order.
    var open: [Substring] = []
    let body = page.drop { $0 != "\n" }
    for tag in body.split(separator: "<").dropFirst() {
      let name = tag.prefix { $0.isLetter || $0.isNumber || $0 == "/" }
      let isEmpty = tag.prefix { $0 != ">" }.hasSuffix("/") || name == "meta"
      if name.hasPrefix("/") {
        #expect(open.popLast() == name.dropFirst())
      } else if !isEmpty {
        open.append(name)
      }
    }
    #expect(open.isEmpty)
  }

  @Test("A tree map fills its box with areas in proportion, and no field overlaps another")
  func treeMap() {
    var generator = SeededGenerator(seed: 8)
    for count in 1...30 {
      let values = (0..<count).map { _ in Double.random(in: 0.1...50, using: &generator) }
        .sorted(by: >)
      let whole = TreeMap.Box(x: 3, y: 4, width: 300, height: 200)
      let boxes = TreeMap.boxes(of: values, in: whole)
      #expect(boxes.count == count)
      let total = values.reduce(0, +)
      for (value, box) in zip(values, boxes) {
        #expect(abs(box.width * box.height - value / total * 60_000) < 1e-6)
        #expect(box.x > 2.999 && box.x + box.width < 303.001)
        #expect(box.y > 3.999 && box.y + box.height < 204.001)
      }
      for (index, left) in boxes.enumerated() {
        for right in boxes[(index + 1)...] {
          let isApart =
            left.x + left.width < right.x + 1e-6 || right.x + right.width < left.x + 1e-6
            || left.y + left.height < right.y + 1e-6 || right.y + right.height < left.y + 1e-6
          #expect(isApart)
        }
      }
    }
    #expect(TreeMap.boxes(of: [], in: .init(x: 0, y: 0, width: 1, height: 1)).isEmpty)
  }
}

import Foundation
import GLENIndex
import GLENText
import Testing

@testable import GLENTraining

@Suite("The authors' file of identifiers")
struct IdentifierFileTests {
  private let index: RandomIndex
  private let folder: TemporaryFolder

  init() throws {
    index = try RandomIndex()
    folder = try TemporaryFolder()
  }

  private func read(_ text: String) throws -> IdentifierFile {
    let url = try folder.write(Data(text.utf8), to: "ids.tsv")
    return try IdentifierFile(contentsOf: url, tokenizer: index.model.tokenizer)
  }

  /// An index of one document.
  private static func snapshot(
    _ id: String, _ title: String, _ tokens: [Int32], _ weights: [Float]
  ) throws -> IndexSnapshot {
    var records = DocumentRecords()
    records.append(id: id, title: title, tokens: tokens, weights: weights)
    return try IndexSnapshot(
      [IndexSegment(records, identifierLength: tokens.count, vocabularySize: 100)],
      identifierLength: tokens.count, vocabularySize: 100, modelFingerprint: "model")
  }

  private func pieces(_ tokens: [Int32]) -> String {
    tokens.map(index.model.tokenizer.piece).joined(separator: "<->")
  }

  @Test("An index that is written and read back is the same index")
  func roundTrip() throws {
    let retriever = try index.retriever { [Int32($0 % 7) + 5, Int32($0 * 31 % 90) + 9] }
    let url = folder.url.appendingPathComponent("written.tsv")
    try IdentifierFile.write(
      retriever.snapshot, tokenizer: index.model.tokenizer, to: url)
    let lines = try String(contentsOf: url, encoding: .utf8).split(separator: "\n")
    #expect(lines.count == 30)
    #expect(lines[0] == "d0\t\(pieces([5, 9]))\t1.0<->2.0\t\(index.dataset.documents[0].title)")
    let file = try IdentifierFile(contentsOf: url, tokenizer: index.model.tokenizer)
    // The order of the file need not be that of the documents.
    for documents in [index.dataset.documents, index.dataset.documents.reversed()] {
      let (tokens, weights) = try file.identifiers(of: documents)
      let again = try Indexer(model: index.model).index(documents, tokens: tokens, weights: weights)
      for document in documents.map(\.id) {
        let (old, new) = (
          try #require(retriever.snapshot.document(withID: document)),
          try #require(again.snapshot.document(withID: document))
        )
        let (before, after) = (retriever.snapshot.tables, again.snapshot.tables)
        #expect(before.tokens(ofDocument: old) == after.tokens(ofDocument: new))
        #expect(before.weights(ofDocument: old) == after.weights(ofDocument: new))
      }
    }
  }

  @Test("Logits survive to the last bit")
  func logits() throws {
    let weights: [Float] = [0.1, -3.402_823e38, .leastNonzeroMagnitude, 16_777_213, -0.0]
    let url = folder.url.appendingPathComponent("one.tsv")
    try IdentifierFile.write(
      Self.snapshot("a", "two\twords\r\nand more", [5, 6, 7, 8, 9], weights),
      tokenizer: index.model.tokenizer, to: url)
    #expect(try String(contentsOf: url, encoding: .utf8).hasSuffix("\ttwo words  and more\n"))
    let row = try #require(
      try IdentifierFile(contentsOf: url, tokenizer: index.model.tokenizer).rows.first)
    #expect(row.weights.map(\.bitPattern) == weights.map(\.bitPattern))
    #expect(row.tokens == [5, 6, 7, 8, 9])
  }

  @Test("The authors' lines are read: four columns, rounded logits, a text that is not looked at")
  func authorsLines() throws {
    let file = try read(
      "17\t\(pieces([5, 6]))\t31.0412<->-2.5\tsome text\n\n18\t\(pieces([7, 7]))\t1e-05<->0.0\t\t\n"
    )
    #expect(
      file.rows == [
        .init(id: "17", tokens: [5, 6], weights: [31.0412, -2.5]),
        .init(id: "18", tokens: [7, 7], weights: [1e-5, 0]),
      ])
  }

  @Test(
    "What is wrong is said with its line",
    arguments: [
      ("b\tPIECES", "got 2 of"), ("\tPIECES\t1<->2", "no document"),
      ("b\tno-such-piece<->x\t1<->2", "'no-such-piece'"), ("b\tPIECES\t1<->nan", "'nan'"),
      ("b\tPIECES\t1<->two", "'two'"), ("b\tPIECES\t1", "got 1;"),
      ("b\tPIECES<->PIECES\t1<->2<->3<->4", "got 4;"), ("b PIECES 1<->2 more", "got 1 of"),
      ("b\t\t1<->2", "got ''"),
    ])
  func malformed(line: String, problem: String) throws {
    let good = "a\t\(pieces([5, 6]))\t1<->2\ttext\n"
    let text = good + line.replacingOccurrences(of: "PIECES", with: pieces([5, 6])) + "\n"
    let error = try #require(throws: TrainingError.self) { try read(text) }
    #expect("\(error)".contains("line 2"))
    #expect("\(error)".contains(problem), "\(error)")
  }

  @Test("A document twice, none at all, and documents that do not match are errors")
  func wrongDocuments() throws {
    let line = "\t\(pieces([5, 6]))\t1<->2\n"
    #expect(throws: TrainingError.self) { try read("a" + line + "a" + line) }
    #expect(throws: TrainingError.self) { try read("\n") }
    #expect(throws: TrainingError.self) {
      try IdentifierFile(
        contentsOf: folder.url.appendingPathComponent("none.tsv"),
        tokenizer: index.model.tokenizer)
    }
    let file = try read("a" + line + "b" + line)
    let (a, b, c) = (
      Document(id: "a", text: ""), Document(id: "b", text: ""), Document(id: "c", text: "")
    )
    #expect(try file.identifiers(of: [b, a]).tokens == [5, 6, 5, 6])
    for documents in [[a], [a, b, c]] {
      #expect(throws: TrainingError.self) { try file.identifiers(of: documents) }
    }
  }
}

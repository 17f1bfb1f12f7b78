import Foundation
import Testing

@testable import GLENTraining

struct LineReaderTests {
  @Test(arguments: [1, 2, 3, 7, 64, 1 << 16])
  func linesDoNotDependOnTheChunkSize(chunkSize: Int) throws {
    let long = String(repeating: "x", count: 1000)
    let folder = try TemporaryFolder(["a": "\u{FEFF}one\r\n\ntwo\n\(long)\nlast"])
    let lines = try lines(of: folder.url.appendingPathComponent("a"), chunkSize: chunkSize)
    #expect(lines == ["one", "", "two", long, "last"])
  }

  @Test func anEmptyFileHasNoLines() throws {
    let folder = try TemporaryFolder(["a": "", "b": "\n"])
    #expect(try lines(of: folder.url.appendingPathComponent("a")) == [])
    #expect(try lines(of: folder.url.appendingPathComponent("b")) == [""])
  }

  @Test(arguments: [1, 3, 4096])
  func aLineThatIsTooLongIsAnErrorWithItsNumber(chunkSize: Int) throws {
    let folder = try TemporaryFolder(["a": "four\nfives\nsix"])
    let url = folder.url.appendingPathComponent("a")
    let reader = try LineReader(contentsOf: url, chunkSize: chunkSize, lineLimit: 4)
    #expect(try reader.next())
    let error = #expect(throws: TrainingError.self) { try reader.next() }
    #expect(error?.description.contains("line 2 has more than 4 bytes") == true)
    let fits = try LineReader(contentsOf: url, chunkSize: chunkSize, lineLimit: 5)
    #expect(try fits.next() && fits.next() && fits.next() && !fits.next())
  }

  @Test func countsLinesFromOne() throws {
    let folder = try TemporaryFolder(["a": "x\ny\n"])
    let reader = try LineReader(contentsOf: folder.url.appendingPathComponent("a"))
    #expect(reader.lineNumber == 0)
    #expect(try reader.next() && reader.lineNumber == 1)
    #expect(try reader.next() && reader.lineNumber == 2)
    #expect(try !reader.next() && reader.lineNumber == 2)
  }

  @Test func gzipReadsAsPlainTextEvenInSeveralMembers() throws {
    let folder = try TemporaryFolder(["plain": TestData.corpus])
    let compressed = try folder.write(TestData.compressedCorpus, to: "a.gz")
    let plain = try lines(of: folder.url.appendingPathComponent("plain"))
    #expect(try lines(of: compressed, chunkSize: 5) == plain)
    let twice = try folder.write(TestData.compressedCorpus + TestData.compressedCorpus, to: "b.gz")
    #expect(try lines(of: twice) == plain + plain)
  }

  @Test func gzipCutOffAnywhereIsAnError() throws {
    let folder = try TemporaryFolder()
    for length in 0..<TestData.compressedCorpus.count {
      let file = try folder.write(TestData.compressedCorpus.prefix(length), to: "a.gz")
      #expect(throws: TrainingError.self, "cut to \(length) bytes") { try lines(of: file) }
    }
  }

  @Test func damagedGzipAndTextNamedGzipAreErrors() throws {
    let folder = try TemporaryFolder(["text.gz": "plain text\n"])
    var damaged = TestData.compressedCorpus
    damaged[damaged.count - 6] ^= 0xFF
    let file = try folder.write(damaged, to: "damaged.gz")
    #expect(throws: TrainingError.self) { try lines(of: file) }
    let text = folder.url.appendingPathComponent("text.gz")
    #expect(
      throws: TrainingError.unreadableFile(path: text.path, reason: "data that is not gzip")
    ) {
      try lines(of: text)
    }
  }

  @Test func aFolderOrAMissingFileIsAnError() throws {
    let folder = try TemporaryFolder()
    #expect(throws: TrainingError.self) { try lines(of: folder.url) }
    #expect(throws: TrainingError.self) { try lines(of: folder.url.appendingPathComponent("no")) }
  }

  private func lines(of url: URL, chunkSize: Int = 1 << 10) throws -> [String] {
    let reader = try LineReader(contentsOf: url, chunkSize: chunkSize)
    var lines: [String] = []
    while try reader.next() { lines.append(String(decoding: reader.line, as: UTF8.self)) }
    return lines
  }
}

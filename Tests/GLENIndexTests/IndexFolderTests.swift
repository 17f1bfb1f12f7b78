import Foundation
import GLENTensor
import Testing

@testable import GLENIndex

@Suite struct IndexFolderTests {
  private static func makeCase(documents: Int = 60, seed: UInt64 = 2) throws -> SearchCase {
    try SearchCase(.random, documents: documents, length: 3, vocabulary: 9, seed: seed)
  }

  private static func names(_ count: Int) -> [String] {
    (0..<count).map { "D\(($0 * 37) % count)-é\"\\" }
  }

  private static func files(in folder: URL) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
  }

  /// Every byte of a folder, by file name.
  private static func snapshot(of folder: URL) throws -> [String: Data] {
    try Dictionary(
      uniqueKeysWithValues: files(in: folder).map {
        ($0, try Data(contentsOf: folder.appendingPathComponent($0)))
      })
  }

  @Test(arguments: [0, 1, 60], [false, true])
  func opensWhatWasSaved(documents: Int, hasTitles: Bool) throws {
    try withTemporaryFolder { parent in
      let folder = parent.appendingPathComponent("new/index")
      let made = try Self.makeCase(documents: documents)
      let names = Self.names(documents)
      let titles = hasTitles ? names.map { $0 == names.first ? "" : "Title of \($0)" } : nil
      let fingerprint = "sha256:\u{1}\n\t\"ü\" \\ 𝄞"
      let metadata: [[String: MetadataValue]]? =
        hasTitles
        ? nil : names.map { $0 == names.first ? [:] : ["é\"": .string($0), "n": 0.1, "b": true] }
      try IndexFolder.write(
        made.snapshot(names: names, titles: titles, metadata: metadata, fingerprint: fingerprint),
        to: folder)
      #expect(try Self.files(in: folder).count == 3)
      let opened = try IndexFolder.open(folder, verifying: true)
      let segment = try #require(opened.segments.first)
      #expect(opened.modelFingerprint == fingerprint && opened.generation == 1)
      #expect(segment.table.layout == made.table.layout)
      #expect(segment.table.allIdentifiers() == made.table.allIdentifiers())
      #expect(segment.table.allWeights() == made.table.allWeights())
      #expect(segment.documents.hasTitles == hasTitles)
      #expect(opened.documentCount == documents && opened.livingCount == documents)
      for document in 0..<documents {
        #expect(opened.id(ofDocument: document) == names[document])
        #expect(opened.title(ofDocument: document) == titles?[document])
        #expect(opened.metadata(ofDocument: document) == metadata?[document] ?? [:])
        #expect(opened.document(withID: names[document]) == document)
      }
      for name in ["", "D", "D0", "zzz"] { #expect(opened.document(withID: name) == nil) }
      #expect(
        try ExactSearch(opened.tables).rank(made.scores, limit: 20)
          == ExactSearch(table: made.table).rank(made.scores, limit: 20))
    }
  }

  @Test func sameIndexHasTheSameBytes() throws {
    try withTemporaryFolder { folder in
      let made = try Self.makeCase()
      for name in ["a", "b", "b"] {
        try IndexFolder.write(
          made.snapshot(names: Self.names(60)), to: folder.appendingPathComponent(name))
      }
      // All but the count of saves.
      let first = try Self.snapshot(of: folder.appendingPathComponent("a"))
      let second = try Self.snapshot(of: folder.appendingPathComponent("b"))
      #expect(first.count == 3 && first.keys == second.keys)
      for (name, data) in first where name != "manifest.json" { #expect(second[name] == data) }
    }
  }

  @Test func savingReplacesTheOldIndexButNotItsReaders() throws {
    try withTemporaryFolder { folder in
      let old = try Self.makeCase(seed: 1)
      let new = try Self.makeCase(documents: 90, seed: 2)
      try IndexFolder.write(
        old.snapshot(names: Self.names(60), fingerprint: "old"), to: folder)
      let reader = try IndexFolder.open(folder)
      try Data("keep".utf8).write(to: folder.appendingPathComponent("notes.txt"))
      try Data("left".utf8).write(to: folder.appendingPathComponent(".glen-0.tmp"))
      try IndexFolder.write(
        new.snapshot(names: Self.names(90), fingerprint: "new"), to: folder)
      #expect(try IndexFolder.open(folder, verifying: true).modelFingerprint == "new")
      #expect(reader.segments.first?.table.allIdentifiers() == old.table.allIdentifiers())
      #expect(reader.id(ofDocument: 1) == Self.names(60)[1])
      let files = try Self.files(in: folder)
      #expect(files.count == 4)
      #expect(files.contains("notes.txt"))
    }
  }

  @Test func refusesNamesThatDoNotFit() throws {
    try withTemporaryFolder { folder in
      let made = try Self.makeCase()
      func failure(_ names: [String], _ titles: [String]? = nil) -> String {
        do {
          try IndexFolder.write(
            made.snapshot(names: names, titles: titles), to: folder)
          return ""
        } catch {
          return "\(error)"
        }
      }
      var names = Self.names(60)
      #expect(failure(names.dropLast()).contains("expected 60 names, got 59"))
      #expect(failure(names, ["one"]).contains("expected 60 titles, got 1"))
      names[41] = names[7]
      #expect(failure(names).contains("got \"\(names[7])\" twice"))
      #expect(try Self.files(in: folder).isEmpty)
    }
  }

  @Test func tellsNamesApartByTheirBytes() throws {
    let catalog = try DocumentCatalog(identifiers: ["e\u{301}", "\u{e9}", ""])
    #expect(catalog.document(withIdentifier: "\u{e9}") == 1)
    #expect(catalog.document(withIdentifier: "e\u{301}") == 0)
    #expect(catalog.document(withIdentifier: "") == 2)
  }

  @Test func namesTheFileThatIsMissing() throws {
    try withTemporaryFolder { folder in
      func failure() -> IndexError? {
        #expect(throws: IndexError.self) { try IndexFolder.open(folder) }
      }
      let manifest = folder.path + "/manifest.json"
      #expect(failure() == .fileSystem(operation: "open file", path: manifest, code: ENOENT))
      #expect(failure()?.description.contains("No such file") == true)
      let made = try Self.makeCase()
      try IndexFolder.write(
        made.snapshot(names: Self.names(60), fingerprint: "m"), to: folder)
      let data = try #require(try Self.files(in: folder).first { $0.hasPrefix("documents-") })
      try FileManager.default.removeItem(at: folder.appendingPathComponent(data))
      #expect(
        failure()
          == .fileSystem(operation: "open file", path: folder.path + "/" + data, code: ENOENT))
      try FileManager.default.createDirectory(
        at: folder.appendingPathComponent(data), withIntermediateDirectories: false)
      #expect(failure()?.description.contains("not a regular file") == true)
    }
  }

  @Test func namesOtherVersionsAndFormats() throws {
    try withTemporaryFolder { folder in
      let manifest = folder.appendingPathComponent("manifest.json")
      func failure(_ text: String) throws -> IndexError? {
        try Data(text.utf8).write(to: manifest)
        return #expect(throws: IndexError.self) { try IndexFolder.open(folder) }
      }
      #expect(
        try failure("{\"format\": \"GLEN index\", \"version\": 1}")
          == .unsupportedVersion(path: manifest.path, found: 1, supported: 2))
      let other = try failure("{\"format\": \"other\", \"version\": 2}")
      #expect(other?.description.contains("\"other\"") == true)
      for text in ["", "{", "[]", "{\"format\": \"GLEN index\", \"version\": 2}", "\u{0}"] {
        guard case .damagedFile(let path, _)? = try failure(text) else {
          Issue.record("\(text) was opened")
          continue
        }
        #expect(path == manifest.path)
      }
    }
  }

  /// Every length that a header could lie about, at its extremes.
  @Test func lyingCountsAreRefused() throws {
    let made = try Self.makeCase(documents: 30)
    let catalog = try DocumentCatalog(identifiers: Self.names(30))
    let lies: [UInt64] = [0, 1, 31, 1 << 31, UInt64(UInt32.max), 1 << 32, 1 << 62, 1 << 63, .max]
    for offset in stride(from: 16, through: 48, by: 8) {
      for lie in lies {
        let memory = IndexMemory(count: made.table.memory.bytes.count) { bytes in
          bytes.copyMemory(from: made.table.memory.bytes)
          bytes.storeBytes(of: lie, toByteOffset: offset, as: UInt64.self)
        }
        // A larger vocabulary is no lie that a table could show.
        guard offset != 40 || lie < 9 || lie > 1 << 24 else { continue }
        #expect(throws: IndexError.self) {
          try IdentifierTable(memory: memory, path: "x").validate(path: "x")
        }
      }
    }
    for offset in stride(from: 16, through: 56, by: 8) {
      for lie in lies where offset < 32 || lie != 0 {
        let memory = IndexMemory(count: catalog.memory.bytes.count) { bytes in
          bytes.copyMemory(from: catalog.memory.bytes)
          bytes.storeBytes(of: lie, toByteOffset: offset, as: UInt64.self)
        }
        #expect(throws: IndexError.self) {
          try DocumentCatalog(memory: memory, path: "x").validate(path: "x")
        }
      }
    }
  }

  @Test func checksumIsTheOneOfXZ() {
    let check = Array("123456789".utf8).withUnsafeBytes { CRC64.checksum($0) }
    #expect(check == 0x995D_C9BB_DF19_39FA)
    #expect(CRC64.text(0xAB) == "00000000000000ab")
  }
}

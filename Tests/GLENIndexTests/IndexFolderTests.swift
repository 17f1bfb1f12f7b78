import Foundation
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
      try IndexFolder.write(
        made.table, documentIDs: names, titles: titles, modelFingerprint: fingerprint, to: folder)
      #expect(try Self.files(in: folder).count == 3)
      let contents = try IndexFolder.open(folder, verifying: true)
      #expect(contents.modelFingerprint == fingerprint)
      #expect(contents.table.layout == made.table.layout)
      #expect(contents.table.allIdentifiers() == made.table.allIdentifiers())
      #expect(contents.table.allWeights() == made.table.allWeights())
      #expect(contents.documents.hasTitles == hasTitles)
      #expect(contents.documents.count == documents)
      for document in 0..<documents {
        #expect(contents.documents.identifier(ofDocument: document) == names[document])
        #expect(contents.documents.title(ofDocument: document) == titles?[document])
        #expect(contents.documents.document(withIdentifier: names[document]) == document)
      }
      for name in ["", "D", "D0", "zzz"] {
        #expect(contents.documents.document(withIdentifier: name) == nil)
      }
      #expect(
        try ExactSearch(table: contents.table).rank(made.scores, limit: 20)
          == ExactSearch(table: made.table).rank(made.scores, limit: 20))
    }
  }

  @Test func sameIndexHasTheSameBytes() throws {
    try withTemporaryFolder { folder in
      let made = try Self.makeCase()
      for name in ["a", "b", "b"] {
        try IndexFolder.write(
          made.table, documentIDs: Self.names(60), modelFingerprint: "m",
          to: folder.appendingPathComponent(name))
      }
      let first = try Self.snapshot(of: folder.appendingPathComponent("a"))
      #expect(try Self.snapshot(of: folder.appendingPathComponent("b")) == first)
    }
  }

  @Test func savingReplacesTheOldIndexButNotItsReaders() throws {
    try withTemporaryFolder { folder in
      let old = try Self.makeCase(seed: 1)
      let new = try Self.makeCase(documents: 90, seed: 2)
      try IndexFolder.write(
        old.table, documentIDs: Self.names(60), modelFingerprint: "old", to: folder)
      let reader = try IndexFolder.open(folder)
      try Data("keep".utf8).write(to: folder.appendingPathComponent("notes.txt"))
      try Data("left".utf8).write(to: folder.appendingPathComponent(".glen-0.tmp"))
      try IndexFolder.write(
        new.table, documentIDs: Self.names(90), modelFingerprint: "new", to: folder)
      #expect(try IndexFolder.open(folder, verifying: true).modelFingerprint == "new")
      #expect(reader.table.allIdentifiers() == old.table.allIdentifiers())
      #expect(reader.documents.identifier(ofDocument: 1) == Self.names(60)[1])
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
            made.table, documentIDs: names, titles: titles, modelFingerprint: "", to: folder)
          return ""
        } catch {
          return "\(error)"
        }
      }
      var names = Self.names(60)
      #expect(failure(names.dropLast()).contains("expected 60 names, got 59"))
      #expect(failure(names, ["one"]).contains("expected 60 titles, got 1"))
      names[41] = names[7]
      #expect(failure(names).contains("documents 7 and 41 have the same name"))
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
        made.table, documentIDs: Self.names(60), modelFingerprint: "m", to: folder)
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
        try failure("{\"format\": \"GLEN index\", \"version\": 2}")
          == .unsupportedVersion(path: manifest.path, found: 2, supported: 1))
      let other = try failure("{\"format\": \"other\", \"version\": 1}")
      #expect(other?.description.contains("\"other\"") == true)
      for text in ["", "{", "[]", "{\"format\": \"GLEN index\", \"version\": 1}", "\u{0}"] {
        guard case .damagedFile(let path, _)? = try failure(text) else {
          Issue.record("\(text) was opened")
          continue
        }
        #expect(path == manifest.path)
      }
    }
  }

  /// Changes and cuts of every file: never a trap, and found when the checksums are compared.
  @Test(arguments: 0..<4)
  func damageIsFound(part: Int) throws {
    try withTemporaryFolder { folder in
      let made = try Self.makeCase(documents: 30)
      let names = Self.names(30)
      try IndexFolder.write(
        made.table, documentIDs: names, titles: names, modelFingerprint: "model", to: folder)
      let files = try Self.snapshot(of: folder).sorted { $0.key < $1.key }
      var generator = SeededGenerator(seed: UInt64(part))
      for round in 0..<500 {
        let (name, original) = files[round % files.count]
        let url = folder.appendingPathComponent(name)
        var damaged = original
        let place = Int.random(in: 0..<original.count, using: &generator)
        switch Int.random(in: 0..<6, using: &generator) {
        case 0: damaged = original.prefix(place)
        case 1: damaged.append(UInt8.random(in: 0...255, using: &generator))
        default: damaged[place] ^= UInt8.random(in: 1...255, using: &generator)
        }
        try damaged.write(to: url)
        do {
          _ = try IndexFolder.open(folder, verifying: true)
          Issue.record("round \(round): damage to \(name) was not found")
        } catch let error as IndexError {
          #expect(error.description.contains(folder.path))
        }
        // Without the checksums it may open; then whatever it holds can be searched safely.
        if let contents = try? IndexFolder.open(folder) {
          let ranking = try ExactSearch(table: contents.table).rank(made.scores, limit: 30)
          #expect(ranking.allSatisfy { !$0.score.isNaN && !$0.similarity.isNaN })
          for hit in ranking {
            _ = contents.documents.identifier(ofDocument: hit.document)
            _ = contents.documents.title(ofDocument: hit.document)
          }
        }
        try original.write(to: url)
      }
      try IndexFolder.verify(folder)
    }
  }

  /// The same without the manifest's help: the data files alone say whether they are consistent.
  @Test func damagedRegionsNeverLeadASearchAstray() throws {
    let made = try Self.makeCase(documents: 30)
    let catalog = try DocumentCatalog(identifiers: Self.names(30), titles: Self.names(30))
    var generator = SeededGenerator(seed: 99)
    for _ in 0..<2000 {
      var bytes = [UInt8](made.table.memory.bytes)
      for _ in 0..<Int.random(in: 1...3, using: &generator) {
        let header = Bool.random(using: &generator) ? bytes.count : 64
        bytes[Int.random(in: 0..<header, using: &generator)] ^=
          UInt8.random(in: 1...255, using: &generator)
      }
      let table = try? IdentifierTable(
        memory: IndexMemory(count: bytes.count) { $0.copyBytes(from: bytes) }, path: "x")
      if let table,
        let ranking = try? ExactSearch(table: table).rank(made.scores, limit: 30),
        let beam = try? BeamSearch(table: table, width: 50).rank(made.scores, limit: 30)
      {
        #expect(ranking == beam)
      }
      var texts = [UInt8](catalog.memory.bytes)
      texts[Int.random(in: 0..<texts.count, using: &generator)] ^=
        UInt8.random(in: 1...255, using: &generator)
      let damaged = try? DocumentCatalog(
        memory: IndexMemory(count: texts.count) { $0.copyBytes(from: texts) }, path: "x")
      if let damaged {
        for document in 0..<damaged.count {
          let name = damaged.identifier(ofDocument: document)
          _ = damaged.title(ofDocument: document)
          _ = damaged.document(withIdentifier: name)
        }
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
        #expect(throws: IndexError.self) { try IdentifierTable(memory: memory, path: "x") }
      }
    }
    for offset in stride(from: 16, through: 32, by: 8) {
      for lie in lies where offset != 32 || lie != 0 {
        let memory = IndexMemory(count: catalog.memory.bytes.count) { bytes in
          bytes.copyMemory(from: catalog.memory.bytes)
          bytes.storeBytes(of: lie, toByteOffset: offset, as: UInt64.self)
        }
        #expect(throws: IndexError.self) { try DocumentCatalog(memory: memory, path: "x") }
      }
    }
  }

  @Test func checksumIsTheOneOfXZ() {
    let check = Array("123456789".utf8).withUnsafeBytes { CRC64.checksum($0) }
    #expect(check == 0x995D_C9BB_DF19_39FA)
    #expect(CRC64.text(0xAB) == "00000000000000ab")
  }
}

import Foundation
import Testing

@testable import GLENIndex

@Suite struct IndexEditorTests {
  private static func records(_ ids: [String], token: Int32 = 1) -> DocumentRecords {
    var records = DocumentRecords()
    for id in ids { records.append(id: id, tokens: [token, 2, 3], weights: [1, 2, 3]) }
    return records
  }

  /// An index of documents "0" to "9" in a new folder.
  private static func makeIndex(in parent: URL, count: Int = 10) throws -> URL {
    let folder = parent.appendingPathComponent("index")
    let segment = try IndexSegment(
      records((0..<count).map(String.init)), identifierLength: 3, vocabularySize: 6)
    try IndexFolder.write(
      IndexSnapshot(
        [segment], identifierLength: 3, vocabularySize: 6, modelFingerprint: "model"), to: folder)
    return folder
  }

  private static func ids(in folder: URL) throws -> Set<String> {
    try Set(IndexFolder.open(folder, verifying: true).entries.keys)
  }

  /// Whatever is committed in whatever order: the folder holds it, and readers keep what they had.
  @Test(arguments: 1...4)
  func foldersHoldWhatWasCommitted(seed: UInt64) throws {
    try withTemporaryFolder { parent in
      let folder = parent.appendingPathComponent("index")
      var script = EditScript(seed: seed)
      var readers: [(IndexSnapshot, [String: EditScript.Entry])] = []
      for _ in 0..<40 {
        try script.commitNext(to: folder)
        let snapshot = try IndexFolder.open(folder, verifying: true)
        #expect(snapshot.generation == script.generation)
        #expect(snapshot.entries == script.state)
        #expect(snapshot.livingCount == script.state.count)
        for name in script.state.keys.prefix(5) {
          let number = try #require(snapshot.document(withID: name))
          #expect(snapshot.isLiving(number) && snapshot.id(ofDocument: number) == name)
        }
        readers.append((snapshot, script.state))
      }
      for (snapshot, state) in readers { #expect(snapshot.entries == state) }
      // Nothing is left of what was replaced.
      let files = try FileManager.default.contentsOfDirectory(atPath: folder.path)
      let manifest = try IndexFolder.readManifest(in: folder.path)
      #expect(Set(files) == Set(manifest.files.map(\.name) + ["manifest.json"]))
    }
  }

  @Test func nothingIsVisibleBeforeTheCommit() throws {
    try withTemporaryFolder { parent in
      let folder = try Self.makeIndex(in: parent)
      var editor = try IndexEditor(folder: folder.path)
      let before = try FileManager.default.contentsOfDirectory(atPath: folder.path)
      try editor.add(Self.records(["new"]))
      try editor.remove(["3"])
      #expect(editor.contains("new") && !editor.contains("3") && editor.hasChanges)
      #expect(try Self.ids(in: folder) == Set((0..<10).map(String.init)))
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == before)
      try editor.commit()
      #expect(
        try Self.ids(in: folder) == Set((0..<10).map(String.init)).subtracting(["3"]).union(["new"])
      )
      #expect(!editor.hasChanges)
      #expect(try !editor.commit())
      try editor.remove(["new"])
      try editor.reset()
      #expect(editor.contains("new") && !editor.hasChanges)
    }
  }

  @Test func namesAreChecked() throws {
    try withTemporaryFolder { parent in
      let folder = try Self.makeIndex(in: parent)
      var editor = try IndexEditor(folder: folder.path)
      func failure(_ edit: (inout IndexEditor) throws(IndexError) -> Void) -> String {
        do {
          try edit(&editor)
          return ""
        } catch {
          return "\(error)"
        }
      }
      #expect(
        failure { e throws(IndexError) in try e.add(Self.records(["x", "4"])) }.contains("\"4\""))
      #expect(
        failure { e throws(IndexError) in try e.add(Self.records(["x", "x"])) }.contains("\"x\""))
      #expect(failure { e throws(IndexError) in try e.remove(["1", "none"]) }.contains("\"none\""))
      var short = DocumentRecords()
      short.append(id: "short", tokens: [1, 2], weights: [1, 2])
      #expect(failure { e throws(IndexError) in try e.add(short) }.contains("expected 3 tokens"))
      #expect(!editor.hasChanges)
      // Two spellings of é are two names.
      try editor.add(Self.records(["e\u{301}", "\u{e9}"]))
      try editor.remove(["\u{e9}"])
      try editor.commit()
      #expect(editor.contains("e\u{301}") && !editor.contains("\u{e9}"))
      // What was removed may come again, before and after the commit.
      try editor.remove(["1"])
      try editor.add(Self.records(["1"], token: 4))
      try editor.commit()
      try editor.remove(["1"])
      try editor.commit()
      try editor.add(Self.records(["1"], token: 5))
      try editor.commit()
      let snapshot = try IndexFolder.open(folder, verifying: true)
      #expect(snapshot.entries["1"]?.tokens == [5, 2, 3])
      #expect(snapshot.livingCount == 11)
    }
  }

  /// Two editors of one folder: the second's changes are applied to what the first has committed.
  @Test func editorsDoNotUndoEachOther() throws {
    try withTemporaryFolder { parent in
      let folder = try Self.makeIndex(in: parent)
      var (first, second) = (
        try IndexEditor(folder: folder.path), try IndexEditor(folder: folder.path)
      )
      try first.add(Self.records(["a"]))
      try first.remove(["1", "2"])
      try second.add(Self.records(["b"]))
      try second.remove(["2", "3"])
      try first.commit()
      try second.commit()
      #expect(try Self.ids(in: folder) == ["0", "4", "5", "6", "7", "8", "9", "a", "b"])
      try first.add(Self.records(["same"], token: 1))
      try second.add(Self.records(["same"], token: 2))
      try first.commit()
      let error = #expect(throws: IndexError.self) { try second.commit() }
      #expect(error?.description.contains("\"same\"") == true)
      #expect(try IndexFolder.open(folder).entries["same"]?.tokens == [1, 2, 3])
      // An update says which is wanted.
      try second.reset()
      try second.add(Self.records(["same"], token: 2), replacing: true)
      try second.commit()
      #expect(try IndexFolder.open(folder).entries["same"]?.tokens == [2, 2, 3])
    }
  }

  /// Whose update is committed last stays, and nothing else of either is lost.
  @Test func updatesOfOneDocumentMeet() throws {
    try withTemporaryFolder { parent in
      let folder = try Self.makeIndex(in: parent)
      var (first, second) = (
        try IndexEditor(folder: folder.path), try IndexEditor(folder: folder.path)
      )
      try first.add(Self.records(["new"], token: 1), replacing: true)
      try second.add(Self.records(["new", "other"], token: 2), replacing: true)
      try first.commit()
      try second.commit()
      let snapshot = try IndexFolder.open(folder, verifying: true)
      #expect(snapshot.entries["new"]?.tokens == [2, 2, 3] && snapshot.entries.count == 12)
      #expect(snapshot.livingCount == 12)
      // An update that gives a document which others delete meanwhile adds it.
      try first.add(Self.records(["other"], token: 4), replacing: true)
      try second.remove(["other"])
      try second.commit()
      try first.commit()
      #expect(try IndexFolder.open(folder).entries["other"]?.tokens == [4, 2, 3])
    }
  }

  /// What is removed is gone after the commit, whoever has put it there until then.
  @Test func removingHoldsForWhatOthersCommitted() throws {
    try withTemporaryFolder { parent in
      let folder = try Self.makeIndex(in: parent)
      var (first, second) = (
        try IndexEditor(folder: folder.path), try IndexEditor(folder: folder.path)
      )
      try second.add(Self.records(["new"], token: 2))
      try first.add(Self.records(["new", "later"], token: 1))
      try first.commit()
      try second.remove(["new"])
      #expect(try second.commit())
      #expect(try !Self.ids(in: folder).contains("new") && !second.contains("new"))
      // One that the editor has not seen yet.
      try second.remove(["later"])
      #expect(try second.commit())
      #expect(try Self.ids(in: folder) == Set((0..<10).map(String.init)))
      // Removing what was only going to be there changes nothing.
      let generation = try IndexFolder.open(folder).generation
      try second.add(Self.records(["never"]))
      try second.remove(["never"])
      #expect(try !second.commit() && !second.hasChanges)
      #expect(try IndexFolder.open(folder).generation == generation)
    }
  }

  /// A document that is updated again and again before a commit is there once, as it was last.
  @Test func supersededUpdatesAreDropped() throws {
    try withTemporaryFolder { parent in
      let folder = try Self.makeIndex(in: parent)
      var editor = try IndexEditor(folder: folder.path)
      for number in 0..<500 {
        try editor.add(
          Self.records(["a\(number % 3)"], token: Int32(number % 6)), replacing: true)
        #expect(editor.pendingRecordCount <= 2 * 3 + 65)
      }
      try editor.commit()
      let entries = try IndexFolder.open(folder, verifying: true).entries
      // The last three were 497, 498 and 499.
      for number in 497..<500 {
        #expect(entries["a\(number % 3)"]?.tokens.first == Int32(number % 6))
      }
      #expect(entries.count == 13)
    }
  }

  /// Many small commits make few segments, and only the newest are merged.
  @Test func segmentsStayFew() throws {
    try withTemporaryFolder { parent in
      let folder = try Self.makeIndex(in: parent, count: 50)
      var editor = try IndexEditor(folder: folder.path)
      var merged = 0
      for number in 0..<150 {
        let before = editor.snapshot.segments.map(\.livingCount)
        try editor.add(Self.records(["n\(number)"]))
        if number > 0 { try editor.remove(["n\(number - 1)"]) }
        try editor.add(Self.records(["k\(number)"]))
        try editor.commit()
        let after = editor.snapshot.segments.map(\.livingCount)
        #expect(after.first == 50)
        #expect(after.count <= 9)
        // What is no longer among the segments was written again.
        merged +=
          before.dropFirst().reduce(0, +)
          - zip(before, after).dropFirst()
          .prefix { $0 == $1 }.map(\.0).reduce(0, +)
      }
      #expect(editor.snapshot.livingCount == 201)
      #expect(merged < 150 * 12)
      try editor.commit(compacting: true)
      #expect(editor.snapshot.segments.count == 1)
      #expect(editor.snapshot.documentCount == 201)
      #expect(try !editor.commit(compacting: true))
    }
  }

  /// All documents may go, and others may come.
  @Test func anIndexMayBecomeEmpty() throws {
    try withTemporaryFolder { parent in
      let folder = try Self.makeIndex(in: parent)
      var editor = try IndexEditor(folder: folder.path)
      try editor.remove((0..<10).map(String.init))
      try editor.commit()
      let empty = try IndexFolder.open(folder, verifying: true)
      #expect(empty.documentCount == 0 && empty.livingCount == 0 && empty.identifierLength == 3)
      let scores = try QueryScores(
        logits: [Float](repeating: 0, count: 18), identifierLength: 3, vocabularySize: 6)
      #expect(try ExactSearch(empty.tables).rank(scores, limit: 5).isEmpty)
      #expect(try BeamSearch(empty.tables, width: 5).rank(scores, limit: 5).isEmpty)
      #expect(empty.driftReport().all == DriftReport.Group())
      #expect(try !editor.commit(compacting: true))
      try editor.add(Self.records(["again"]))
      try editor.commit()
      #expect(try Self.ids(in: folder) == ["again"])
      #expect(editor.snapshot.segments.count == 1)
    }
  }

  /// Halves stay halves, and an index with keywords keeps those of new documents too.
  @Test func segmentsKeepTheirFormat() throws {
    try withTemporaryFolder { folder in
      let segment = try IndexSegment(
        Self.records(["0", "1"]), keywords: KeywordIndex(documents: [[7, 8], [8, 8]]),
        identifierLength: 3, vocabularySize: 6, weightFormat: .float16)
      try IndexFolder.write(
        IndexSnapshot([segment], identifierLength: 3, vocabularySize: 6, modelFingerprint: "m"),
        to: folder)
      var editor = try IndexEditor(folder: folder.path)
      #expect(editor.keepsKeywords)
      try editor.add(Self.records(["2", "3", "4"]), keywords: [[8, 9], [9, 9], [7]])
      try editor.remove(["0", "3"])
      try editor.commit()
      for isCompact in [false, true] {
        if isCompact { try editor.commit(compacting: true) }
        let opened = try IndexFolder.open(folder, verifying: true)
        #expect(opened.segments.allSatisfy { $0.table.weightFormat == .float16 })
        #expect(opened.segments.count == (isCompact ? 1 : 2))
        #expect(Set(opened.entries.keys) == ["1", "2", "4"])
        #expect(
          opened.segments.reduce(0) { $0 + ($1.keywords?.documentCount ?? 0) }
            == (isCompact ? 3 : 4))
        let search = try #require(opened.keywords)
        let found = search.rank([9], limit: 5, isAllowed: opened.tables.living)
        #expect(found.map { opened.id(ofDocument: $0.document) } == ["2"])
      }
    }
  }

  /// Where only the disk does not confirm at last, the changes are made: making them again would be refused.
  @Test func aCommitThatIsNotConfirmedIsMade() throws {
    try withTemporaryFolder { folder in
      let segment = try IndexSegment(
        Self.records(["0"]), keywords: nil, identifierLength: 3, vocabularySize: 6)
      try IndexFolder.write(
        IndexSnapshot([segment], identifierLength: 3, vocabularySize: 6, modelFingerprint: "m"),
        to: folder)
      var editor = try IndexEditor(folder: folder.path)
      try editor.add(Self.records(["1"]))
      var calls = 0
      do throws(IndexError) {
        _ = try editor.commit { path throws(IndexError) in
          calls += 1
          throw .fileSystem(operation: "synchronise folder", path: path, code: EIO)
        }
        Issue.record("it was confirmed")
      } catch {
        #expect(error.description.contains("has its new state"))
      }
      #expect(calls == 2 && !editor.hasChanges && editor.contains("1"))
      #expect(try Set(IndexFolder.open(folder, verifying: true).entries.keys) == ["0", "1"])
      // A disk that does better the second time is believed.
      try editor.add(Self.records(["2"]))
      calls = 0
      try editor.commit { path throws(IndexError) in
        calls += 1
        if calls == 1 { throw .fileSystem(operation: "synchronise folder", path: path, code: EIO) }
      }
      #expect(try IndexFolder.open(folder, verifying: true).livingCount == 3)
    }
  }

  /// Documents that were added before the index kept keywords would never be found by theirs.
  @Test func keywordsThatAreMissingByNowAreAnError() throws {
    try withTemporaryFolder { folder in
      func write(_ keywords: KeywordIndex?) throws {
        let segment = try IndexSegment(
          Self.records(["0"]), keywords: keywords, identifierLength: 3, vocabularySize: 6)
        try IndexFolder.write(
          IndexSnapshot([segment], identifierLength: 3, vocabularySize: 6, modelFingerprint: "m"),
          to: folder)
      }
      try write(nil)
      var editor = try IndexEditor(folder: folder.path)
      try editor.add(Self.records(["1"]))
      try write(KeywordIndex(documents: [[7]]))
      let error = #expect(throws: IndexError.self) { try editor.commit() }
      #expect(error?.description.contains("keywords") == true && editor.hasChanges)
      try editor.reset()
      try editor.add(Self.records(["1"]), keywords: [[8]])
      try editor.commit()
      let found = try #require(IndexFolder.open(folder).keywords).rank([8], limit: 5)
      #expect(found.count == 1)
    }
  }

  /// What an index is made for outlives its documents.
  @Test(arguments: [false, true])
  func anEmptiedIndexKeepsItsFormat(compacting: Bool) throws {
    try withTemporaryFolder { folder in
      let segment = try IndexSegment(
        Self.records(["0", "1"]), keywords: KeywordIndex(documents: [[7], [8]]),
        identifierLength: 3, vocabularySize: 6, weightFormat: .float16)
      try IndexFolder.write(
        IndexSnapshot([segment], identifierLength: 3, vocabularySize: 6, modelFingerprint: "m"),
        to: folder)
      var editor = try IndexEditor(folder: folder.path)
      try editor.remove(["0", "1"])
      try editor.commit(compacting: compacting)
      let empty = try IndexFolder.open(folder, verifying: true)
      #expect(empty.livingCount == 0)
      #expect(try #require(empty.keywords).rank([7, 8], limit: 5).isEmpty)
      // Another process fills it again.
      var other = try IndexEditor(folder: folder.path)
      #expect(other.keepsKeywords)
      try other.add(Self.records(["2"]), keywords: [[7, 9]])
      try other.commit(compacting: compacting)
      let filled = try IndexFolder.open(folder, verifying: true)
      #expect(filled.segments.map(\.table.weightFormat) == [.float16])
      let found = try #require(filled.keywords).rank([9], limit: 5)
      #expect(found.map { filled.id(ofDocument: $0.document) } == ["2"])
    }
  }

  /// Files of columns and lines could not hold them.
  @Test(arguments: ["a\tb", "a\nb", "\r", "\0", "x\u{7F}"])
  func namesWithControlCharactersAreRefused(name: String) throws {
    let error = #expect(throws: IndexError.self) {
      try DocumentCatalog(identifiers: ["fine", name])
    }
    #expect(error?.description.contains(name.debugDescription) == true)
    _ = try DocumentCatalog(identifiers: ["fine", "a b", "\u{E9}", "e\u{301}", ""])
  }

  @Test func anotherModelsIndexIsNotChanged() throws {
    try withTemporaryFolder { parent in
      let folder = try Self.makeIndex(in: parent)
      var editor = try IndexEditor(folder: folder.path)
      try editor.add(Self.records(["new"]))
      let other = try IndexSnapshot(
        [], identifierLength: 2, vocabularySize: 6, modelFingerprint: "other")
      try IndexFolder.write(other, to: folder)
      let error = #expect(throws: IndexError.self) { try editor.commit() }
      #expect(error?.description.contains("another model") == true)
      #expect(try IndexFolder.open(folder).modelFingerprint == "other")
    }
  }

  @Test func driftIsMeasured() throws {
    var (old, new) = (DocumentRecords(), DocumentRecords())
    for id in 0..<4 {
      old.append(id: "o\(id)", tokens: [Int32(id), 0], weights: [4, 4])
    }
    for id in 0..<4 {
      new.append(id: "n\(id)", tokens: [min(3, Int32(id) + 2), 0], weights: [1, 3])
    }
    let segments = try [old, new].map {
      try IndexSegment($0, identifierLength: 2, vocabularySize: 9)
    }
    let index = try IndexSnapshot(
      [segments[0], segments[1].deleting([0])], identifierLength: 2, vocabularySize: 9,
      modelFingerprint: "m")
    // Identifiers 0, 1, 2 and 3 of the old documents; 3, 3, 3 of the new ones that live.
    let report = index.driftReport()
    #expect(report.first.documents == 4 && report.added.documents == 3 && report.all.documents == 7)
    #expect(report.first.identifierEntropy == 2 && report.first.collisionRate == 0.25)
    #expect(report.first.singleDocumentShare == 0.75 && report.first.largestBucket == 1)
    #expect(report.added.identifiers == 1 && report.added.collisionRate == 1)
    #expect(report.added.identifierEntropy == 0 && report.added.largestBucket == 3)
    #expect(report.all.identifiers == 4 && report.all.largestBucket == 4)
    let entropy = log2(7.0) - 4 * 2 / 7.0
    #expect(abs(report.all.identifierEntropy - entropy) < 1e-12)
    #expect(report.all.singleDocumentShare == 0.75)
    #expect(report.weightMargin == -2)
  }
}

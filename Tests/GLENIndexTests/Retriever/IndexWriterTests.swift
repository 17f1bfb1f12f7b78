import Foundation
import Testing

@testable import GLENIndex

@Suite("A living index") struct IndexWriterTests {
  private static func open(in folder: URL) throws -> (url: URL, retriever: Retriever) {
    let url = folder.appendingPathComponent("index")
    let half = Array(ToyModel.documents.prefix(24))
    let retriever = try Indexer(model: ToyModel.folder(in: folder)).index(half)
    try retriever.save(to: url)
    return (url, retriever)
  }

  private static func answers(_ retriever: Retriever) throws -> [[SearchHit]] {
    try ToyModel.questions.map { try retriever.search($0, limit: 60) }
  }

  /// A writer knows what others have committed since it was opened.
  @Test func writersLookAtWhatOthersDid() throws {
    try withTemporaryFolder { folder in
      let (url, _) = try Self.open(in: folder)
      let (first, second) = (try IndexWriter(opening: url), try IndexWriter(opening: url))
      let document = ToyModel.documents[30]
      try first.add([document])
      try first.commit()
      #expect(second.contains(id: document.id))
      #expect(throws: IndexError.self) { try second.add([document]) }
      try first.remove(ids: [document.id])
      try first.commit()
      #expect(!second.contains(id: document.id))
      try second.add([document])
      try second.commit()
      try first.remove(ids: [document.id])
      try first.commit()
      #expect(!second.contains(id: document.id))
    }
  }

  /// Documents that come one by one, change, and go give the index of those that are left.
  @Test func answersAreThoseOfAnIndexFromNothing() throws {
    try withTemporaryFolder { folder in
      let (url, first) = try Self.open(in: folder)
      let old = try Retriever(opening: url)
      let before = try Self.answers(old)
      let writer = try IndexWriter(opening: url)
      for document in ToyModel.documents.dropFirst(24) {
        try writer.add([document])
        try writer.commit()
      }
      var changed = ToyModel.documents[3]
      changed.text = "Quite another text about looms and comets."
      changed.metadata = ["year": 1923, "kind": "note", "kept": true]
      try writer.update([changed])
      try writer.remove(ids: ["violins-0", "looms-3"])
      #expect(writer.hasChanges && !writer.contains(id: "looms-3"))
      #expect(try Self.answers(Retriever(opening: url)).first?.count == 48)
      try writer.commit()
      let left =
        ToyModel.documents.filter { !["violins-0", "looms-3", changed.id].contains($0.id) }
        + [changed]
      let expected = try Indexer(model: first.toyModel).index(left)
      for compacting in [false, true] {
        if compacting { try writer.compact() }
        let living = try Retriever(opening: url)
        #expect(living.snapshot.segments.count == 1 || !compacting)
        for (hits, wanted) in zip(try Self.answers(living), try Self.answers(expected)) {
          #expect(hits.count == 46 && Set(hits.map(\.id)) == Set(wanted.map(\.id)))
          // Texts that are encoded alone and together differ in the last bits, and so may ties.
          for (hit, other) in zip(hits, wanted) { #expect(abs(hit.score - other.score) < 1e-4) }
          let tokens = Dictionary(uniqueKeysWithValues: wanted.map { ($0.id, $0.tokens) })
          for hit in hits { #expect(hit.tokens == tokens[hit.id]) }
        }
        let number = try #require(living.snapshot.document(withID: changed.id))
        #expect(living.snapshot.metadata(ofDocument: number) == changed.metadata)
      }
      try IndexFolder.verify(url)
      // Who had it open sees what it saw.
      #expect(try Self.answers(old) == before)
    }
  }

  @Test func takenAndUnknownNamesAreErrors() throws {
    try withTemporaryFolder { folder in
      let (url, _) = try Self.open(in: folder)
      let writer = try IndexWriter(opening: url)
      let taken = Document(id: "bees-1", text: "again")
      let error = #expect(throws: IndexError.self) {
        try writer.add([Document(id: "new", text: "new"), taken])
      }
      #expect(error?.description.contains("\"bees-1\"") == true)
      #expect(throws: IndexError.self) { try writer.remove(ids: ["bees-2", "nothing"]) }
      #expect(throws: IndexError.self) { try writer.update([taken, taken]) }
      #expect(!writer.hasChanges)
      #expect(try !writer.commit())
      try writer.add([])
      try writer.update([taken])
      try writer.discardChanges()
      #expect(!writer.hasChanges)
    }
  }

  /// What a folder's new model is asked gets that model's identifiers, also from a writer that has
  /// used the old one.
  @Test func anotherModelInTheFolderIsTheOneThatIsAsked() throws {
    try withTemporaryFolder { folder in
      let (url, _) = try Self.open(in: folder)
      let writer = try IndexWriter(opening: url)
      try writer.add([ToyModel.documents[30]])
      try writer.commit()
      let other = Indexer(model: try ToyModel.folder(in: folder, seed: 2))
      try writer.add([ToyModel.documents[31]])
      try other.index(Array(ToyModel.documents.prefix(24))).save(to: url)
      for change in [
        { _ = try writer.commit() }, { try writer.add([ToyModel.documents[32]]) },
        { try writer.remove(ids: ["no such document"]) },
      ] {
        let error = #expect(throws: IndexError.self) { try change() }
        #expect(error == .replacedMeanwhile(path: url.path))
        #expect(error?.description.contains("another model") == true)
      }
      // A writer that has asked no model yet finds that its own is gone.
      let late = try IndexWriter(opening: url)
      try Indexer(model: ToyModel.folder(in: folder, seed: 3)).index(
        Array(ToyModel.documents.prefix(24))
      ).save(to: url)
      #expect(throws: IndexError.replacedMeanwhile(path: url.path)) {
        try late.add([ToyModel.documents[31]])
      }
      try other.index(Array(ToyModel.documents.prefix(24))).save(to: url)
      try writer.discardChanges()
      let document = ToyModel.documents[31]
      try writer.add([document])
      try writer.commit()
      let living = try Retriever(opening: url).snapshot
      let expected = try other.index([document]).snapshot
      let number = try #require(living.document(withID: document.id))
      #expect(living.tables.tokens(ofDocument: number) == expected.tables.tokens(ofDocument: 0))
      let old = try Indexer(model: ToyModel.folder(in: folder)).index([document]).snapshot
      #expect(expected.tables.tokens(ofDocument: 0) != old.tables.tokens(ofDocument: 0))
    }
  }

  /// A save replaces what was committed, segments and all; a later commit goes on from there.
  @Test func savesAndCommitsFollowEachOther() throws {
    try withTemporaryFolder { folder in
      let (url, first) = try Self.open(in: folder)
      let writer = try IndexWriter(opening: url)
      try writer.add([ToyModel.documents[30]])
      try writer.commit()
      try first.save(to: url)
      try writer.add([ToyModel.documents[31]])
      try writer.commit()
      let index = try IndexFolder.open(url, verifying: true)
      #expect(index.generation == 4 && index.livingCount == 25)
      // What is opened from several segments saves elsewhere with all of them.
      let copy = folder.appendingPathComponent("copy")
      try Retriever(opening: url).save(to: copy)
      #expect(try IndexFolder.open(copy, verifying: true).entries == index.entries)
      #expect(try Self.answers(Retriever(opening: copy)) == Self.answers(Retriever(opening: url)))
    }
  }
}

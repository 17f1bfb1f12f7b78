import Foundation
import Testing

@testable import GLENIndex

#if canImport(Glibc)
  import Glibc
#endif

/// Saves that fail half-way leave the index that was there, and nothing of their own.
@Suite struct IndexFolderFailureTests {
  private static func write(_ seed: UInt64, to folder: URL) throws {
    let made = try SearchCase(.random, documents: 200, length: 3, vocabulary: 9, seed: seed)
    let names = (0..<200).map { "\(seed)-\($0)" }
    try IndexFolder.write(made.snapshot(names: names, fingerprint: "\(seed)"), to: folder)
  }

  private static func files(in folder: URL) throws -> Set<String> {
    try Set(FileManager.default.contentsOfDirectory(atPath: folder.path))
  }

  /// Something that a file cannot be renamed to stands where each file should go.
  @Test(arguments: ["identifiers", "documents"])
  func failingToPlaceAFileKeepsTheOldIndex(kind: String) throws {
    try withTemporaryFolder { parent in
      let folder = parent.appendingPathComponent("index")
      let elsewhere = parent.appendingPathComponent("elsewhere")
      try Self.write(1, to: folder)
      try Self.write(2, to: elsewhere)
      let name = try #require(try Self.files(in: elsewhere).first { $0.hasPrefix(kind) })
      let obstacle = folder.appendingPathComponent(name)
      try FileManager.default.createDirectory(at: obstacle, withIntermediateDirectories: false)
      let before = try Self.files(in: folder)
      #expect(
        throws: IndexError.fileSystem(operation: "rename file", path: obstacle.path, code: EISDIR)
      ) {
        try Self.write(2, to: folder)
      }
      #expect(try Self.files(in: folder) == before)
      #expect(try IndexFolder.open(folder, verifying: true).modelFingerprint == "1")
      try FileManager.default.removeItem(at: obstacle)
      try Self.write(2, to: folder)
      #expect(try IndexFolder.open(folder, verifying: true).modelFingerprint == "2")
    }
  }

  /// A folder of something else keeps its `manifest.json`; that of a damaged index is replaced.
  @Test func theManifestOfSomethingElseIsKept() throws {
    try withTemporaryFolder { parent in
      let app = parent.appendingPathComponent("app")
      let manifest = app.appendingPathComponent("manifest.json")
      try FileManager.default.createDirectory(at: app, withIntermediateDirectories: false)
      try IndexFolder.checkDestination(app)
      try IndexFolder.checkDestination(parent.appendingPathComponent("absent"))
      try Data("{}".utf8).write(to: app.appendingPathComponent(".hidden"))
      try IndexFolder.checkDestination(app)
      for text in ["{\"name\": \"an app\"}", ""] {
        try Data(text.utf8).write(to: manifest)
        let foreign = IndexError.foreignFolder(path: app.path, name: "manifest.json")
        #expect(throws: foreign) { try IndexFolder.checkDestination(app) }
        #expect(throws: foreign) { try Self.write(1, to: app) }
        #expect(try Data(contentsOf: manifest) == Data(text.utf8))
        #expect(try Self.files(in: app) == [".hidden", "manifest.json"])
      }
      #expect(throws: IndexError.foreignFolder(path: parent.path, name: "app")) {
        try IndexFolder.checkDestination(parent)
      }

      let index = parent.appendingPathComponent("index")
      let own = index.appendingPathComponent("manifest.json")
      try Self.write(1, to: index)
      for text in ["", "{\"format\": \"GLEN index\", \"version\": 99"] {
        try Data(text.utf8).write(to: own)
        try IndexFolder.checkDestination(index)
        try Self.write(2, to: index)
        #expect(try IndexFolder.open(index, verifying: true).modelFingerprint == "2")
      }
      // A first save that was cut off.
      try FileManager.default.removeItem(at: own)
      try IndexFolder.checkDestination(index)
    }
  }

  /// The last step fails: the manifest cannot be replaced.
  @Test func failingToPlaceTheManifestLeavesNothing() throws {
    try withTemporaryFolder { folder in
      let manifest = folder.appendingPathComponent("manifest.json")
      try FileManager.default.createDirectory(at: manifest, withIntermediateDirectories: false)
      #expect(throws: IndexError.self) { try Self.write(1, to: folder) }
      #expect(try Self.files(in: folder) == ["manifest.json"])
    }
  }

  @Test func failingToMakeTheFolderLeavesNothing() throws {
    try withTemporaryFolder { parent in
      let file = parent.appendingPathComponent("file")
      try Data("x".utf8).write(to: file)
      let error = #expect(throws: IndexError.self) {
        try Self.write(1, to: file.appendingPathComponent("a/b"))
      }
      #expect(error?.description.contains(file.path) == true)
      #expect(try Self.files(in: parent) == ["file"])
    }
  }

  #if canImport(Glibc)
    /// A limit on the size of files stands in for a full disk: each file fails at some size.
    @Test func fullDiskKeepsTheOldIndex() async {
      await #expect(processExitsWith: .success) {
        try withTemporaryFolder { parent in
          let folder = parent.appendingPathComponent("index")
          try IndexFolderFailureTests.write(1, to: folder)
          let before = try IndexFolderFailureTests.files(in: folder)
          let sizes = try before.map {
            let path = folder.appendingPathComponent($0).path
            return try FileManager.default.attributesOfItem(atPath: path)[.size] as? Int ?? 0
          }
          let largest = try #require(sizes.max())
          signal(SIGXFSZ, SIG_IGN)
          for limit in [0, 1, 300, 1000, 4096, largest / 2, largest - 1] {
            var old = rlimit()
            getrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &old)
            var new = old
            new.rlim_cur = rlim_t(limit)
            setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &new)
            let error = #expect(throws: IndexError.self) {
              try IndexFolderFailureTests.write(2, to: folder)
            }
            #expect(throws: IndexError.self) {
              try IndexFolderFailureTests.write(2, to: parent.appendingPathComponent("new/one"))
            }
            setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &old)
            guard case .fileSystem("write file", let path, EFBIG)? = error else {
              Issue.record("unexpected error: \(String(describing: error))")
              continue
            }
            #expect(path.hasPrefix(folder.path))
            #expect(try IndexFolderFailureTests.files(in: folder) == before)
            #expect(try IndexFolderFailureTests.files(in: parent) == ["index"])
            #expect(try IndexFolder.open(folder, verifying: true).modelFingerprint == "1")
          }
          try IndexFolderFailureTests.write(2, to: folder)
          #expect(try IndexFolder.open(folder, verifying: true).modelFingerprint == "2")
        }
      }
    }
  #endif
}

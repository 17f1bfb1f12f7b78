import Foundation
import Testing

@testable import GLENTensor

@Suite("Atomic files")
struct AtomicFileTests {
  private let folder = Result { try TemporaryFolder() }

  @Test func aFileIsReplaced() throws {
    let url = try folder.get().file("file")
    for text in ["first", "second and longer", ""] {
      try AtomicFile.write(Data(text.utf8), to: url)
      #expect(try Data(contentsOf: url) == Data(text.utf8))
    }
    #expect(try folder.get().names == ["file"])
  }

  /// Whoever kept a file to themselves finds it so after the next save.
  @Test(arguments: [0o600, 0o640, 0o664]) func permissionsStay(mode: Int) throws {
    let url = try folder.get().file("private")
    try Data("first".utf8).write(to: url)
    try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: url.path)
    try AtomicFile.write(Data("second".utf8), to: url)
    #expect(try Data(contentsOf: url) == Data("second".utf8))
    let attributes = try FileManager.default.attributesOfItem(atPath: url.path)
    #expect(attributes[.posixPermissions] as? Int == mode)
  }

  /// File systems end names at 255 bytes.
  @Test func aLongNameIsWritten() throws {
    let name = String(repeating: "ä", count: 127)
    let url = try folder.get().file(name)
    for text in ["first", "second"] { try AtomicFile.write(Data(text.utf8), to: url) }
    #expect(try Data(contentsOf: url) == Data("second".utf8))
    #expect(try folder.get().names == [name])
  }

  /// Standard output may be a file to which others write, too.
  @Test func anOpenDescriptorIsWrittenWhereItStands() throws {
    let folder = try folder.get()
    let url = folder.file("file")
    try Data("before, ".utf8).write(to: url)
    let descriptor = open(url.path, O_WRONLY | O_APPEND)
    defer { close(descriptor) }
    for path in ["/dev/fd/\(descriptor)", "/proc/self/fd/\(descriptor)"] {
      let link = folder.file("link")
      try FileManager.default.createSymbolicLink(atPath: link.path, withDestinationPath: path)
      for url in [URL(fileURLWithPath: path), link] {
        try AtomicFile.checkWritable(url)
        try AtomicFile.write(Data("more, ".utf8), to: url)
      }
      try FileManager.default.removeItem(at: link)
    }
    #expect(write(descriptor, "after", 5) == 5)
    #expect(
      try String(contentsOf: url, encoding: .utf8) == "before, more, more, more, more, after")
    #expect(try folder.names == ["file"])
    let reading = open(url.path, O_RDONLY)
    defer { close(reading) }
    for path in ["/dev/fd/\(reading)", "/dev/fd/987"] {
      #expect(throws: TensorError.self) {
        try AtomicFile.checkWritable(URL(fileURLWithPath: path))
      }
      #expect(throws: TensorError.self) {
        try AtomicFile.write(Data([1]), to: URL(fileURLWithPath: path))
      }
    }
  }

  @Test func piecesOfAllSizesFollowOneAnother() throws {
    let url = try folder.get().file("file")
    // Around the eight megabytes that are written at once.
    let pieces = [3, 0, 5_000_001, (8 << 20) - 5_000_004, 1, 17 << 20, 7].enumerated().map {
      Data(repeating: UInt8($0.offset + 1), count: $0.element)
    }
    try AtomicFile.write(to: url) { append in
      for piece in pieces { try piece.withUnsafeBytes(append) }
    }
    #expect(try Data(contentsOf: url) == pieces.reduce(Data(), +))
  }

  @Test func aBodyThatThrowsLeavesTheOldFile() throws {
    struct Stop: Error {}
    let url = try folder.get().file("file")
    try AtomicFile.write(Data("old".utf8), to: url)
    #expect(throws: Stop.self) {
      try AtomicFile.write(to: url) { append in
        try Data("new".utf8).withUnsafeBytes(append)
        throw Stop()
      }
    }
    #expect(try Data(contentsOf: url) == Data("old".utf8))
    #expect(try folder.get().names == ["file"])
  }

  @Test func aMissingFolderIsNamed() throws {
    let url = try folder.get().file("none/file")
    #expect(
      throws: TensorError.file(
        path: url.path, reason: "cannot be written: No such file or directory")
    ) { try AtomicFile.write(Data(), to: url) }
  }

  @Test func aFolderIsNotReplaced() throws {
    let folder = try folder.get()
    let url = folder.file("folder")
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: false)
    #expect(throws: TensorError.file(path: url.path, reason: "cannot be written: Is a directory")) {
      try AtomicFile.write(Data([1]), to: url)
    }
    #expect(try folder.names == ["folder"])
  }

  /// A limit on the size of files stands in for the full disk: `write` comes back short, then fails.
  @Test func aFullDiskLeavesTheOldFile() async {
    await #expect(processExitsWith: .success) {
      let folder = try TemporaryFolder()
      let url = folder.file("model.safetensors")
      try SafetensorsFile.write([(name: "w", tensor: try Tensor([1, 2], shape: [2]))], to: url)
      let old = try Data(contentsOf: url)
      signal(SIGXFSZ, SIG_IGN)
      var limit = rlimit()
      #if canImport(Glibc)
        let resource = __rlimit_resource_t(RLIMIT_FSIZE.rawValue)
      #else
        let resource = RLIMIT_FSIZE
      #endif
      try #require(getrlimit(resource, &limit) == 0)
      let before = limit.rlim_cur
      limit.rlim_cur = 100_000
      try #require(setrlimit(resource, &limit) == 0)
      let large = try Tensor(repeating: 1, shape: [100_000])
      #expect(
        throws: TensorError.file(
          path: url.path, reason: "could not be written: File too large")
      ) { try SafetensorsFile.write([(name: "w", tensor: large)], to: url) }
      limit.rlim_cur = before
      try #require(setrlimit(resource, &limit) == 0)
      #expect(try Data(contentsOf: url) == old)
      #expect(try folder.names == ["model.safetensors"])
    }
  }
}

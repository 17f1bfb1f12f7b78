import Foundation
import GLENTensor
import Testing

@testable import GLENModel

struct FolderSavingTests {
  @Test(arguments: [false, true])
  func whatIsSavedLoadsBitForBit(isGated: Bool) throws {
    let model = try SmallModel.make(isGated: isGated)
    let folder = try TemporaryFolder()
    try model.save(to: folder.file("a/b"))
    let loaded = try T5Model(folder: folder.file("a/b"))
    #expect(loaded.configuration == model.configuration)
    let (own, other) = (loaded.parameters, model.parameters)
    #expect(own.map(\.name) == other.map(\.name))
    for (own, other) in zip(own, other) {
      #expect(own.tensor.shape == other.tensor.shape)
      let bits = try own.tensor.values().map(\.bitPattern)
      #expect(try bits == other.tensor.values().map(\.bitPattern), "\(own.name)")
    }
    // What is loaded saves to the same bytes.
    try loaded.save(to: folder.file("c"))
    for name in ["config.json", "model.safetensors"] {
      let (first, second) = (folder.file("a/b/\(name)"), folder.file("c/\(name)"))
      #expect(try Data(contentsOf: first) == Data(contentsOf: second))
    }
  }

  /// Weights are used where the file is mapped, so saving must not write into that file.
  @Test func savingOverItsOwnFilesKeepsThem() throws {
    let folder = try SmallModel.folder(SmallModel.make())
    let before = try Data(contentsOf: folder.file("model.safetensors"))
    let loaded = try T5Model(folder: folder.url)
    try loaded.save(to: folder.url)
    try loaded.save(to: folder.url)
    #expect(try T5Model(folder: folder.url).table.values() == loaded.table.values())
    let again = try SafetensorsFile(contentsOf: folder.file("model.safetensors"))
    #expect(again.names.count == loaded.parameters.count)
    #expect(try Data(contentsOf: folder.file("model.safetensors")).count >= before.count)
  }

  @Test func aFolderThatCannotBeMadeIsAnError() throws {
    let folder = try TemporaryFolder()
    try Data("x".utf8).write(to: folder.file("file"))
    let place = folder.file("file/model")
    #expect(
      throws: TensorError.file(
        path: place.path, reason: "the folder cannot be made: Not a directory")
    ) { try SmallModel.make().save(to: place) }
    #expect(try folder.contents() == ["file": Data("x".utf8)])
  }

  #if canImport(Glibc)
    /// A limit on the size of files stands in for a full disk.
    @Test func aFullDiskKeepsTheEarlierFiles() async {
      await #expect(processExitsWith: .success) {
        let folder = try SmallModel.folder(SmallModel.make(seed: 1))
        let before = try folder.contents()
        let size = try #require(before["model.safetensors"]).count
        signal(SIGXFSZ, SIG_IGN)
        let resource = __rlimit_resource_t(RLIMIT_FSIZE.rawValue)
        for limit in [0, 1, 100, size / 2, size - 1] {
          var old = rlimit()
          try #require(getrlimit(resource, &old) == 0)
          var new = old
          new.rlim_cur = rlim_t(limit)
          try #require(setrlimit(resource, &new) == 0)
          let error = #expect(throws: TensorError.self) {
            try SmallModel.make(seed: 2).save(to: folder.url)
          }
          try #require(setrlimit(resource, &old) == 0)
          #expect(error?.description.contains("model.safetensors") == true)
          #expect(try folder.contents() == before)
        }
        try SmallModel.make(seed: 2).save(to: folder.url)
        #expect(try folder.contents() != before)
      }
    }
  #endif
}

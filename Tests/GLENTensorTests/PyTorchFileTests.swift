import Foundation
import Testing

@testable import GLENTensor

/// Files that PyTorch wrote (`Tests/Parity/make_pytorch_checkpoints.py`), and damaged ones.
struct PyTorchFileTests {
  private static let forms = ["archive.bin", "legacy.bin", "zip64.bin"]
  private static let matrix = (0..<12).map { Float($0) - 4.5 }

  private static func url(_ name: String) throws -> URL {
    try #require(Bundle.module.resourceURL).appendingPathComponent("Fixtures/PyTorch/" + name)
  }

  private static func reason(_ url: URL) -> String {
    do {
      _ = try PyTorchFile(contentsOf: url)
      Issue.record("the file was read")
      return ""
    } catch {
      #expect(error.description.contains(url.path))
      return error.description
    }
  }

  @Test(arguments: forms)
  func readsEveryTensor(form: String) throws {
    let file = try PyTorchFile(contentsOf: Self.url(form))
    #expect(file.names.count == 12)
    for name in ["shared.weight", "encoder.embed_tokens.weight", "equal", "half", "brain"] {
      #expect(file.shape(of: name) == [3, 4])
      #expect(try file.tensor(name).values() == Self.matrix, "\(name)")
    }
    #expect(try file.tensor("parameter").values() == Self.matrix)
    let transposed = try file.tensor("transposed")
    #expect(transposed.shape == [4, 3])
    #expect(
      try transposed.values() == (0..<12).map { Self.matrix[$0 % 3 * 4 + $0 / 3] })
    #expect(try file.tensor("rows").values() == Array(Self.matrix[4...]))
    #expect(try file.tensor("column").values() == [1, 5, 9].map { Self.matrix[$0] })
    #expect(try file.tensor("scalar").scalar() == 2.5)
    #expect(file.shape(of: "empty") == [0, 4])
    #expect(try file.tensor("empty").count == 0)
    let error = #expect(throws: TensorError.self) { try file.tensor("whole") }
    #expect(error?.description.contains("whole: expected F32, F16 or BF16, got I64") == true)
    #expect(throws: TensorError.self) { try file.tensor("none") }
  }

  @Test func archivesAreUsedWhereTheyAreMapped() throws {
    let file = try PyTorchFile(contentsOf: Self.url("archive.bin"))
    let (first, second) = (
      try file.tensor("shared.weight"), try file.tensor("encoder.embed_tokens.weight")
    )
    #expect(first.storage.isBorrowed && first.storage.address == second.storage.address)
    #expect(try !file.tensor("transposed").storage.isBorrowed)
  }

  @Test(arguments: forms)
  func tellsOneTensorFromEqualAndOtherOnes(form: String) throws {
    let file = try PyTorchFile(contentsOf: Self.url(form))
    #expect(file.holdsSameData("shared.weight", "encoder.embed_tokens.weight"))
    #expect(file.holdsSameData("shared.weight", "equal"))
    #expect(!file.holdsSameData("shared.weight", "transposed"))
    #expect(!file.holdsSameData("shared.weight", "half"))
    #expect(!file.holdsSameData("shared.weight", "none"))
  }

  @Test(arguments: [
    ("malicious.bin", ".print, which no state dictionary needs; nothing of it was run"),
    ("number.bin", "step: is no tensor"), ("compressed.bin", "expected a stored ZIP entry"),
  ])
  func refusesByName(name: String, text: String) throws {
    #expect(Self.reason(try Self.url(name)).contains(text))
  }

  @Test(arguments: forms)
  func aFileThatIsCutShortIsAnError(form: String) throws {
    let whole = try Data(contentsOf: Self.url(form))
    let folder = try TemporaryFolder()
    let url = folder.file("cut.bin")
    for count in stride(from: 0, to: whole.count, by: 37) {
      try whole.prefix(count).write(to: url)
      #expect(throws: TensorError.self, "\(count) bytes") { try PyTorchFile(contentsOf: url) }
    }
  }

  /// Whatever a byte becomes, there is an error or a file whose tensors can all be read.
  @Test(arguments: forms)
  func noDamageTraps(form: String) throws {
    let whole = try Data(contentsOf: Self.url(form))
    let folder = try TemporaryFolder()
    let url = folder.file("damaged.bin")
    var generator = SeededGenerator(RandomKey(seed: 5))
    var failures = 0
    for _ in 0..<3000 {
      var bytes = whole
      for _ in 0..<Int.random(in: 1...4, using: &generator) {
        let place = Int.random(in: 0..<whole.count, using: &generator)
        switch Int.random(in: 0..<4, using: &generator) {
        case 0: bytes[place] = 0xFF
        case 1: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
        case 2: bytes[place] = UInt8.random(in: 0...255, using: &generator)
        default: bytes[place] = whole[Int.random(in: 0..<whole.count, using: &generator)]
        }
      }
      try bytes.write(to: url)
      do {
        let file = try PyTorchFile(contentsOf: url)
        for name in file.names { _ = try? file.tensor(name).values() }
        _ = file.sample()
        _ = file.holdsSameData("shared.weight", "equal")
      } catch {
        failures += 1
      }
    }
    #expect(failures > 300)
  }
}

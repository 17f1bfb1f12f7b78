import CGLENCUDA
import Foundation
import GLENModel
import GLENTensor
import GLENTestSupport
import GLENTraining
import Testing

@testable import GLENCUDA

@Suite("The CUDA backend on stand-ins for its libraries")
struct CUDABackendTests {
  /// A whole training step, so that the model, too, reads no device memory in place.
  @Test func trainsAsTheProcessorDoes() throws {
    var configuration = T5Configuration(preset: "tiny") ?? T5Configuration()
    (configuration.vocabularySize, configuration.width) = (90, 32)
    (configuration.headWidth, configuration.feedForwardWidth) = (8, 48)
    let onCPU = try T5Model(random: configuration, key: RandomKey(seed: 4))
    let backend = try hostBackend()
    let onDevice = try onCPU.moved(to: backend)
    let texts: [[Int32]] = [[5, 6, 7, 8, 9, 1], [17, 17, 1], [33, 5, 80, 1]]
    let targets: [[Int32]] = [[4, 9, 70], [88, 3, 3], [12, 13, 14]]
    func step(_ model: T5Model) throws -> (loss: Float, gradients: Gradients) {
      let batch = try TokenBatch(texts, vocabularySize: 90, on: model.backend)
      let (loss, gradients) = try valueAndGradient(of: model) {
        try KeywordLoss.value(
          $0, batch, targets: targets, dropout: Dropout(rate: 0.1, key: RandomKey(seed: 8)))
      }
      return (try loss.scalar(), gradients)
    }
    let (expected, found) = (try step(onCPU), try step(onDevice))
    #expect(abs(found.loss - expected.loss) < 1e-5 * expected.loss)
    for (name, _) in onCPU.parameters {
      let golden = try #require(try expected.gradients[name]?.values())
      let got = try #require(try found.gradients[name]?.values())
      let greatest = golden.map(abs).max() ?? 0
      let difference = zip(golden, got).map { abs($0 - $1) }.max() ?? .infinity
      #expect(difference <= 1e-4 * greatest + 1e-7, "\(name): off by \(difference)")
    }
  }

  /// Copies of factors that are kept change no bit, over updates too, and bfloat16 little of the loss.
  @Test(arguments: [false, true])
  func keptCopiesOfFactorsAreNeverStale(isGated: Bool) throws {
    var configuration = T5Configuration(preset: "tiny") ?? T5Configuration()
    (configuration.vocabularySize, configuration.width) = (96, 64)
    (configuration.headWidth, configuration.feedForwardWidth) = (16, 48)
    configuration.isGated = isGated
    let onCPU = try T5Model(random: configuration, key: RandomKey(seed: 4))
    let texts: [[Int32]] = [[5, 6, 7, 8, 9, 1], [17, 17, 1], [33, 5, 80, 1]]
    let targets: [[Int32]] = [[4, 9, 70], [88, 3, 3], [12, 13, 14]]
    func losses(on backend: any Backend) throws -> [Float] {
      var model = try onCPU.moved(to: backend)
      var optimizer = AdamW()
      return try (0..<3).map { step in
        let batch = try TokenBatch(texts, vocabularySize: 96, on: backend)
        let (loss, gradients) = try valueAndGradient(of: model) {
          try KeywordLoss.value(
            $0, batch, targets: targets,
            dropout: Dropout(rate: 0.1, key: RandomKey(seed: UInt64(step))))
        }
        try optimizer.update(&model, gradients) { _ in 3e-3 }
        return try loss.scalar()
      }
    }
    func rounding(keepsCopies: Bool, leastAlone: Int) throws -> [Float] {
      try losses(
        on: hostBackend(
          precision: .bfloat16,
          rounding: Rounding(
            leastProduct: 0, leastFactor: 0, keepsCopies: keepsCopies, leastAlone: leastAlone)))
    }
    let kept = try rounding(keepsCopies: true, leastAlone: .max)
    #expect(try rounding(keepsCopies: false, leastAlone: .max) == kept)
    let exact = try losses(on: CPUBackend.shared)
    let alone = try rounding(keepsCopies: true, leastAlone: 0)
    #expect(zip(alone, kept).allSatisfy { abs($0 - $1) < 5e-2 * $1 }, "\(alone) \(kept)")
    #expect(abs(kept[0] - exact[0]) < 2e-2 * exact[0], "\(kept) \(exact)")
    // An update moves the loss by far more than rounding does.
    #expect(zip(kept, exact).allSatisfy { abs($0 - $1) < 0.1 * $1 }, "\(kept) \(exact)")
    #expect(exact[2] < 0.8 * exact[0], "\(exact)")
  }

  @Test func memoryBudget() throws {
    let backend = try hostBackend(memoryBudget: 1 << 20)
    do {
      let held = try Tensor(repeating: 1, shape: [100_000], on: backend)
      #expect(throws: TensorError.self) {
        _ = try Tensor(repeating: 1, shape: [200_000], on: backend)
      }
      #expect(try held.values().last == 1)
    }
    // What was held is kept for reuse, and given back where another size needs the room.
    let other = try Tensor(repeating: 2, shape: [200_000], on: backend)
    #expect(try other.values().last == 2)
    let error = #expect(throws: TensorError.self) {
      _ = try Tensor(repeating: 1, shape: [100_000], on: backend)
    }
    #expect(
      error
        == .outOfMemory(
          backend: "cuda:0", byteCount: 400_000, usedByteCount: backend.memory.usedByteCount))
  }

  /// Where memory is short, elements that are in a copy alone are written out, and the copy goes.
  @Test func copiesMakeRoom() throws {
    let backend = try hostBackend(
      precision: .bfloat16, memoryBudget: 1_000_000,
      rounding: Rounding(leastProduct: 0, leastFactor: 0, leastAlone: 0))
    let values = (0..<65536).map { Float($0 % 200 - 100) }
    let x = try Tensor(values, shape: [values.count], on: backend)
    let y = try relu(x)
    #expect(backend.isAlone(y.region, count: y.count))
    let other = try Tensor(repeating: 7, shape: [100_000], on: backend)
    #expect(!backend.isAlone(y.region, count: y.count))
    #expect(try y.values() == values.map { max($0, 0) })
    #expect(try other.values().last == 7)
  }

  @Test func memoryThatTheDeviceDoesNotHave() throws {
    let backend = try hostBackend()
    #expect(
      throws: TensorError.outOfMemory(backend: "cuda:0", byteCount: 1 << 42, usedByteCount: 0)
    ) {
      _ = try Tensor(unset: [1 << 40], on: backend)
    }
  }

  @Test func aFailureIsReportedWhenItIsAskedFor() throws {
    let backend = try hostBackend()
    let x = try Tensor(repeating: 1, shape: [4], on: backend)
    // A grid that no device takes.
    backend.launch(
      .scale, blocks: (1, 1 << 20, 1), .at(x.region), .number(1), .at(x.region), .count(4))
    for _ in 0..<2 {
      #expect(throws: TensorError.self) { try x.values() }
    }
  }

  /// Each call is counted under its name, also after the backend has gone.
  @Test func profile() throws {
    var backend: CUDABackend? = try hostBackend(profiles: true)
    let profile = try #require(backend?.profile)
    func use(_ backend: CUDABackend) throws {
      let x = try Tensor(repeating: 1, shape: [4, 8], on: backend)
      _ = try linear(scaled(scaled(x, by: 2), by: 3), x)
    }
    if let backend { try use(backend) }
    profile.reset()
    if let backend { try use(backend) }
    backend = nil
    let counts = Dictionary(uniqueKeysWithValues: profile.entries.map { ($0.name, $0.count) })
    #expect(counts == ["fill": 1, "glen_scale": 2, "product 4 x 4 x 8": 1])
    #expect(profile.entries.allSatisfy { $0.milliseconds > 0 } && profile.idleMilliseconds > 0)
    #expect(profile.lostCallCount == 0)
  }

  /// Nobody has to ask: what is kept of each call is little.
  @Test func aLongProfile() throws {
    let backend = try hostBackend(profiles: true)
    let x = try Tensor(repeating: 1, shape: [1], on: backend)
    for _ in 0..<17_000 { backend.fill(x.region, with: 2, count: 1) }
    let profile = try #require(backend.profile)
    #expect(profile.pendingCallCount == 17_001 - 16_384)
    #expect(profile.entries.map(\.count) == [17_001] && profile.lostCallCount == 0)
  }

  @Test func noSuchDevice() throws {
    #expect(throws: CUDAError.noDevice(ordinal: 3, count: 1)) {
      _ = try CUDABackend(
        libraries: hostLibraries, ordinal: 3, precision: .float32, memoryBudget: .max,
        cacheFolder: FileManager.default.temporaryDirectory)
    }
  }

  /// Compiled kernels are found again, and made anew where the file is none that the driver takes.
  @Test func cache() throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent(
      "glen-cache-\(UInt64.random(in: 0 ... .max))")
    defer { try? FileManager.default.removeItem(at: folder) }
    _ = try hostBackend(cacheFolder: folder)
    let files = try FileManager.default.contentsOfDirectory(
      at: folder, includingPropertiesForKeys: nil)
    let file = try #require(files.first)
    #expect(files.count == 1 && file.lastPathComponent.hasPrefix("kernels-sm_90-nvrtc-13.0-"))
    let right = try Data(contentsOf: file)
    try Data("damaged\0".utf8).write(to: file)
    _ = try hostBackend(cacheFolder: folder)
    #expect(try Data(contentsOf: file) == right)
  }

  @Test func errorsSayWhatToDo() {
    let missing = CUDAError.missingLibrary(name: "NVRTC", tried: "libnvrtc.so.13")
    #expect(
      missing.description.contains("tried libnvrtc.so.13")
        && missing.description.contains("GLEN_CUDA_PATH"))
    #expect(
      CUDAError.noDevice(ordinal: 3, count: 1).description
        == "CUDA: there is no device 3; the driver has 1")
  }

  /// The kernels that Swift names are those that the sources define.
  @Test func kernelNames() {
    var defined: Set<Substring> = []
    for index in 0..<glen_cuda_source_count() {
      let text = String(cString: glen_cuda_source_at(index).text)
      for match in text.matches(of: /GLEN_KERNEL(?:_OF)?\((glen_\w+),/) { defined.insert(match.1) }
      for match in text.matches(of: /(?m)^GLEN_RMS_NORM(?:_GRADIENTS)?\((\w+),/) {
        defined.insert(match.1)
      }
      for match in text.matches(of: /(?m)^GLEN_ATTENTION\((\w+),/) {
        for shape in ["many", "few", "wide"] { defined.insert("\(match.1)_\(shape)") }
      }
    }
    #expect(defined == Set(Kernel.allCases.map { $0.rawValue[...] }))
  }

  /// Scripts/check-kernels compiles for more architectures, and without Swift.
  @Test(.enabled(if: (try? CUDALibraries.loadNVRTC()) != nil, "NVRTC is not in GLEN_CUDA_PATH"))
  func kernelsCompileWithoutWarnings() throws {
    let program = try CUDAProgram(for: "sm_90", nvrtc: try CUDALibraries.loadNVRTC())
    #expect(program.log == "")
    #expect(program.image.starts(with: [0x7F] + Array("ELF".utf8)))
  }
}

@Suite(
  "The CUDA backend on a device", .serialized,
  .enabled(if: CUDADevice.isAvailable, "there is no CUDA device here"))
struct CUDADeviceTests {
  private static let backend = Result { try CUDABackend() }

  @Test(arguments: OperationCase.all)
  func agreesWithTheReference(_ operation: OperationCase) throws {
    for isAligned in [false, true] {
      let failures = try operation.failures(on: try Self.backend.get(), isAligned: isAligned)
      #expect(failures == [])
    }
  }
}

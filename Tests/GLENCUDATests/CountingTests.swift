import CGLENCUDA
import CGLENCUDAHost
import Foundation
import GLENTensor
import Synchronization
import Testing

@testable import GLENCUDA
@testable import GLENTraining

/// How often the driver was asked for a launch and for a copy to the host, by `countingBackend`.
private let launches = Atomic(0), downloads = Atomic(0)

/// A backend whose driver counts; for one test at a time.
private func countingBackend() throws -> CUDABackend {
  // Never given back: a backend holds on to its tables for ever, as to those of libraries.
  let driver = UnsafeMutablePointer<glen_cuda_driver>.allocate(capacity: 1)
  driver.initialize(to: glen_host_driver().pointee)
  driver.pointee.cuLaunchKernel = {
    function, x, y, z, tx, ty, tz, bytes, stream, arguments, extra in
    launches.add(1, ordering: .relaxed)
    return glen_host_driver().pointee.cuLaunchKernel(
      function, x, y, z, tx, ty, tz, bytes, stream, arguments, extra)
  }
  driver.pointee.cuMemcpyDtoHAsync_v2 = { target, source, bytes, stream in
    downloads.add(1, ordering: .relaxed)
    return glen_host_driver().pointee.cuMemcpyDtoHAsync_v2(target, source, bytes, stream)
  }
  return try CUDABackend(
    libraries: CUDALibraries(
      driver: driver, nvrtc: glen_host_nvrtc(), blas: glen_host_blas()), ordinal: 0,
    precision: .float32, memoryBudget: .max,
    cacheFolder: FileManager.default.temporaryDirectory.appendingPathComponent("glen-cuda-tests"))
}

@Suite("What the driver is asked for", .serialized)
struct CountingTests {
  private struct Named: ParameterContainer {
    var tensors: [(name: String, tensor: Tensor)]

    mutating func visitParameters(_ body: (String, inout Tensor) throws -> Void) rethrows {
      for index in tensors.indices { try body(tensors[index].name, &tensors[index].tensor) }
    }
  }

  private static let counts = [1, 4096, 4097, 0, 12_345, 31]

  private static func values(_ count: Int, seed: UInt64) -> [Float] {
    var random = SeededGenerator(RandomKey(seed: seed))
    return (0..<count).map { _ in Float.random(in: -2...2, using: &random) }
  }

  /// However many parameters there are, and with the same result as one by one.
  @Test func anUpdateIsOneLaunch() throws {
    let backend = try countingBackend()
    func model() throws -> Named {
      Named(
        tensors: try Self.counts.enumerated().map { index, count in
          let values = Self.values(count, seed: UInt64(index))
          return ("p\(index)", try Tensor(values, shape: [count], on: backend))
        })
    }
    func gradients(_ names: Range<Int>) throws -> Gradients {
      var gradients = Gradients()
      for index in names {
        gradients["p\(index)"] = try Tensor(
          Self.values(Self.counts[index], seed: 50 + UInt64(index)),
          shape: [Self.counts[index]], on: backend)
      }
      return gradients
    }
    func rate(_ name: String) -> Float { name == "p2" ? 0.3 : 0.01 }
    var (together, optimizer) = (try model(), AdamW())
    let all = try gradients(Self.counts.indices)
    for _ in 0..<3 {
      let before = launches.load(ordering: .relaxed)
      try optimizer.update(&together, all, gradientScale: 0.5, rate: rate)
      #expect(launches.load(ordering: .relaxed) - before == 1)
    }
    var alone = try model()
    for index in Self.counts.indices {
      var optimizer = AdamW()
      let own = try gradients(index..<index + 1)
      for _ in 0..<3 { try optimizer.update(&alone, own, gradientScale: 0.5, rate: rate) }
    }
    for (left, right) in zip(together.tensors, alone.tensors) {
      #expect(
        try left.tensor.values().map(\.bitPattern) == right.tensor.values().map(\.bitPattern))
    }
  }

  @Test func aNormIsOneCopyToTheHost() throws {
    let backend = try countingBackend()
    var gradients = Gradients()
    var expected = 0.0
    for (index, count) in Self.counts.enumerated() {
      let values = Self.values(count, seed: UInt64(index))
      gradients["p\(index)"] = try Tensor(values, shape: [count], on: backend)
      expected += values.reduce(0) { $0 + Double($1) * Double($1) }
    }
    let before = downloads.load(ordering: .relaxed)
    let norm = try gradients.norm()
    #expect(downloads.load(ordering: .relaxed) - before == 1)
    #expect(abs(Double(norm) - expected.squareRoot()) < 1e-5 * expected.squareRoot())
    #expect(try Gradients().norm() == 0)
  }
  /// A step's losses, too, however many they are.
  @Test func lossesAreOneCopyToTheHost() throws {
    let backend = try countingBackend()
    let losses = try [("loss", 3.5), ("pairwise", -0.25), ("distance", .nan)].map {
      (name: $0.0, tensor: try Tensor([Float($0.1)], shape: [], on: backend))
    }
    let before = downloads.load(ordering: .relaxed)
    let read = try LossPart.reading(losses)
    #expect(downloads.load(ordering: .relaxed) - before == 1)
    #expect(read.map(\.name) == ["loss", "pairwise", "distance"])
    #expect(read.prefix(2).map(\.value) == [3.5, -0.25] && read[2].value.isNaN)
    #expect(try LossPart.reading([]) == [])
  }
}

import CGLENCUDA
import CGLENCUDAHost
import Foundation
import GLENTensor
import GLENTestSupport
import Testing

@testable import GLENCUDA

/// One at a time, because the order of a block's threads is one setting.
@Suite("CUDA's kernels on the processor", .serialized)
struct KernelTests {
  private static let backend = Result { try hostBackend() }

  private static let alone = Result {
    try hostBackend(
      precision: .bfloat16, rounding: Rounding(leastProduct: 0, leastFactor: 0, leastAlone: 0))
  }
  private static let rounding = Result { try hostBackend(precision: .bfloat16) }

  @Test(arguments: OperationCase.all)
  func agreesWithTheReference(_ operation: OperationCase) throws {
    let failures = try operation.failures(on: try Self.backend.get())
    #expect(failures == [])
  }

  /// Kernels that read four numbers at once, where they can.
  @Test(arguments: OperationCase.all.filter { !$0.name.hasPrefix("matrixProduct") })
  func agreesWithTheReferenceInFours(_ operation: OperationCase) throws {
    let failures = try operation.failures(on: try Self.backend.get(), isAligned: true)
    #expect(failures == [])
  }

  /// Where the order of threads between two barriers changes a bit, a barrier is missing.
  @Test(arguments: OperationCase.all.filter { $0.gradientStep == nil })
  func isTheSameForAnyOrderOfThreads(_ operation: OperationCase) throws {
    let forward = try bits(operation)
    glen_host_reverse_threads(1)
    defer { glen_host_reverse_threads(0) }
    #expect(try bits(operation) == forward)
  }

  /// Factors of bfloat16 have seven bits of fraction; a wrong place in a tile is off by far more.
  @Test(arguments: OperationCase.attentions)
  func agreesWithRoundedFactors(_ operation: OperationCase) throws {
    let failures = try operation.failures(
      on: try Self.rounding.get(), rounding: 4e-2, isAligned: true)
    #expect(failures == [])
  }

  @Test(arguments: OperationCase.attentions)
  func isTheSameWithRoundedFactorsForAnyOrderOfThreads(_ operation: OperationCase) throws {
    let backend = try Self.rounding.get()
    let forward = try bits(operation, on: backend)
    glen_host_reverse_threads(1)
    defer { glen_host_reverse_threads(0) }
    #expect(try bits(operation, on: backend) == forward)
  }

  /// Results of which only the copy is written: who reads them nevertheless, reads numbers.
  ///
  /// Memory begins as NaN here. Scores that were rounded and are then divided by a low temperature are others.
  @Test(
    arguments: OperationCase.all.filter(\.allowsRounding))
  func readsWhatIsRoundedAlone(_ operation: OperationCase) throws {
    let failures = try operation.failures(
      on: try Self.alone.get(), rounding: OperationCase.rounding, isAligned: true)
    #expect(failures == [])
  }

  /// A factor that was rounded is used again, but not once it was written.
  @Test func roundedFactorsAreNotStale() throws {
    let backend = try Self.rounding.get()
    let (m, n, k) = (256, 264, 272)
    var random = SeededGenerator(RandomKey(seed: 9))
    func values(_ count: Int) -> [Float] {
      (0..<count).map { _ in Float.random(in: -1...1, using: &random) }
    }
    let (first, second) = (values(m * k), values(n * k))
    let a = try Tensor(first, shape: [m, k], on: backend)
    let b = try Tensor(second, shape: [n, k], on: backend)
    let c = try Tensor(unset: [m, n], on: backend)
    func multiply(_ a: Tensor, into c: Tensor) {
      backend.matrixProduct(
        MatrixProduct(m: m, n: n, k: k, a: a.region, b: b.region, c: c.region, transposeB: true))
    }
    func rounded(_ x: Float) -> Double { Double(bfloat16(x)) }
    func isProduct(_ a: [Float], _ c: [Float]) -> Bool {
      (0..<500).allSatisfy { index in
        let (i, j) = (index * 7 % m, index * 11 % n)
        let sum = (0..<k).reduce(0.0) {
          $0 + rounded(a[i * k + $1]) * rounded(second[j * k + $1])
        }
        return abs(sum - Double(c[i * n + j])) < 1e-4
      }
    }
    multiply(a, into: c)
    multiply(a, into: c)
    #expect(isProduct(first, try c.values()))
    backend.scale(a.region, by: 3, into: a.region, count: m * k)
    multiply(a, into: c)
    #expect(isProduct(first.map { 3 * $0 }, try c.values()))
    // The product itself overwrites what was rounded: the next one must round it anew.
    let wide = try Tensor(values(m * m), shape: [m, m], on: backend)
    let d = try Tensor(unset: [m, n], on: backend)
    multiply(a, into: c)
    backend.matrixProduct(
      MatrixProduct(m: m, n: k, k: m, a: wide.region, b: a.region, c: a.region))
    multiply(a, into: d)
    #expect(isProduct(try a.values(), try d.values()))
    #expect(!isProduct(first.map { 3 * $0 }, try d.values()))
  }

  /// A product of some rows of what is there in bfloat16 alone, as the losses take them in chunks.
  @Test func aPartOfWhatIsRoundedAlone() throws {
    let backend = try Self.alone.get()
    let (rows, width) = (6, 16)
    let counted = (0..<rows * width).map { Float($0 - 40) }
    let x = try Tensor(counted, shape: [rows, width], on: backend)
    let unit = try Tensor(
      (0..<width * width).map { $0 % (width + 1) == 0 ? 1 : 0 }, shape: [width, width],
      on: backend)
    let part = try Tensor(unset: [rows - 2, width], on: backend)
    let y = try relu(x)
    backend.matrixProduct(
      MatrixProduct(
        m: rows - 2, n: width, k: width, a: y.region.advanced(by: 2 * width), b: unit.region,
        c: part.region, transposeB: true))
    #expect(try part.values() == counted[(2 * width)...].map { max($0, 0) })
  }

  private func bfloat16(_ x: Float) -> Float {
    let bits = x.bitPattern
    return Float(bitPattern: (bits + 0x7fff + (bits >> 16 & 1)) & 0xffff_0000)
  }

  private func bits(_ operation: OperationCase) throws -> [[UInt32]] {
    try bits(operation, on: try Self.backend.get())
  }

  private func bits(
    _ operation: OperationCase, on backend: CUDABackend
  ) throws -> [[UInt32]] {
    try operation.results(on: backend, isAligned: backend.precision == .bfloat16).map {
      $0.values.map(\.bitPattern)
    }
  }
}

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

  @Test(arguments: OperationCase.all)
  func agreesWithTheReference(_ operation: OperationCase) throws {
    let failures = try operation.failures(on: try Self.backend.get())
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

  private func bits(_ operation: OperationCase) throws -> [[UInt32]] {
    try operation.results(on: try Self.backend.get()).map { $0.values.map(\.bitPattern) }
  }
}

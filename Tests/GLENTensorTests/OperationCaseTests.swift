import Foundation
import GLENTensor
import GLENTestSupport
import Testing

@Suite("Operation cases on the CPU")
struct OperationCaseTests {
  @Test(arguments: OperationCase.all)
  func agreesWithTheReference(_ operation: OperationCase) throws {
    let failures = try operation.failures(on: CPUBackend(threadCount: 3))
    #expect(failures == [])
  }

  /// Every function of the protocol but the products and attention, whose sums BLAS orders.
  @Test(
    arguments: OperationCase.all.filter {
      $0.gradientStep == nil && !["matrixProduct", "attention"].contains($0.name)
    })
  func isTheSameForAnyNumberOfThreads(_ operation: OperationCase) throws {
    let one = try bits(operation, threads: 1)
    #expect(try bits(operation, threads: 2) == one)
    #expect(try bits(operation, threads: 3) == one)
  }

  #if canImport(Glibc)
    // The variable counts when the first loop runs: in processes of their own. Where the machine lacks
    // a set, the next narrower one is tested again.
    @Test func agreesOnAVX512() async {
      await #expect(processExitsWith: .success) { try Self.requireAgreement(onlyUsing: "avx512") }
    }

    @Test func agreesOnAVX2() async {
      await #expect(processExitsWith: .success) { try Self.requireAgreement(onlyUsing: "avx2") }
    }

    @Test func agreesWithoutVectorInstructions() async {
      await #expect(processExitsWith: .success) { try Self.requireAgreement(onlyUsing: "portable") }
    }

    private static func requireAgreement(onlyUsing kernels: String) throws {
      setenv("GLEN_CPU_KERNELS", kernels, 1)
      let backend = CPUBackend(threadCount: 2)
      try #require(backend.instructionSet.rawValue == kernels)
      for operation in OperationCase.all where operation.gradientStep == nil {
        let failures = try operation.failures(on: backend)
        try #require(failures == [])
      }
    }
  #endif

  @Test func namesAreUnique() {
    #expect(Set(OperationCase.all.map(\.description)).count == OperationCase.all.count)
  }

  /// A comparison that compares nothing would pass everything.
  @Test func aWrongResultFails() {
    let right = Comparison(
      label: "x", values: [1, .nan, .infinity], expected: [1, .nan, .infinity])
    #expect(right.failure(tolerance: 1e-6) == nil)
    let wrong: [([Float], [Double])] = [
      ([1], [1.1]), ([.nan], [0]), ([0], [.nan]), ([.infinity], [1]), ([1], [.infinity]),
      ([1], [1, 1]),
    ]
    for (values, expected) in wrong {
      let comparison = Comparison(label: "x", values: values, expected: expected)
      #expect(comparison.failure(tolerance: 1e-6) != nil)
    }
  }

  private func bits(_ operation: OperationCase, threads: Int) throws -> [[UInt32]] {
    try operation.results(on: CPUBackend(threadCount: threads)).map {
      $0.values.map(\.bitPattern)
    }
  }
}

import Foundation
import Testing

@testable import GLENTensor

/// Products of low precision against loops that round by the definition, on every instruction set.
@Suite("Low precision")
struct LowPrecisionTests {
  /// A case on an instruction set; where the machine lacks it, the next narrower one is tested again.
  struct Kernels: Sendable, CustomTestStringConvertible {
    let precision: LowPrecision
    let instructionSet: InstructionSet
    var testDescription: String { "\(precision) \(instructionSet)" }

    static let all = LowPrecision.allCases.flatMap { precision in
      InstructionSet.allCases.map { Kernels(precision: precision, instructionSet: $0) }
    }
  }

  private func random(_ count: Int, seed: UInt64) -> [Float] {
    var generator = SeededGenerator(RandomKey(seed: seed))
    return (0..<count).map { _ in Float.random(in: -1...1, using: &generator) }
  }

  /// What a row stands for once it is rounded.
  private func rounded(_ row: some Collection<Float>, _ precision: LowPrecision) -> [Double] {
    switch precision {
    case .int8:
      let most = row.reduce(0) { max($0, abs($1)) }
      guard most > 0 else { return row.map { _ in 0 } }
      let (scale, inverse) = (most / 127, 127 / most)
      return row.map { Double(($0 * inverse).rounded(.toNearestOrEven)) * Double(scale) }
    case .bf16:
      return row.map { value in
        let bits = value.bitPattern
        return Double(Float(bitPattern: (bits + 0x7fff + (bits >> 16 & 1)) & 0xffff_0000))
      }
    }
  }

  private func rows(_ values: [Float], _ width: Int) -> [ArraySlice<Float>] {
    stride(from: 0, to: values.count, by: width).map { values[$0..<$0 + width] }
  }

  @Test(arguments: Kernels.all)
  func productsAreThoseOfRoundedRows(_ kernels: Kernels) throws {
    let backend = CPUBackend(threadCount: 2, instructionSet: kernels.instructionSet)
    let extents = [(1, 1), (3, 5), (16, 4), (17, 6), (33, 130), (20, 259), (37, 513)]
    for (index, (outputs, inputs)) in extents.enumerated() {
      for count in Array(1...7) + [12, 13, 25, 50, 61] {
        let x = random(count * inputs, seed: UInt64(index * 100 + count))
        let w = random(outputs * inputs, seed: UInt64(index))
        let old = random(count * outputs, seed: 5)
        let weight = try Tensor(w, shape: [outputs, inputs], on: backend)
        let y = try linear(
          Tensor(x, shape: [count, inputs], on: backend), weight.packed(as: kernels.precision),
          adding: Tensor(old, shape: [count, outputs], on: backend), scale: 0.5
        ).values()
        let left = rows(x, inputs).map { rounded($0, kernels.precision) }
        let right = rows(w, inputs).map { rounded($0, kernels.precision) }
        var worst = 0.0
        for row in 0..<count {
          for output in 0..<outputs {
            var sum = 0.0
            for input in 0..<inputs { sum += left[row][input] * right[output][input] }
            let expected = 0.5 * sum + Double(old[row * outputs + output])
            worst = max(worst, abs(Double(y[row * outputs + output]) - expected))
          }
        }
        #expect(worst < 1e-5, "\(count) x \(inputs) x \(outputs)")
      }
    }
  }

  /// Sums of whole numbers are exact, so neither instructions nor threads may change a bit.
  @Test func int8IsTheSameEverywhere() throws {
    let (x, w) = (random(61 * 300, seed: 1), random(70 * 300, seed: 2))
    for count in [1, 9, 61] {
      let results = try InstructionSet.allCases.flatMap { set in
        try [1, 3].map { threads in
          let backend = CPUBackend(threadCount: threads, instructionSet: set)
          let weight = try Tensor(w, shape: [70, 300], on: backend).packed(as: .int8)
          let rows = try Tensor(Array(x.prefix(count * 300)), shape: [count, 300], on: backend)
          return try linear(rows, weight).values().map(\.bitPattern)
        }
      }
      #expect(results.allSatisfy { $0 == results[0] })
    }
  }

  /// Sixteen-bit sums of pairs would overflow here if they could.
  @Test(arguments: InstructionSet.allCases)
  func theGreatestNumbersDoNotOverflow(_ set: InstructionSet) throws {
    let backend = CPUBackend(threadCount: 1, instructionSet: set)
    for (left, right) in [(1, 1), (-1, 1), (1, -1), (-1, -1)] as [(Float, Float)] {
      let x = try Tensor(repeating: left * 127, shape: [2, 65536], on: backend)
      let w = try Tensor(repeating: right * 127, shape: [1, 65536], on: backend)
      let y = try linear(x, w.packed(as: .int8)).values()
      #expect(y == [Float](repeating: left * right * 127 * 127 * 65536, count: 2))
    }
  }

  @Test(arguments: LowPrecision.allCases)
  func valuesAreThoseOfRoundedRows(_ precision: LowPrecision) throws {
    let w = random(35 * 7, seed: 3)
    let packed = try Tensor(w, shape: [35, 7]).packed(as: precision)
    let expected = rows(w, 7).flatMap { rounded($0, precision) }
    #expect(packed.precision == precision && packed.shape == [35, 7])
    #expect(try zip(packed.values(), expected).allSatisfy { abs(Double($0) - $1) < 1e-7 })
    let some = try gather(packed, rows: TokenIDs([34, 0, 16, 34])).values()
    let all = rows(try packed.values(), 7)
    #expect(some == [34, 0, 16, 34].flatMap { all[$0] })
  }

  @Test(arguments: LowPrecision.allCases)
  func bestTokensAreThoseOfTheProducts(_ precision: LowPrecision) throws {
    let table = try Tensor(random(90 * 20, seed: 4), shape: [90, 20]).packed(as: precision)
    let states = try Tensor(random(5 * 20, seed: 6), shape: [5, 20])
    let scores = rows(try linear(states, table).values(), 90)
    let (tokens, weights) = try bestTokens(states: states, table: table, scale: 1, mask: nil)
    #expect(try weights.values() == scores.map { $0.max() ?? 0 })
    let best = try tokens.values()
    for (token, scores) in zip(best, scores) {
      #expect(scores[scores.startIndex + Int(token)] == scores.max())
    }
  }

  @Test(arguments: Kernels.all)
  func whatIsNotANumberStaysInItsRow(_ kernels: Kernels) throws {
    let backend = CPUBackend(threadCount: 1, instructionSet: kernels.instructionSet)
    let weight = try Tensor(random(6, seed: 1), shape: [2, 3], on: backend)
    let x = try Tensor([1, .nan, 2, 0, 0, 0, 1, 2, 3], shape: [3, 3], on: backend)
    let y = try linear(x, weight.packed(as: kernels.precision)).values()
    #expect(y[0].isNaN && y[1].isNaN)
    #expect(y[2] == 0 && y[3] == 0)
    #expect(y[4].isFinite && y[5].isFinite)
  }

  // MARK: Files

  private func file(
    _ tensors: [(name: String, tensor: Tensor)], _ body: (SafetensorsFile, URL) throws -> Void
  ) throws {
    let folder = try TemporaryFolder()
    let url = folder.url.appendingPathComponent("a.safetensors")
    try SafetensorsFile.write(tensors, to: url)
    try body(SafetensorsFile(contentsOf: url), url)
  }

  @Test(arguments: LowPrecision.allCases)
  func whatIsWrittenIsReadInPlace(_ precision: LowPrecision) throws {
    let norm = try Tensor([1, 2, 3], shape: [3])
    let weight = try Tensor(random(19 * 3, seed: 8), shape: [19, 3]).packed(as: precision)
    try file([("norm", norm), ("w", weight)]) { file, _ in
      #expect(file.names == (precision == .int8 ? ["norm", "w", "w_scale"] : ["norm", "w"]))
      let read = try #require(try file.packedTensor("w", shape: [19, 3]))
      #expect(read.precision == precision && read.shape == [19, 3])
      #expect(try read.values() == weight.values())
      #expect(Int(bitPattern: read.storage.address) % 64 == 0)
      #expect(try file.packedTensor("norm", shape: [3, 1]) == nil)
      #expect(try file.packedTensor("w", shape: [19, 40]) == nil)
      #expect(try file.tensor("norm").values() == [1, 2, 3])
    }
  }

  @Test func scalesMustFit() throws {
    let weight = try Tensor(random(19 * 3, seed: 8), shape: [19, 3]).packed(as: .int8)
    try file([("w", weight)]) { _, url in
      var text = try Data(contentsOf: url)
      let name = try #require(text.range(of: Data("w_scale".utf8)))
      text.replaceSubrange(name, with: Data("x_scale".utf8))
      try text.write(to: url)
      let file = try SafetensorsFile(contentsOf: url)
      let error = #expect(throws: TensorError.self) {
        _ = try file.packedTensor("w", shape: [19, 3])
      }
      #expect(error?.description.contains("w_scale") == true)
    }
  }

  // MARK: Errors

  @Test func onlyInferenceTakesLowPrecision() throws {
    let weight = try Tensor(random(12, seed: 1), shape: [4, 3])
    let packed = try weight.packed(as: .int8)
    let cases: [(String, () throws -> Void)] = [
      ("add", { _ = try add(packed, weight) }),
      ("linear", { _ = try linear(packed, weight) }),
      ("reshaped", { _ = try packed.reshaped(to: [12]) }),
      ("packed", { _ = try packed.packed(as: .bf16) }),
      (
        "makeUnique",
        {
          var (copy, other) = (packed, packed)
          try copy.makeUnique()
          try other.makeUnique()
        }
      ),
      ("valueWithPullback: 1", { _ = try valueWithPullback(of: [weight, packed]) { $0 } }),
      (
        "linear",
        {
          _ = try valueWithPullback(of: [weight]) { [try linear($0[0], packed)] }
        }
      ),
    ]
    for (operation, body) in cases {
      let error = #expect(throws: TensorError.self) { try body() }
      #expect(error?.description.hasPrefix("\(operation): an operand is in int8") == true)
    }
  }

  @Test func whatCannotBePacked() throws {
    let wide = try Tensor(repeating: 1, shape: [1, 65537])
    let flat = try Tensor([1, 2], shape: [2])
    let broken = try Tensor([1, .infinity], shape: [1, 2])
    for tensor in [wide, flat, broken] {
      #expect(throws: TensorError.self) { try tensor.packed(as: .int8) }
    }
  }
}

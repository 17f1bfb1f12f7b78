import ArgumentParser
import GLENCUDA
import GLENPlatform
import GLENTensor
import GLENTestSupport

/// Shows what works on a device, without a test framework.
///
/// Operations against plain loops in double, golden numbers from PyTorch, and how fast it is.
struct SelfTest: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "selftest", abstract: "Check and time a device.",
    discussion: "Exit code 0 where everything agrees, 70 where anything does not.")

  @Option(help: "cpu or cuda.") var device = Device.cpu
  @Option(help: "A folder of parity cases, or one of them.") var parity: String?
  @Option(help: "Only operations whose names, with their extents, contain this.") var only: String?
  @Option(
    help: ArgumentHelp(
      "Only the Kth of N parts of the operations' cases, for checkers that slow each down.",
      valueName: "K/N"))
  var part: Part?
  @Flag(help: "Without the cases that differentiate: the operations of the backend alone.")
  var withoutGradients = false
  @Flag(help: "On CUDA, in bfloat16: factors and results are rounded, however small.")
  var roundsAll = false
  @Flag(help: "Also time products, queries, indexing and training with a T5-base.")
  var benchmark = false

  func run() throws {
    if roundsAll, device != .cuda {
      throw ValidationError("--rounds-all needs --device cuda")
    }
    let backend = try roundsAll ? CUDABackend.roundingEverything() : device.backend()
    if let cuda = backend as? CUDABackend { Console.output("\(cuda.device), \(cuda.precision)") }
    var failures = try checkOperations(on: backend)
    if let parity {
      failures += try ParityCheck.run(URL(fileURLWithPath: parity), on: backend)
    }
    if benchmark { try SelfTestBenchmark.run(on: device) }
    Console.output(failures == 0 ? "all right" : "\(failures) failed")
    if failures > 0 { throw ExitCode(70) }
  }

  /// One line for each operation: how many of its cases pass, and the first that does not.
  private func checkOperations(on backend: any Backend) throws -> Int {
    let chosen = OperationCase.all.filter { operation in
      // A device that cannot search has nothing to show there.
      (operation.name != "search" || backend is any CodeScanner)
        && (only.map(operation.description.contains) ?? true)
        && !(withoutGradients && operation.gradientStep != nil)
        && !(roundsAll && !operation.allowsRounding)
    }
    if let only, chosen.isEmpty, parity == nil, !benchmark {
      throw ValidationError("no operation's name or extents contain '\(only)'")
    }
    let cases = part.map { $0.of(chosen) } ?? chosen
    let rounding = roundsAll ? OperationCase.rounding : Self.rounding(of: backend).operations
    var names: [String] = []
    for name in cases.map(\.name) where !names.contains(name) { names.append(name) }
    var failed = 0
    for name in names {
      let own = cases.filter { $0.name == name }
      var wrong: [String] = []
      for operation in own {
        do {
          // What is not aligned is not rounded.
          let found = try (roundsAll ? [true] : [false, true]).flatMap {
            try operation.failures(on: backend, rounding: rounding, isAligned: $0)
          }
          if let first = found.first { wrong.append("\(operation.extents): \(first)") }
        } catch {
          wrong.append("\(operation.extents): \(error)")
        }
      }
      failed += wrong.count
      Self.row(name, "\(own.count - wrong.count) of \(own.count)", wrong.first ?? "")
    }
    return failed
  }

  /// What the factors' rounding may be off: in an operation's elements, in a model's loss, and, relative
  /// to the greatest, in its states and logits and in its gradients, where a unit of the feed-forward
  /// layer whose input is nearly 0 can come to lie on the other side.
  ///
  /// The longest sum of the operations, of 790 products of numbers below 2 and times 2, was off by 0.05
  /// with TensorFloat-32 (H200). Products so small are not rounded to bfloat16 by the backend, and were not by
  /// cuBLAS.
  static func rounding(
    of backend: any Backend
  ) -> (operations: Double, loss: Double, states: Double, gradients: Double) {
    switch (backend as? CUDABackend)?.precision {
    case nil, .float32: (0, 0, 0, 0)
    case .tensorFloat32: (0.1, 4e-3, 1e-2, 0.5)
    case .bfloat16: (5e-2, 2e-2, 5e-2, 0.5)
    }
  }

  /// A line of the table.
  static func row(_ name: String, _ result: String, _ remark: String = "") {
    let padded = name.padded(to: 34)
    Console.output("\(padded) \(result)\(remark.isEmpty ? "" : "   \(remark)")")
  }
}

/// One of several parts of a list: every nth element, so that neighbours, which are alike, part.
struct Part: ExpressibleByArgument {
  /// The number of the part, from 1, and how many there are.
  var number: Int, count: Int

  init?(argument: String) {
    let words = argument.split(separator: "/", omittingEmptySubsequences: false).map { Int($0) }
    guard words.count == 2, let number = words[0], let count = words[1],
      1...max(count, 1) ~= number,
      count > 0
    else { return nil }
    (self.number, self.count) = (number, count)
  }

  func of<Element>(_ list: [Element]) -> [Element] {
    stride(from: number - 1, to: list.count, by: count).map { list[$0] }
  }
}

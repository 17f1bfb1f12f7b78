import CGLENCUDA
import GLENTensor
import Synchronization

/// Steps of a rollout side by side, in a launch for eight of them: each is so small that launches are all that
/// it takes.
extension CUDABackend {
  /// stacked[b, t] = steps[t][b].
  public func stack(_ steps: [Region], into stacked: Region, rows: Int, width: Int) {
    forEachPart(of: steps, in: stacked, width: width) { part, operands in
      roundedFactors.withLock { kept in
        for (place, step) in part.enumerated() {
          widen(step.storage, &kept)
          Self.set(&operands.steps, place, Self.floats(step))
        }
        widen(stacked.storage, &kept)
        start(.stack, &operands, rows: rows, steps: part.count)
        forget(stacked.storage.key, &kept)
      }
    }
  }

  /// steps[t][b] = stacked[b, t], or added to that, and rounded for the products that they go into.
  public func unstack(
    _ stacked: Region, into steps: [(region: Region, accumulating: Bool)?], rows: Int, width: Int
  ) {
    let count = rows * width
    forEachPart(of: steps, in: stacked, width: width) { part, operands in
      let copies = part.map { $0.flatMap { roundedTarget($0.region, count: count) } }
      roundedFactors.withLock { kept in
        widen(stacked.storage, &kept)
        for case (let place, let step?) in part.enumerated() {
          widen(step.region.storage, &kept)
          Self.set(&operands.steps, place, Self.floats(step.region))
          Self.set(&operands.rounded, place, copies[place])
          Self.set(&operands.accumulates, place, Int32(step.accumulating ? 1 : 0))
        }
        start(.unstack, &operands, rows: rows, steps: part.count)
        for case let step? in part { forget(step.region.storage.key, &kept) }
      }
      for case (let copy, let step?) in zip(copies, part) {
        keep(copy, of: step.region, count: count)
      }
    }
  }

  /// Hands over as many steps at a time as a launch takes, and its operands but for them.
  private func forEachPart<Step>(
    of steps: [Step], in stacked: Region, width: Int,
    _ body: (_ part: [Step], _ operands: inout glen_stack) -> Void
  ) {
    let most = Int(glen_stack_steps)
    for first in stride(from: 0, to: steps.count, by: most) {
      var operands = glen_stack()
      operands.stacked = Self.floats(stacked.advanced(by: first * width))
      (operands.width, operands.stride) = (width, steps.count * width)
      body(Array(steps[first..<min(first + most, steps.count)]), &operands)
    }
  }

  private func start(_ kernel: Kernel, _ operands: inout glen_stack, rows: Int, steps: Int) {
    withUnsafeMutablePointer(to: &operands) { operands in
      var arguments: [UnsafeMutableRawPointer?] = [UnsafeMutableRawPointer(operands)]
      start(kernel, blocks: (rows, steps, 1), &arguments)
    }
  }

  /// An element of an array in C, which is a tuple here.
  static func set<Elements, Value>(
    _ elements: inout Elements, _ index: Int, _ value: Value
  ) {
    withUnsafeMutableBytes(of: &elements) {
      $0.storeBytes(of: value, toByteOffset: index * MemoryLayout<Value>.stride, as: Value.self)
    }
  }
}

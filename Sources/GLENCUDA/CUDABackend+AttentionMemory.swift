import CGLENCUDA
import GLENTensor
import Synchronization

/// The gradients of keys and values that all steps of a rollout read, written once.
extension CUDABackend: KeyGradientGatherer {
  /// Of all heads that the kernels of single queries take: a third of what a rollout's way back would read and write otherwise.
  public func gathersKeyGradients(headWidth: Int) -> Bool { headWidth <= Self.widestHead }

  /// The gradient of the queries, and the step's weights.
  public func attentionQueriesBackward(
    _ step: AttentionStep, dQueries: Region, accumulating: Bool
  ) {
    let a = step.attention
    forgetRounded(dQueries, step.weights)
    widen(a.queries, a.output, step.dOutput)
    var operands = Self.operands(a)
    operands.doutput = UnsafePointer(Self.floats(step.dOutput))
    operands.result = Self.floats(dQueries)
    operands.accumulates = accumulating ? 1 : 0
    operands.weights = Self.floats(step.weights)
    operands.all_keys = a.totalKeys
    let count = a.totalQueries * a.heads * a.headWidth
    let copy = roundedTarget(dQueries, count: count)
    operands.rounded = Self.halves(copy)
    launchSingles(.attentionOneBackward, .attentionOneBackwardWide, &operands, a)
    keep(copy, of: dQueries, count: count)
  }

  /// The gradients of keys and values, eight steps a launch.
  public func attentionKeysBackward(
    _ steps: [AttentionStep], dKeys: Region, dValues: Region, accumulatingKeys: Bool,
    accumulatingValues: Bool
  ) {
    guard let a = steps.first?.attention else { return }
    let most = Int(glen_memory_steps), count = a.totalKeys * a.heads * a.headWidth
    for first in stride(from: 0, to: steps.count, by: most) {
      let part = steps[first..<min(first + most, steps.count)]
      let accumulates = (accumulatingKeys || first > 0, accumulatingValues || first > 0)
      let isLast = part.endIndex == steps.endIndex
      let copies = (
        isLast ? roundedTarget(dKeys, count: count) : nil,
        isLast ? roundedTarget(dValues, count: count) : nil
      )
      let areAlone = (
        isAlone(copies.0, count: count, accumulating: accumulates.0),
        isAlone(copies.1, count: count, accumulating: accumulates.1)
      )
      forgetRounded(dKeys, dValues)
      var operands = glen_memory()
      operands.key_offsets = Self.integers(a.keyOffsets)
      operands.keys_result = areAlone.0 ? nil : Self.floats(dKeys)
      operands.values_result = areAlone.1 ? nil : Self.floats(dValues)
      (operands.rounded_keys, operands.rounded_values) = (
        Self.halves(copies.0), Self.halves(copies.1)
      )
      (operands.heads, operands.head_width) = (a.heads, a.headWidth)
      (operands.all_keys, operands.steps) = (a.totalKeys, Int32(part.count))
      operands.accumulates_keys = accumulates.0 ? 1 : 0
      operands.accumulates_values = accumulates.1 ? 1 : 0
      roundedFactors.withLock { kept in
        for (place, step) in part.enumerated() {
          widen(step.attention.queries.storage, &kept)
          widen(step.dOutput.storage, &kept)
          Self.set(&operands.queries, place, Self.floats(step.attention.queries))
          Self.set(&operands.doutput, place, Self.floats(step.dOutput))
          Self.set(&operands.weights, place, Self.floats(step.weights))
          Self.set(
            &operands.query_offsets, place, Self.integers(step.attention.queryOffsets))
        }
        withUnsafeMutablePointer(to: &operands) { operands in
          var arguments: [UnsafeMutableRawPointer?] = [UnsafeMutableRawPointer(operands)]
          start(
            .attentionMemory, blocks: (a.sequences, a.heads, 1), threads: 128, &arguments)
        }
      }
      keep(copies.0, of: dKeys, count: count, isAlone: areAlone.0)
      keep(copies.1, of: dValues, count: count, isAlone: areAlone.1)
    }
  }
}

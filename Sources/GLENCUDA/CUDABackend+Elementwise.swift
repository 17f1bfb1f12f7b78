import CGLENCUDA
import GLENTensor
import Synchronization

extension CUDABackend {
  /// Starts a kernel whose threads loop over `count` elements.
  func launchEach(_ kernel: Kernel, count: Int, _ arguments: KernelArgument...) {
    launch(kernel, blocks: (Self.blocks(for: count), 1, 1), all: arguments)
  }

  /// Enough blocks to fill any device a few times over; further elements are further turns.
  static func blocks(for count: Int) -> Int {
    min((count + Kernel.threads - 1) / Kernel.threads, 4096)
  }

  /// y += scale x.
  public func addScaled(_ x: Region, scale: Float, to y: Region, count: Int) {
    let isAligned = [x, y].allSatisfy { $0.offset % 4 == 0 }
    let source = Self.source(x, count: count, isAligned: isAligned)
    launchEach(
      .addScaled, count: count, source.elements, source.halves, .number(scale), .at(y),
      .count(count))
  }

  /// y = scale x.
  public func scale(_ x: Region, by scale: Float, into y: Region, count: Int) {
    launchEach(.scale, count: count, .input(x), .number(scale), .at(y), .count(count))
  }

  /// y = max(x, 0).
  public func relu(_ x: Region, into y: Region, count: Int) {
    let isAligned = [x, y].allSatisfy { $0.offset % 4 == 0 }
    let target = target(y, count: count, isAligned: isAligned)
    let source = Self.source(x, count: count, isAligned: isAligned)
    launchEach(
      .relu, count: count, source.elements, source.halves, target.argument, .count(count),
      .address(target.copy), .flag(target.isAlone))
    keep(target)
  }

  /// dx = dy where y > 0.
  public func reluBackward(y: Region, dy: Region, dx: Region, count: Int, accumulating: Bool) {
    let isAligned = [y, dy, dx].allSatisfy { $0.offset % 4 == 0 }
    let target = target(dx, count: count, isAligned: isAligned, accumulating: accumulating)
    let y = Self.source(y, count: count, isAligned: isAligned)
    let dy = Self.source(dy, count: count, isAligned: isAligned)
    launchEach(
      .reluBackward, count: count, y.elements, y.halves, dy.elements, dy.halves, target.argument,
      .count(count), .flag(accumulating), .address(target.copy), .flag(target.isAlone))
    keep(target)
  }

  /// y = gelu(gate) up.
  public func gatedGELU(gate: Region, up: Region, into y: Region, count: Int) {
    let isAligned = [gate, up, y].allSatisfy { $0.offset % 4 == 0 }
    let target = target(y, count: count, isAligned: isAligned)
    let gate = Self.source(gate, count: count, isAligned: isAligned)
    let up = Self.source(up, count: count, isAligned: isAligned)
    launchEach(
      .gatedGELU, count: count, gate.elements, gate.halves, up.elements, up.halves,
      target.argument, .count(count), .address(target.copy), .flag(target.isAlone))
    keep(target)
  }

  /// The gradients of `gatedGELU`.
  public func gatedGELUBackward(
    gate: Region, up: Region, dy: Region, dGate: Region, dUp: Region, count: Int,
    accumulatingGate: Bool, accumulatingUp: Bool
  ) {
    let toGate = target(dGate, count: count, accumulating: accumulatingGate)
    let toUp = target(dUp, count: count, accumulating: accumulatingUp)
    let (gate, up) = (Self.source(gate, count: count), Self.source(up, count: count))
    let dy = Self.source(dy, count: count)
    launchEach(
      .gatedGELUBackward, count: count, gate.elements, gate.halves, up.elements, up.halves,
      dy.elements, dy.halves, toGate.argument, toUp.argument, .count(count),
      .flag(accumulatingGate), .flag(accumulatingUp), .address(toGate.copy), .address(toUp.copy),
      .flag(toGate.isAlone), .flag(toUp.isAlone))
    keep(toGate)
    keep(toUp)
  }

  /// y = x / (1 - rate), or 0, by the same random numbers as on the processor.
  public func dropout(
    _ x: Region, rate: Float, key: RandomKey, first: Int, into y: Region, count: Int,
    accumulating: Bool
  ) {
    let source = Self.source(x, count: count)
    var target = target(
      y, count: count, isAligned: first % 4 == 0, accumulating: accumulating)
    // What reads x as float32 is likely to read y so.
    if !isAlone(x, count: count) { target.isAlone = false }
    launchEach(
      .dropout, count: (first % 4 + count + 3) / 4, source.elements, source.halves,
      target.argument, .count(first), .count(count), .number(rate), .word(key.seed),
      .word(key.stream), .flag(accumulating), .address(target.copy), .flag(target.isAlone))
    keep(target)
  }

  /// A result, where a kernel writes the rounded copy of it, and whether that alone.
  private struct Target {
    var region: Region, count: Int, argument: KernelArgument
    var copy: UnsafeMutableRawPointer?, isAlone: Bool
  }

  private func target(
    _ region: Region, count: Int, isAligned: Bool = true, accumulating: Bool = false
  ) -> Target {
    let copy = isAligned ? roundedTarget(region, count: count) : nil
    return Target(
      region: region, count: count,
      argument: accumulating ? .at(region) : .replacing(region, count: count), copy: copy,
      isAlone: isAlone(copy, count: count, accumulating: accumulating))
  }

  private func keep(_ target: Target) {
    keep(target.copy, of: target.region, count: target.count, isAlone: target.isAlone)
  }

  /// out[0] = scale * sum of x, in double.
  public func sum(_ x: Region, scale: Float, into out: Region, count: Int) {
    let parts = min(Self.blocks(for: count), 1024)
    // A part is a double.
    withScratch(floats: 2 * max(parts, 1)) { memory in
      launch(.sumParts, blocks: (parts, 1, 1), .input(x), .count(count), .address(memory))
      launch(
        .sumOfParts, blocks: (1, 1, 1), .address(memory), .count(parts), .number(scale), .at(out))
    }
  }

  /// out[i] = sum of the squares of the i-th of several runs of elements, in double; all runs in two
  /// launches.
  public func sumsOfSquares(_ runs: [(x: Region, count: Int)], into out: Region) {
    guard !runs.isEmpty else { return }
    let elements = Int(glen_squares_elements)
    var end = 0
    let table = runs.map { run in
      end += (run.count + elements - 1) / elements
      return glen_squares_run(x: UnsafePointer(Self.floats(run.x)), count: run.count, end: end)
    }
    for run in runs { widen(run.x) }
    let parts = 2 * end
    withScratch(floats: parts + table.count * MemoryLayout<glen_squares_run>.stride / 4) { memory in
      let runs = memory + 4 * parts
      table.withUnsafeBytes { upload($0, to: runs) }
      launch(
        .squaresParts, blocks: (end, 1, 1), .address(runs), .count(table.count), .address(memory))
      launch(
        .squaresOfParts, blocks: (table.count, 1, 1), .address(runs), .address(memory), .at(out))
    }
  }

  /// One step of AdamW on all parameters, in one launch.
  public func adamW(_ updates: [AdamWUpdate]) {
    withScratch(floats: updates.count * MemoryLayout<glen_adamw_parameter>.stride / 4) { memory in
      var end = 0
      roundedFactors.withLock { kept in
        let parameters = updates.map { parameter(of: $0, end: &end, &kept) }
        parameters.withUnsafeBytes { upload($0, to: memory) }
        start(.adamW, blocks: (end, 1, 1), [.address(memory), .count(parameters.count)])
      }
    }
  }

  /// An update as the kernel reads it; `end` is the block behind the last that has a part of it.
  private func parameter(
    of update: AdamWUpdate, end: inout Int, _ kept: inout RoundedFactors
  ) -> glen_adamw_parameter {
    let elements = Int(glen_adamw_elements)
    end += (update.count + elements - 1) / elements
    widen(update.gradient.storage, &kept)
    var parameter = glen_adamw_parameter()
    parameter.gradient = UnsafePointer(Self.floats(update.gradient))
    parameter.weight = Self.floats(update.weight)
    parameter.rounded = roundedWeight(update.weight, count: update.count, &kept)
    parameter.first_moment = Self.floats(update.firstMoment)
    parameter.second_moment = Self.floats(update.secondMoment)
    (parameter.count, parameter.end) = (update.count, end)
    let step = update.step
    (parameter.rate, parameter.decay, parameter.epsilon) = (step.rate, step.decay, step.epsilon)
    (parameter.beta1, parameter.beta2) = (step.beta1, step.beta2)
    (parameter.correction1, parameter.correction2) = (step.correction1, step.correction2)
    parameter.gradient_scale = step.gradientScale
    return parameter
  }

  /// The copy of a weight that is updated with it; others go.
  private func roundedWeight(
    _ weight: Region, count: Int, _ kept: inout RoundedFactors
  ) -> UnsafeMutablePointer<UInt16>? {
    widen(weight.storage, &kept)
    let storage = weight.storage.key
    guard rounding.keepsCopies, let factors = kept[storage], factors.count == 1,
      factors[0].offset == weight.offset, factors[0].count == count
    else {
      forget(storage, &kept)
      return nil
    }
    return factors[0].memory.assumingMemoryBound(to: UInt16.self)
  }

  static func floats(_ region: Region) -> UnsafeMutablePointer<Float> {
    region.address.assumingMemoryBound(to: Float.self)
  }
}

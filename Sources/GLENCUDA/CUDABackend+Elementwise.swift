import CGLENCUDA
import GLENTensor

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
    launchEach(.addScaled, count: count, .input(x), .number(scale), .at(y), .count(count))
  }

  /// y = scale x.
  public func scale(_ x: Region, by scale: Float, into y: Region, count: Int) {
    launchEach(.scale, count: count, .input(x), .number(scale), .at(y), .count(count))
  }

  /// y = max(x, 0).
  public func relu(_ x: Region, into y: Region, count: Int) {
    let rounded = x.offset % 4 == 0 ? roundedTarget(y, count: count) : nil
    let isAlone = isAlone(rounded, count: count)
    launchEach(
      .relu, count: count, .input(x), .at(y), .count(count), .address(rounded), .flag(isAlone))
    keep(rounded, of: y, count: count, isAlone: isAlone)
  }

  /// dx = dy where y > 0.
  public func reluBackward(y: Region, dy: Region, dx: Region, count: Int, accumulating: Bool) {
    let isAligned = [y, dy, dx].allSatisfy { $0.offset % 4 == 0 }
    let rounded = isAligned ? roundedTarget(dx, count: count) : nil
    let halves = isAligned ? aloneCopy(of: y, count: count) : nil
    let isAlone = isAlone(rounded, count: count, accumulating: accumulating)
    launchEach(
      .reluBackward, count: count, halves == nil ? .input(y) : .settled(y), .address(halves),
      .input(dy), .at(dx), .count(count), .flag(accumulating), .address(rounded), .flag(isAlone))
    keep(rounded, of: dx, count: count, isAlone: isAlone)
  }

  /// y = gelu(gate) up.
  public func gatedGELU(gate: Region, up: Region, into y: Region, count: Int) {
    let rounded =
      [gate, up].allSatisfy { $0.offset % 4 == 0 } ? roundedTarget(y, count: count) : nil
    let isAlone = isAlone(rounded, count: count)
    launchEach(
      .gatedGELU, count: count, .input(gate), .input(up), .at(y), .count(count), .address(rounded),
      .flag(isAlone))
    keep(rounded, of: y, count: count, isAlone: isAlone)
  }

  /// The gradients of `gatedGELU`.
  public func gatedGELUBackward(
    gate: Region, up: Region, dy: Region, dGate: Region, dUp: Region, count: Int,
    accumulatingGate: Bool, accumulatingUp: Bool
  ) {
    launchEach(
      .gatedGELUBackward, count: count, .input(gate), .input(up), .input(dy), .at(dGate), .at(dUp),
      .count(count), .flag(accumulatingGate), .flag(accumulatingUp))
  }

  /// y = x / (1 - rate), or 0, by the same random numbers as on the processor.
  public func dropout(
    _ x: Region, rate: Float, key: RandomKey, first: Int, into y: Region, count: Int,
    accumulating: Bool
  ) {
    let rounded = first % 4 == 0 ? roundedTarget(y, count: count) : nil
    let halves = aloneCopy(of: x, count: count)
    let isAlone = halves != nil && isAlone(rounded, count: count, accumulating: accumulating)
    launchEach(
      .dropout, count: (first % 4 + count + 3) / 4, halves == nil ? .input(x) : .settled(x),
      .address(halves), .at(y), .count(first), .count(count), .number(rate), .word(key.seed),
      .word(key.stream), .flag(accumulating), .address(rounded), .flag(isAlone))
    keep(rounded, of: y, count: count, isAlone: isAlone)
  }

  /// out[0] = scale * sum of x, in double.
  public func sum(_ x: Region, scale: Float, into out: Region, count: Int) {
    reduce(x, squares: false, scale: scale, into: out, count: count)
  }

  /// out[0] = sum of the squares of x, in double.
  public func sumOfSquares(_ x: Region, into out: Region, count: Int) {
    reduce(x, squares: true, scale: 1, into: out, count: count)
  }

  private func reduce(_ x: Region, squares: Bool, scale: Float, into out: Region, count: Int) {
    let parts = min(Self.blocks(for: count), 1024)
    // A part is a double.
    withScratch(floats: 2 * max(parts, 1)) { memory in
      launch(
        .sumParts, blocks: (parts, 1, 1), .input(x), .count(count), .flag(squares),
        .address(memory))
      launch(
        .sumOfParts, blocks: (1, 1, 1), .address(memory), .count(parts), .number(scale), .at(out))
    }
  }

  /// One step of AdamW on all parameters, in one launch.
  public func adamW(_ updates: [AdamWUpdate]) {
    let elements = Int(glen_adamw_elements)
    var end = 0
    let parameters = updates.map { update -> glen_adamw_parameter in
      end += (update.count + elements - 1) / elements
      var parameter = glen_adamw_parameter()
      parameter.gradient = UnsafePointer(Self.floats(update.gradient))
      parameter.weight = Self.floats(update.weight)
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
    parameters.withUnsafeBytes { bytes in
      withScratch(floats: bytes.count / 4) { memory in
        upload(bytes, to: memory)
        for update in updates { forgetRounded(update.weight) }
        launch(.adamW, blocks: (end, 1, 1), .address(memory), .count(parameters.count))
      }
    }
  }

  private static func floats(_ region: Region) -> UnsafeMutablePointer<Float> {
    region.address.assumingMemoryBound(to: Float.self)
  }
}

import CGLENKernels

/// Below this many elements a second thread costs more than it saves.
private let elementGrain = 1 << 15

extension CPUBackend {
  /// y += scale x.
  public func addScaled(_ x: Region, scale: Float, to y: Region, count: Int) {
    let (x, y) = (x.floats, y.floats)
    parallel(count, grain: elementGrain) {
      glen_add_scaled($0.count, scale, x + $0.lowerBound, y + $0.lowerBound)
    }
  }

  /// y = scale x.
  public func scale(_ x: Region, by scale: Float, into y: Region, count: Int) {
    let (x, y) = (x.floats, y.floats)
    parallel(count, grain: elementGrain) {
      glen_scale($0.count, scale, x + $0.lowerBound, y + $0.lowerBound)
    }
  }

  /// y = max(x, 0).
  public func relu(_ x: Region, into y: Region, count: Int) {
    let (x, y) = (x.floats, y.floats)
    parallel(count, grain: elementGrain) {
      glen_relu($0.count, x + $0.lowerBound, y + $0.lowerBound)
    }
  }

  /// dx = dy where y > 0.
  public func reluBackward(y: Region, dy: Region, dx: Region, count: Int, accumulating: Bool) {
    let (y, dy, dx) = (y.floats, dy.floats, dx.floats)
    parallel(count, grain: elementGrain) {
      let i = $0.lowerBound
      glen_relu_backward($0.count, y + i, dy + i, dx + i, accumulating ? 1 : 0)
    }
  }

  /// y = gelu(gate) up.
  public func gatedGELU(gate: Region, up: Region, into y: Region, count: Int) {
    let (gate, up, y) = (gate.floats, up.floats, y.floats)
    parallel(count, grain: elementGrain / 4) {
      let i = $0.lowerBound
      glen_gated_gelu($0.count, gate + i, up + i, y + i)
    }
  }

  /// The gradients of `gatedGELU`.
  public func gatedGELUBackward(
    gate: Region, up: Region, dy: Region, dGate: Region, dUp: Region, count: Int,
    accumulatingGate: Bool, accumulatingUp: Bool
  ) {
    let (gate, up, dy, dGate, dUp) = (gate.floats, up.floats, dy.floats, dGate.floats, dUp.floats)
    parallel(count, grain: elementGrain / 4) {
      let i = $0.lowerBound
      glen_gated_gelu_backward(
        $0.count, gate + i, up + i, dy + i, dGate + i, dUp + i, accumulatingGate ? 1 : 0,
        accumulatingUp ? 1 : 0)
    }
  }

  /// y = x / (1 - rate), or 0, by counter-based random numbers.
  public func dropout(
    _ x: Region, rate: Float, key: RandomKey, first: Int, into y: Region, count: Int,
    accumulating: Bool
  ) {
    let (x, y) = (x.floats, y.floats)
    parallel(count, grain: elementGrain / 8) {
      let i = $0.lowerBound
      glen_dropout(
        first + i, $0.count, key.seed, key.stream, rate, x + i, y + i, accumulating ? 1 : 0)
    }
  }

  /// out[0] = scale * sum of x, summed in Double in an order that does not depend on the threads.
  public func sum(_ x: Region, scale: Float, into out: Region, count: Int) {
    out.floats[0] = Float(reduce(x.floats, count: count, glen_sum) * Double(scale))
  }

  /// out[i] = sum of the squares of the i-th of several runs of elements.
  public func sumsOfSquares(_ runs: [(x: Region, count: Int)], into out: Region) {
    for (index, run) in runs.enumerated() {
      out.floats[index] = Float(reduce(run.x.floats, count: run.count, glen_sum_of_squares))
    }
  }

  private func reduce(
    _ x: UnsafePointer<Float>, count: Int, _ part: (Int, UnsafePointer<Float>?) -> Double
  ) -> Double {
    let size = 1 << 16
    let parts = (count + size - 1) / size
    if parts <= 1 { return part(count, x) }
    var sums = [Double](repeating: 0, count: parts)
    sums.withUnsafeMutableBufferPointer { sums in
      nonisolated(unsafe) let sums = sums
      parallel(parts, grain: 1) { range in
        for index in range {
          sums[index] = part(min(size, count - index * size), x + index * size)
        }
      }
    }
    return sums.reduce(0, +)
  }

  /// One step of AdamW on each of several parameters.
  public func adamW(_ updates: [AdamWUpdate]) {
    for update in updates { adamW(update) }
  }

  private func adamW(_ update: AdamWUpdate) {
    let step = update.step
    let (g, w) = (update.gradient.floats, update.weight.floats)
    let (m, v) = (update.firstMoment.floats, update.secondMoment.floats)
    parallel(update.count, grain: elementGrain) {
      let i = $0.lowerBound
      glen_adamw(
        $0.count, step.rate, step.beta1, step.beta2, step.epsilon, step.decay, step.correction1,
        step.correction2, step.gradientScale, g + i, w + i, m + i, v + i)
    }
  }
}

import GLENTensor

extension OperationCase {
  private static let linearExtents = [
    (0, 4, 3), (1, 1, 1), (1, 64, 100), (3, 17, 5), (48, 33, 20), (49, 33, 20), (130, 64, 65),
  ]

  /// linear with its gradients.
  static let differentiableProducts: [OperationCase] = list {
    for (rows, inputs, outputs) in linearExtents {
      let x = CaseInput(shape: [rows, inputs])
      let weight = CaseInput(shape: [outputs, inputs])
      let residual = CaseInput(shape: [rows, outputs])
      let samples = rows > 40 ? 5 : 12
      differentiable(
        "linear", "\(rows)x\(inputs)x\(outputs)", samples: samples, inputs: [x, weight]
      ) {
        [try linear($0[0], $0[1], scale: 0.5)]
      } reference: { x in
        let product = Reference.product(
          x[0], x[1], m: rows, n: outputs, k: inputs, transposeB: true)
        return [product.map { 0.5 * $0 }]
      }
      differentiable(
        "linear", "\(rows)x\(inputs)x\(outputs) adding", samples: samples,
        inputs: [x, weight, residual]
      ) {
        [try linear($0[0], $0[1], adding: $0[2])]
      } reference: { x in
        let product = Reference.product(
          x[0], x[1], m: rows, n: outputs, k: inputs, transposeB: true)
        return [zip(product, x[2]).map(+)]
      }
    }
    differentiable("linear", "of itself", inputs: [CaseInput(shape: [7, 9])]) {
      [try linear($0[0], $0[0])]
    } reference: {
      [Reference.product($0[0], $0[0], m: 7, n: 7, k: 9, transposeB: true)]
    }
    differentiable(
      "linear", "adding its own input",
      inputs: [CaseInput(shape: [2, 3, 5]), CaseInput(shape: [5, 5])]
    ) {
      [try linear($0[0], $0[1], adding: $0[0])]
    } reference: { x in
      [zip(Reference.product(x[0], x[1], m: 6, n: 5, k: 5, transposeB: true), x[0]).map(+)]
    }
  }

  /// spreadHeads and joinHeads with their gradients.
  static let headProjections: [OperationCase] = list {
    for (rows, heads, headWidth, width) in [
      (1, 1, 4, 3), (3, 2, 5, 7), (5, 4, 16, 33), (50, 3, 8, 20), (0, 2, 4, 4),
    ] {
      let inner = heads * headWidth
      let weight = CaseInput(shape: [inner, width])
      differentiable(
        "spreadHeads", "\(rows)x\(heads)x\(headWidth)x\(width)", samples: 8,
        inputs: [CaseInput(shape: [rows, inner]), weight]
      ) {
        [try spreadHeads($0[0], $0[1], heads: heads)]
      } reference: { x in
        [
          Reference.headProjection(
            x[0], x[1], rows: rows, heads: heads, headWidth: headWidth, width: width,
            isJoining: false)
        ]
      }
      differentiable(
        "joinHeads", "\(rows)x\(heads)x\(headWidth)x\(width)", samples: 8,
        inputs: [CaseInput(shape: [rows * heads, width]), weight]
      ) {
        [try joinHeads($0[0], $0[1], heads: heads)]
      } reference: { x in
        [
          Reference.headProjection(
            x[0], x[1], rows: rows, heads: heads, headWidth: headWidth, width: width,
            isJoining: true)
        ]
      }
    }
    differentiable("spreadHeads", "of itself", inputs: [CaseInput(shape: [6, 6])]) {
      [try spreadHeads($0[0], $0[0], heads: 2)]
    } reference: { x in
      [
        Reference.headProjection(
          x[0], x[0], rows: 6, heads: 2, headWidth: 3, width: 6, isJoining: false)
      ]
    }
  }

  /// Computations in which gradients meet: residual streams, and one weight at every step.
  static let chains: [OperationCase] = list {
    differentiable(
      "chain", "a rollout of four steps with one weight", tolerance: 1e-4,
      inputs: [CaseInput(shape: [3, 6]), CaseInput(shape: [6, 6]), CaseInput(shape: [6])]
    ) {
      var state = $0[0]
      var steps: [Tensor] = []
      for _ in 0..<4 {
        state = try linear(
          rmsNorm(state, weight: $0[2], epsilon: 0.125), $0[1], adding: state)
        steps.append(state)
      }
      return [try stack(steps), state]
    } reference: { x in
      var state = x[0]
      var steps: [[Double]] = []
      for _ in 0..<4 {
        let normed = Reference.rmsNorm(state, weight: x[2], epsilon: 0.125)
        let product = Reference.product(normed, x[1], m: 3, n: 6, k: 6, transposeB: true)
        state = zip(state, product).map(+)
        steps.append(state)
      }
      let stacked = (0..<3).flatMap { row in steps.flatMap { $0[row * 6..<(row + 1) * 6] } }
      return [stacked, state]
    }
    // The residual's gradient is taken over without a copy; the value goes on to be used before
    // and after, and as another shape.
    differentiable(
      "chain", "one value as residual, operand and reshaped", tolerance: 1e-4,
      inputs: [CaseInput(shape: [4, 4]), CaseInput(shape: [4, 4])]
    ) {
      let x = try scaled($0[0], by: 2)
      let y = try linear(x, $0[1], adding: x)
      let z = try add(y, x)
      let flat = try z.reshaped(to: [16])
      let again = try add(flat, try x.reshaped(to: [16]), scale: 3)
      return [again, y, z, flat]
    } reference: { input in
      let x = input[0].map { 2 * $0 }
      let y = zip(Reference.product(x, input[1], m: 4, n: 4, k: 4, transposeB: true), x).map(+)
      let z = zip(y, x).map(+)
      return [zip(z, x).map { $0 + 3 * $1 }, y, z, z]
    }
    // Of a width that a device's norms have kernels for.
    for isGated in [false, true] {
      let weight = CaseInput(shape: [24, 256], range: -0.1...0.1)
      differentiable(
        "chain", "a feed-forward layer that may be rounded inside\(isGated ? ", gated" : "")",
        tolerance: 5e-5, samples: 6,
        inputs: [
          CaseInput(shape: [5, 256]), CaseInput(shape: [256]), weight, weight,
          CaseInput(shape: [256, 24], range: -0.2...0.2),
        ]
      ) {
        let normed = try rmsNorm($0[0], weight: $0[1], epsilon: 0.125)
        let hidden =
          if isGated {
            try gatedGELU(
              gate: linear(normed, $0[2], rounding: .result),
              up: linear(normed, $0[3], rounding: .result))
          } else {
            try add(
              relu(linear(normed, $0[2], rounding: [.result, .inputGradient])),
              relu(linear(normed, $0[3], rounding: .result)))
          }
        return [try linear(hidden, $0[4], adding: $0[0], rounding: .inputGradient)]
      } reference: { x in
        let normed = Reference.rmsNorm(x[0], weight: x[1], epsilon: 0.125)
        let (a, b) = (
          Reference.product(normed, x[2], m: 5, n: 24, k: 256, transposeB: true),
          Reference.product(normed, x[3], m: 5, n: 24, k: 256, transposeB: true)
        )
        let hidden = zip(a, b).map {
          isGated ? Reference.gelu($0) * $1 : max($0, 0) + max($1, 0)
        }
        let product = Reference.product(hidden, x[4], m: 5, n: 256, k: 24, transposeB: true)
        return [zip(product, x[0]).map(+)]
      }
    }
    differentiable(
      "chain", "parameters that are outputs themselves",
      inputs: [CaseInput(shape: [5]), CaseInput(shape: [5])]
    ) {
      [$0[0], $0[0], try add($0[0], $0[1]), $0[1]]
    } reference: { x in
      [x[0], x[0], zip(x[0], x[1]).map(+), x[1]]
    }
  }
}

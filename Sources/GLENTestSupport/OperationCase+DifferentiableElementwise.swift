import GLENTensor

extension OperationCase {
  private static let shapes = [[1], [3, 17], [2, 5, 7], [300, 400]]

  /// Elementwise operations with their gradients.
  static let differentiableElementwise: [OperationCase] = list {
    for shape in shapes {
      let one = [CaseInput(shape: shape)]
      let two = one + one
      let samples = count(shape) > 1000 ? 3 : 24
      let key = RandomKey(seed: 3, stream: 9)
      differentiable("add", "\(shape)", samples: samples, inputs: two) {
        [try add($0[0], $0[1], scale: -1.5)]
      } reference: { x in
        [zip(x[0], x[1]).map { $0 - 1.5 * $1 }]
      }
      differentiable("add", "\(shape) to itself", samples: samples, inputs: one) {
        [try add($0[0], $0[0], scale: 0.5)]
      } reference: { x in
        [x[0].map { 1.5 * $0 }]
      }
      differentiable("scaled", "\(shape)", samples: samples, inputs: one) {
        [try scaled($0[0], by: -3)]
      } reference: { x in
        [x[0].map { -3 * $0 }]
      }
      differentiable(
        "relu", "\(shape)", samples: samples, inputs: [CaseInput(shape: shape, margin: 0.01)]
      ) {
        [try relu($0[0])]
      } reference: { x in
        [x[0].map { max($0, 0) }]
      }
      differentiable("gatedGELU", "\(shape)", samples: samples, inputs: two) {
        [try gatedGELU(gate: $0[0], up: $0[1])]
      } reference: { x in
        [zip(x[0], x[1]).map { Reference.gelu($0) * $1 }]
      }
      differentiable("gatedGELU", "\(shape) of itself", samples: samples, inputs: one) {
        [try gatedGELU(gate: $0[0], up: $0[0])]
      } reference: { x in
        [x[0].map { Reference.gelu($0) * $0 }]
      }
      differentiable("dropout", "\(shape)", samples: samples, inputs: one) {
        [try dropout($0[0], DropoutMask(rate: 0.25, key: key))]
      } reference: { x in
        [
          x[0].enumerated().map {
            $1 * Reference.dropoutFactor($0, rate: 0.25, key: key)
          }
        ]
      }
      differentiable("dropout", "\(shape) rate 0", samples: samples, inputs: one) {
        [try dropout($0[0], DropoutMask(rate: 0, key: key))]
      } reference: { x in
        [x[0]]
      }
      differentiable("sum", "\(shape)", samples: samples, inputs: one) {
        [try sum($0[0], scale: 0.125)]
      } reference: { x in
        [[x[0].reduce(0, +) / 8]]
      }
      differentiable("reshaped", "\(shape)", samples: samples, inputs: one) {
        [try $0[0].reshaped(to: [count(shape), 1]), try $0[0].reshaped(to: [1, count(shape)])]
      } reference: { x in
        [x[0], x[0]]
      }
    }
  }
}

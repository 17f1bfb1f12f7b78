import GLENTensor

extension OperationCase {
  /// Row operations with their gradients.
  static let differentiableRows: [OperationCase] = list {
    for (rows, width) in [(1, 1), (3, 17), (5, 64), (180, 100)] {
      let extents = "\(rows)x\(width) with gradients"
      let matrix = CaseInput(shape: [rows, width])
      let samples = rows > 100 ? 6 : 24
      differentiable(
        "rmsNorm", extents, samples: samples, inputs: [matrix, CaseInput(shape: [width])]
      ) {
        [try rmsNorm($0[0], weight: $0[1], epsilon: 0.125)]
      } reference: {
        [Reference.rmsNorm($0[0], weight: $0[1], epsilon: 0.125)]
      }
      differentiable("rowDot", extents, samples: samples, inputs: [matrix, matrix]) {
        [try rowDot($0[0], $0[1])]
      } reference: {
        [rowwise($0[0], $0[1], width, Reference.dot)]
      }
      differentiable("rowDot", extents + " with itself", samples: samples, inputs: [matrix]) {
        [try rowDot($0[0], $0[0])]
      } reference: {
        [rowwise($0[0], $0[0], width, Reference.dot)]
      }
      differentiable(
        "cosineDistance", extents, samples: samples,
        inputs: [
          CaseInput(shape: [rows, width], margin: 0.2),
          CaseInput(shape: [rows, width], margin: 0.2),
        ]
      ) {
        [try cosineDistance($0[0], $0[1])]
      } reference: {
        [rowwise($0[0], $0[1], width, Reference.cosineDistance)]
      }
      differentiable(
        "cosineDistance", extents + " with itself", samples: samples,
        inputs: [CaseInput(shape: [rows, width], margin: 0.2)]
      ) {
        [try cosineDistance($0[0], $0[0])]
      } reference: {
        [rowwise($0[0], $0[0], width, Reference.cosineDistance)]
      }
      differentiable("stack", extents, samples: samples, inputs: [matrix, matrix]) {
        [try stack([$0[0], $0[1], $0[0]])]
      } reference: { x in
        [
          (0..<rows).flatMap { row in
            [x[0], x[1], x[0]].flatMap { $0[row * width..<(row + 1) * width] }
          }
        ]
      }
      differentiable("softmax", extents, samples: samples, inputs: [matrix]) {
        [try softmax($0[0])]
      } reference: {
        [Reference.rows($0[0], width: width).flatMap { Reference.softmax(Array($0)) }]
      }
      differentiable("joined", extents, samples: samples, inputs: [matrix, matrix]) {
        [try joined([$0[0], $0[1], $0[0]])]
      } reference: {
        [$0[0] + $0[1] + $0[0]]
      }
      differentiable("gather", extents, samples: samples, inputs: [matrix]) {
        let ids = try TokenIDs(gatheredRows(of: rows), on: $0[0].backend)
        return [try gather($0[0], rows: ids)]
      } reference: { x in
        [
          gatheredRows(of: rows).flatMap {
            x[0][Int($0) * width..<(Int($0) + 1) * width]
          }
        ]
      }
    }
    differentiable("rmsNorm", "of its own weight", inputs: [CaseInput(shape: [9])]) {
      [try rmsNorm($0[0], weight: $0[0], epsilon: 0.125)]
    } reference: {
      [Reference.rmsNorm($0[0], weight: $0[0], epsilon: 0.125)]
    }
  }

  /// Some rows twice, some not at all.
  private static func gatheredRows(of rows: Int) -> [Int32] {
    (0..<rows + 3).map { Int32($0 * $0 % rows) }
  }

  private static func rowwise(
    _ a: [Double], _ b: [Double], _ width: Int,
    _ f: (ArraySlice<Double>, ArraySlice<Double>) -> Double
  ) -> [Double] {
    zip(Reference.rows(a, width: width), Reference.rows(b, width: width)).map(f)
  }
}

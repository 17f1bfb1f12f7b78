import GLENTensor

extension OperationCase {
  /// States, vocabulary, width, and scores a chunk.
  private static let vocabularyExtents = [
    (1, 1, 3, 100), (5, 17, 8, 1000), (5, 17, 8, 40), (7, 33, 3, 1), (40, 301, 16, 4000),
  ]

  /// Cross-entropy and the identifier representation with their gradients: the vocabulary in one
  /// chunk, in several, and a state at a time.
  static let differentiableVocabulary: [OperationCase] = list {
    for (count, vocabulary, width, chunk) in vocabularyExtents {
      let extents = "\(count)x\(vocabulary)x\(width), \(chunk) scores a chunk"
      let states = CaseInput(shape: [count, width])
      let table = CaseInput(shape: [vocabulary, width])
      let samples = count > 20 ? 5 : 16
      let targets = (0..<count).map { Int32(count > 2 && $0 % 3 == 1 ? -1 : $0 * 5 % vocabulary) }
      // Masks leave all targets.
      let mask = (0..<vocabulary).map { column in
        column % 3 == 1 && !targets.contains(Int32(column)) ? -Float.infinity : 0
      }
      for isMasked in [false, true] {
        let added = isMasked ? mask : mask.map { _ in 0 }
        differentiable(
          "crossEntropy", extents + (isMasked ? " masked" : ""), samples: samples,
          inputs: [states, table]
        ) { x in
          let mask = try isMasked ? Tensor(mask, shape: [vocabulary], on: x[0].backend) : nil
          return [
            try crossEntropy(
              states: x[0], table: x[1], scale: 1.5,
              targets: TokenIDs(targets, on: x[0].backend), mask: mask, scoresPerChunk: chunk)
          ]
        } reference: { x in
          let scores = Reference.product(
            x[0], x[1], m: count, n: vocabulary, k: width, transposeB: true)
          return [
            [
              meanLoss(
                scores.enumerated().map { 1.5 * $1 + Double(added[$0 % vocabulary]) }, targets)
            ]
          ]
        }
        // At the lower temperature few columns of the largest case matter, or nearly all are masked.
        for temperature in [0.5, 0.1] as [Float] {
          differentiable(
            "identifierRepresentation",
            "\(extents), temperature \(temperature)" + (isMasked ? " masked" : ""),
            // float32's scores are divided by it.
            tolerance: 1e-5 / Double(temperature), samples: samples, inputs: [states, table]
          ) { x in
            let mask = try isMasked ? Tensor(mask, shape: [vocabulary], on: x[0].backend) : nil
            let pass = try identifierRepresentation(
              states: x[0], table: x[1], scale: 1.5, temperature: temperature, mask: mask,
              scoresPerChunk: chunk)
            return [pass.representations]
          } reference: { x in
            let scores = Reference.product(
              x[0], x[1], m: count, n: vocabulary, k: width, transposeB: true)
            let weights = Reference.rows(scores, width: vocabulary).flatMap { row in
              Reference.softmax(
                zip(row, added).map { 1.5 / Double(temperature) * $0 + Double($1) })
            }
            return [Reference.product(weights, x[1], m: count, n: width, k: vocabulary)]
          }
        }
      }
      differentiable(
        "crossEntropy", "\(count)x\(vocabulary) logits, \(chunk)", samples: samples,
        inputs: [CaseInput(shape: [count, vocabulary], range: -4...4)]
      ) {
        [try crossEntropy(logits: $0[0], targets: TokenIDs(targets, on: $0[0].backend))]
      } reference: {
        [[meanLoss($0[0], targets)]]
      }
    }
    differentiable(
      "crossEntropy", "of a table with itself", inputs: [CaseInput(shape: [6, 4])]
    ) {
      [
        try crossEntropy(
          states: $0[0], table: $0[0], scale: 1,
          targets: TokenIDs([1, 2, 3, 4, 5, 0], on: $0[0].backend))
      ]
    } reference: { x in
      [
        [
          meanLoss(
            Reference.product(x[0], x[0], m: 6, n: 6, k: 4, transposeB: true),
            [1, 2, 3, 4, 5, 0])
        ]
      ]
    }
    differentiable(
      "identifierRepresentation", "of a table by itself", inputs: [CaseInput(shape: [6, 4])]
    ) {
      let pass = try identifierRepresentation(
        states: $0[0], table: $0[0], scale: 1, temperature: 1, mask: nil)
      return [pass.representations]
    } reference: { x in
      let scores = Reference.product(x[0], x[0], m: 6, n: 6, k: 4, transposeB: true)
      let weights = Reference.rows(scores, width: 6).flatMap(Reference.softmax)
      return [Reference.product(weights, x[0], m: 6, n: 4, k: 6)]
    }
    differentiable(
      "crossEntropy", "no states", inputs: [CaseInput(shape: [0, 4]), CaseInput(shape: [6, 4])]
    ) {
      [
        try crossEntropy(
          states: $0[0], table: $0[1], scale: 1, targets: TokenIDs([], on: $0[0].backend))
      ]
    } reference: { _ in
      [[0]]
    }
  }

  /// The mean of -log softmax at the targets that there are.
  private static func meanLoss(_ scores: [Double], _ targets: [Int32]) -> Double {
    let rows = Reference.rows(scores, width: scores.count / max(targets.count, 1))
    let losses = zip(rows, targets).filter { $1 >= 0 }.map { row, target in
      Reference.logSum(row) - row[row.startIndex + Int(target)]
    }
    return losses.reduce(0, +) / Double(max(losses.count, 1))
  }
}

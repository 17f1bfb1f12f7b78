import GLENTensor

extension T5Model {
  /// Makes a randomly initialised model begin by copying: its first guesses are the words it reads.
  ///
  /// An identifier is made of words of the text, but a random network has to find out first that
  /// its output table is its input table. Here each cross-attention's value and output projections
  /// become an orthogonal matrix and its transpose, so that what a decoder reads arrives in the
  /// space of the table, and all other branches begin quietly, so that the residual stream carries
  /// it through. Training from nothing then starts with the choice of words instead of ending there.
  ///
  /// - Throws: `TensorError`.
  public mutating func beginCopying() throws {
    let c = configuration
    let quiet: Float = 0.1
    try visitParameters { name, tensor in
      guard name.hasSuffix("SelfAttention.o.weight") || name.hasSuffix(".wo.weight") else { return }
      tensor = try scaled(tensor, by: quiet)
    }
    // The start token's embedding stands in the residual stream before anything is read; the gain
    // lets what is read outweigh it.
    let gain = 2 / Float(c.decoderLayers)
    for index in decoder.blocks.indices {
      let values = try decoder.blocks[index].crossAttention.value.values()
      let basis = Self.orthonormalized(values, rows: c.innerWidth, columns: c.width)
      var transposed = [Float](repeating: 0, count: basis.count)
      for row in 0..<c.innerWidth {
        for column in 0..<c.width {
          transposed[column * c.innerWidth + row] = gain * basis[row * c.width + column]
        }
      }
      decoder.blocks[index].crossAttention.value = try Tensor(
        basis, shape: [c.innerWidth, c.width], on: backend)
      decoder.blocks[index].crossAttention.output = try Tensor(
        transposed, shape: [c.width, c.innerWidth], on: backend)
    }
  }

  /// Gram and Schmidt's process over the rows, or over the columns where there are fewer.
  private static func orthonormalized(_ matrix: [Float], rows: Int, columns: Int) -> [Float] {
    let byRows = rows <= columns
    let (count, length) = byRows ? (rows, columns) : (columns, rows)
    func index(_ vector: Int, _ element: Int) -> Int {
      byRows ? vector * columns + element : element * columns + vector
    }
    var result = matrix.map(Double.init)
    for vector in 0..<count {
      for earlier in 0..<vector {
        var dot = 0.0
        for element in 0..<length {
          dot += result[index(vector, element)] * result[index(earlier, element)]
        }
        for element in 0..<length {
          result[index(vector, element)] -= dot * result[index(earlier, element)]
        }
      }
      var square = 0.0
      for element in 0..<length {
        square += result[index(vector, element)] * result[index(vector, element)]
      }
      let inverse = square > 0 ? 1 / square.squareRoot() : 0
      for element in 0..<length { result[index(vector, element)] *= inverse }
    }
    return result.map { Float($0) }
  }
}

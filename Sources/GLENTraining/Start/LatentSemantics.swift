import GLENPlatform
import GLENTensor

/// Token vectors by latent semantic analysis: tokens of the same documents lie close.
///
/// Deerwester et al. 1990, Indexing by latent semantic analysis. With X the documents' weights of
/// their tokens (√tf · idf, each document of length 1), the vectors are the rows of an orthonormal
/// basis of X's first right singular vectors, each made as long as 1. The basis comes from a few
/// rounds of subspace iteration, so that the cost is that of reading the corpus some ten times.
struct LatentSemantics {
  /// Unit vectors, `[vocabulary, dimensions]` row by row; zeros for a token of no document.
  let vectors: [Float]
  /// How many dimensions they have: as many as asked for, or as documents there are.
  let dimensions: Int

  /// The most documents that are read, drawn evenly from all.
  static let documentLimit = 50_000
  private static let rounds = 4

  /// Analyses a corpus.
  ///
  /// - Complexity: O(tokens · dimensions + vocabulary · dimensions²).
  init(
    of documents: some RandomAccessCollection<[Int32]>, vocabularySize: Int, dimensions: Int,
    key: RandomKey
  ) throws(TensorError) {
    let step = max(1, (documents.count + Self.documentLimit - 1) / Self.documentLimit)
    let rows = SparseRows(
      stride(from: 0, to: documents.count, by: step).lazy.map {
        documents[documents.index(documents.startIndex, offsetBy: $0)]
      }, columnCount: vocabularySize)
    let dimensions = min(dimensions, rows.count, vocabularySize)
    self.dimensions = dimensions
    guard dimensions > 0 else {
      vectors = []
      return
    }
    var basis = [Float](repeating: 0, count: vocabularySize * dimensions)
    var generator = SeededGenerator(key)
    for element in basis.indices { basis[element] = Float.random(in: -1...1, using: &generator) }
    for _ in 0..<Self.rounds {
      basis = try Self.orthonormalized(
        rows.multipliedByItsTranspose(basis, width: dimensions), width: dimensions)
    }
    for token in 0..<vocabularySize {
      let row = token * dimensions..<(token + 1) * dimensions
      let length = rows.holds(token) ? basis[row].reduce(0) { $0 + $1 * $1 }.squareRoot() : 0
      for element in row { basis[element] = length > 0 ? basis[element] / length : 0 }
    }
    vectors = basis
  }

  /// An orthonormal basis of the columns of a matrix `[rows, width]`, by Cholesky's decomposition.
  private static func orthonormalized(
    _ matrix: [Float], width: Int
  ) throws(TensorError) -> [Float] {
    let count = matrix.count / width
    var transposed = [Float](repeating: 0, count: matrix.count)
    for row in 0..<count {
      for column in 0..<width {
        transposed[column * count + row] = matrix[row * width + column]
      }
    }
    let columns = try Tensor(transposed, shape: [width, count])
    let products = try linear(columns, columns).values()  // [width, width]
    let inverse = inverseOfCholesky(products.map(Double.init), size: width)
    return try linear(
      Tensor(matrix, shape: [count, width]), Tensor(inverse, shape: [width, width])
    ).values()
  }

  /// The inverse of the lower triangle L with L Lᵀ = the matrix, row by row.
  ///
  /// What a direction adds to those before it is kept above a trifle, so that documents that repeat
  /// each other do no harm.
  private static func inverseOfCholesky(_ matrix: [Double], size: Int) -> [Float] {
    var lower = matrix
    let least = 1e-9 * (0..<size).reduce(0) { max($0, matrix[$1 * size + $1]) } + 1e-30
    for row in 0..<size {
      for column in 0...row {
        var value = matrix[row * size + column]
        for k in 0..<column { value -= lower[row * size + k] * lower[column * size + k] }
        lower[row * size + column] =
          row == column
          ? max(value, least).squareRoot() : value / lower[column * size + column]
      }
    }
    var inverse = [Double](repeating: 0, count: size * size)
    for column in 0..<size {
      inverse[column * size + column] = 1 / lower[column * size + column]
      for row in column + 1..<max(size, column + 1) {
        var value = 0.0
        for k in column..<row { value -= lower[row * size + k] * inverse[k * size + column] }
        inverse[row * size + column] = value / lower[row * size + row]
      }
    }
    return inverse.map { Float($0) }
  }
}

/// Documents as sparse rows of unit length: the weights of their distinct tokens.
private struct SparseRows {
  private var columns: [Int] = []
  private var weights: [Float] = []
  private var ends: [Int] = []
  private var frequencies: [Int]

  var count: Int { ends.count }

  /// Whether any row has a weight in a column.
  func holds(_ column: Int) -> Bool { frequencies[column] > 0 }

  init(_ documents: some Collection<[Int32]>, columnCount: Int) {
    frequencies = [Int](repeating: 0, count: columnCount)
    for document in documents {
      var counts: [Int: Int] = [:]
      // The first three are padding, the end and the unknown.
      for token in document where (3..<columnCount).contains(Int(token)) {
        counts[Int(token), default: 0] += 1
      }
      guard !counts.isEmpty else { continue }
      for (column, count) in counts.sorted(by: { $0.key < $1.key }) {
        columns.append(column)
        weights.append(Float(count).squareRoot())
        frequencies[column] += 1
      }
      ends.append(columns.count)
    }
    let rarities = frequencies.map { frequency in
      Float(log(1 + (Double(count - frequency) + 0.5) / (Double(frequency) + 0.5)))
    }
    var begin = 0
    for end in ends {
      var square: Float = 0
      for place in begin..<end {
        weights[place] *= rarities[columns[place]]
        square += weights[place] * weights[place]
      }
      let inverse = square > 0 ? 1 / square.squareRoot() : 0
      for place in begin..<end { weights[place] *= inverse }
      begin = end
    }
  }

  /// Xᵀ X times a matrix `[columns, width]`.
  func multipliedByItsTranspose(_ matrix: [Float], width: Int) -> [Float] {
    var result = [Float](repeating: 0, count: matrix.count)
    var sum = [Float](repeating: 0, count: width)
    matrix.withUnsafeBufferPointer { matrix in
      result.withUnsafeMutableBufferPointer { result in
        sum.withUnsafeMutableBufferPointer { sum in
          var begin = 0
          for end in ends {
            sum.update(repeating: 0)
            for place in begin..<end {
              let row = UnsafeBufferPointer(rebasing: matrix[range(place, width)])
              let weight = weights[place]
              for element in 0..<width { sum[element] += weight * row[element] }
            }
            for place in begin..<end {
              let row = UnsafeMutableBufferPointer(rebasing: result[range(place, width)])
              let weight = weights[place]
              for element in 0..<width { row[element] += weight * sum[element] }
            }
            begin = end
          }
        }
      }
    }
    return result
  }

  private func range(_ place: Int, _ width: Int) -> Range<Int> {
    columns[place] * width..<(columns[place] + 1) * width
  }
}

import GLENModel
import GLENTensor
import GLENText

/// What a trained network's table becomes for another vocabulary.
///
/// A network reads its table by directions and not by the names of tokens: where another vocabulary's
/// rows lie to each other as its own do, its layers go on working. The new rows come from counting
/// which tokens of a corpus go together, and differ from the network's in the choice of axes; the
/// tokens that both vocabularies have tell the rotation. With u the latent semantics of a token, s the
/// network's row for it as long as 1 and n how often the corpus has it, that is the solution of the
/// orthogonal Procrustes problem (Schönemann, 1966)
///
///     R = argmin Σ √n |u R − s|²,  R Rᵀ = I,
///
/// the orthogonal polar factor of Σ √n uᵀ s.
struct VocabularyTransfer {
  /// The new table, `[tokens, width]` row by row.
  private(set) var rows: [Float]
  /// How many of the corpus's tokens the network knew already.
  let sharedCount: Int
  /// What part of the corpus they are, each counted as often as it occurs; 0 for an empty corpus.
  let sharedShare: Double

  /// Makes a table.
  ///
  /// - Parameters:
  ///   - model: the trained network.
  ///   - places: for each new token, the network's own token of the same text, if it has one.
  ///   - counts: how often the corpus has each new token.
  ///   - semantics: unit vectors of the new tokens, in no more dimensions than the table has free.
  ///   - key: of the random numbers that distinguish tokens new to the network.
  /// - Throws: `TensorError`.
  init(
    from model: T5Model, places: [Int?], counts: [Int], semantics: LatentSemantics, key: RandomKey
  ) throws {
    let old = NormalizedRows(try model.table.values(), width: model.configuration.width)
    let width = model.configuration.width
    let first = T5Model.reservedColumns
    let free = width - first
    // Padding, the end and the unknown mean the same in every vocabulary.
    let specials = Int(SpecialToken.unknown) + 1
    let shared = (specials..<max(places.count, specials)).compactMap { token in
      places[token].flatMap { counts[token] > 0 ? (token: token, place: $0) : nil }
    }
    sharedCount = shared.count
    let occurrences = counts.dropFirst(specials).reduce(0, +)
    let known = shared.reduce(0) { $0 + counts[$1.token] }
    sharedShare = Double(known) / Double(max(occurrences, 1))
    var targets: [Float] = []
    for (_, place) in shared { targets += old.units[place * free..<(place + 1) * free] }
    let rotated = try Self.rotated(
      semantics, count: places.count, onto: targets, of: shared.map(\.token), width: free,
      weights: shared.map { Float(counts[$0.token]).squareRoot() })

    let rarity = T5Model.rarity(counts, count: places.count)
    let constant = old.mean(ofColumn: T5Model.constantColumn)
    let (ownShare, restShare) = (
      T5Model.vectorShare.squareRoot(), (1 - T5Model.vectorShare).squareRoot()
    )
    var generator = SeededGenerator(key)
    rows = [Float](repeating: 0, count: places.count * width)
    for token in places.indices {
      let place = token < specials ? token : places[token]
      let row = token * width
      if let place, token < specials || counts[token] == 0 {
        for column in 0..<width { rows[row + column] = old.rows[place * width + column] }
        continue
      }
      let known = place.map { old.rows[$0 * width + T5Model.rarityColumn] }
      rows[row + T5Model.rarityColumn] = known.map { ($0 + rarity[token]) / 2 } ?? rarity[token]
      rows[row + T5Model.constantColumn] =
        place.map { old.rows[$0 * width + T5Model.constantColumn] } ?? constant
      let noise =
        place.map { Array(old.units[$0 * free..<($0 + 1) * free]) }
        ?? Self.randomUnit(free, from: &generator)
      let vector = rotated[token * free..<(token + 1) * free]
      // A token that the corpus says nothing of is told apart from others, and no more.
      let isCounted = vector.contains { $0 != 0 }
      for element in 0..<free {
        rows[row + first + element] =
          old.medianLength
          * (isCounted
            ? ownShare * vector[vector.startIndex + element] + restShare * noise[element]
            : noise[element])
      }
    }
  }

  /// The vectors in the axes of a network's rows, `[tokens, width]`.
  private static func rotated(
    _ semantics: LatentSemantics, count: Int, onto targets: [Float], of tokens: [Int], width: Int,
    weights: [Float]
  ) throws -> [Float] {
    let k = semantics.dimensions
    guard k > 0 else { return [Float](repeating: 0, count: count * width) }
    let vectors = semantics.vectors
    // [k, shared] and [width, shared], so that their product is [k, width].
    var (left, right) = ([Float](), [Float]())
    for element in 0..<k {
      for (place, token) in tokens.enumerated() {
        left.append(weights[place] * vectors[token * k + element])
      }
    }
    for element in 0..<width {
      for place in tokens.indices { right.append(targets[place * width + element]) }
    }
    var rotation = [Float](repeating: 0, count: k * width)
    if !tokens.isEmpty {
      rotation = try linear(
        Tensor(left, shape: [k, tokens.count]), Tensor(right, shape: [width, tokens.count])
      ).values()
    }
    rotation = try polarFactor(of: rotation, rows: k, columns: width)
    return try linear(
      Tensor(vectors, shape: [count, k]),
      Tensor(transposed(rotation, rows: k, columns: width), shape: [width, k])
    ).values()
  }

  /// The matrix with orthonormal rows that is nearest to a wide one.
  ///
  /// Newton and Schulz's iteration X ← (3 X − X Xᵀ X) / 2 sends every singular value to 1. What is
  /// added to the diagonal first lets directions that nothing is known of keep axes of their own.
  private static func polarFactor(
    of matrix: [Float], rows: Int, columns: Int
  ) throws -> [Float] {
    var x = matrix
    let norm = max(x.reduce(0) { $0 + $1 * $1 }.squareRoot(), .leastNormalMagnitude)
    for element in x.indices { x[element] /= norm }
    for row in 0..<min(rows, columns) { x[row * columns + row] += 1e-5 }
    let length = x.reduce(0) { $0 + $1 * $1 }.squareRoot()
    for element in x.indices { x[element] /= length }
    // 1.5^45 reaches from 1e-7 to 1.
    for _ in 0..<60 {
      let own = try Tensor(x, shape: [rows, columns])
      let product = try linear(
        linear(own, own),
        Tensor(transposed(x, rows: rows, columns: columns), shape: [columns, rows])
      ).values()
      for element in x.indices { x[element] = 1.5 * x[element] - 0.5 * product[element] }
    }
    return x
  }

  private static func transposed(_ matrix: [Float], rows: Int, columns: Int) -> [Float] {
    var result = [Float](repeating: 0, count: matrix.count)
    for row in 0..<rows {
      for column in 0..<columns { result[column * rows + row] = matrix[row * columns + column] }
    }
    return result
  }

  /// A direction, all about equally likely.
  private static func randomUnit(_ count: Int, from generator: inout SeededGenerator) -> [Float] {
    // The sum of four even numbers is near enough to a normal one.
    let row = (0..<count).map { _ in
      (0..<4).reduce(Float(0)) { sum, _ in sum + Float.random(in: -1...1, using: &generator) }
    }
    let length = max(row.reduce(0) { $0 + $1 * $1 }.squareRoot(), .leastNormalMagnitude)
    return row.map { $0 / length }
  }
}

/// A table, and its rows behind the reserved columns made as long as 1.
private struct NormalizedRows {
  let rows: [Float]
  let units: [Float]
  /// The median of the lengths behind the reserved columns.
  let medianLength: Float
  private let width: Int

  init(_ rows: [Float], width: Int) {
    self.rows = rows
    self.width = width
    let first = T5Model.reservedColumns
    var (units, lengths) = ([Float](), [Float]())
    units.reserveCapacity(rows.count)
    for row in stride(from: 0, to: rows.count, by: width) {
      let part = rows[row + first..<row + width]
      let length = part.reduce(0) { $0 + $1 * $1 }.squareRoot()
      lengths.append(length)
      units += part.map { length > 0 ? $0 / length : 0 }
    }
    self.units = units
    medianLength = lengths.sorted()[lengths.count / 2]
  }

  func mean(ofColumn column: Int) -> Float {
    let sum = stride(from: column, to: rows.count, by: width).reduce(0) { $0 + rows[$1] }
    return sum / Float(rows.count / width)
  }
}

import GLENModel
import GLENTensor

/// What the authors add to phase 1 for NQ320k: a text and its corrupted copy are to be told from the
/// other texts of the batch, much as in R-Drop (Liang et al., 2021).
///
/// With x_t[i] the scaled state of row i at step t, and row i' the other of the same text:
/// p_t[i] = softmax over j ≠ i of x_t[i] · x_t[j], and the contrast is the mean of
/// -log softmax(p_t[i])[i']. The second softmax, of probabilities, is the authors'. So the contrast
/// lies between log(2B - 1 + e) - 1 and log(2B - 1 + e).
enum KeywordContrast {
  /// The contrast of B texts and their copies.
  ///
  /// - Parameters:
  ///   - states: `[2 B, steps, width]`, unscaled; row i + B is the copy of row i.
  ///   - scale: the tied head's factor.
  ///   - counts: for each row and step whether the row counts there; every row is compared with.
  /// - Returns: a scalar.
  /// - Throws: `TensorError`.
  static func value(_ states: Tensor, scale: Float, counts: [[Bool]]) throws -> Tensor {
    let (rows, steps, width) = (states.shape[0], states.shape[1], states.width)
    let flat = try states.reshaped(to: [rows * steps, width])
    let own = try Tensor(
      (0..<rows * rows).map { $0 % (rows + 1) == 0 ? -Float.infinity : 0 }, shape: [rows, rows],
      on: states.backend)
    var probabilities: [Tensor] = []
    var targets: [Int32] = []
    for step in 0..<steps {
      let x = try gather(  // [2 B, width]
        flat, rows: TokenIDs((0..<rows).map { Int32($0 * steps + step) }, on: states.backend))
      // own + x xᵀ: a row's product with itself is infinitely far below the others.
      probabilities.append(try softmax(linear(x, x, adding: own, scale: scale * scale)))
      targets += (0..<rows).map { counts[$0][step] ? Int32(($0 + rows / 2) % rows) : -1 }
    }
    return try crossEntropy(
      logits: joined(probabilities), targets: TokenIDs(targets, on: states.backend))
  }
}

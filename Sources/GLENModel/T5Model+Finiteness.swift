import GLENTensor

extension T5Model {
  /// The name of the first parameter that holds NaN or an infinity, or nil if all are numbers.
  ///
  /// Those of low precision were numbers when they were rounded.
  ///
  /// - Throws: `TensorError`.
  /// - Complexity: O(parameters); reads all weights once.
  public func nameOfNonFiniteParameter() throws -> String? {
    for (name, tensor) in parameters where tensor.precision == nil {
      let sum = try Tensor(unset: [], on: tensor.backend)
      tensor.backend.sumOfSquares(tensor.region, into: sum.region, count: tensor.count)
      if try sum.scalar().isFinite { continue }
      // The squares of large numbers may overflow where the numbers do not.
      if try !tensor.values().allSatisfy({ $0.isFinite }) { return name }
    }
    return nil
  }
}

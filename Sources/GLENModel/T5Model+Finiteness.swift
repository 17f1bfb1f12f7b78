import GLENTensor

extension T5Model {
  /// The name of the first parameter that holds NaN or an infinity, or nil if all are numbers.
  ///
  /// Those of low precision were numbers when they were rounded.
  ///
  /// - Throws: `TensorError`.
  /// - Complexity: O(parameters); reads all weights once.
  public func nameOfNonFiniteParameter() throws -> String? {
    let parameters = parameters.filter { $0.tensor.precision == nil }
    let squares = try Tensor(unset: [parameters.count], on: backend)
    backend.sumsOfSquares(
      parameters.map { ($0.tensor.region, $0.tensor.count) }, into: squares.region)
    // The squares of large numbers may overflow where the numbers do not.
    return try zip(parameters, squares.values()).first { parameter, sum in
      try !sum.isFinite && !parameter.tensor.values().allSatisfy(\.isFinite)
    }?.0.name
  }
}

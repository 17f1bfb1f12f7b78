import GLENTensor

/// One operation at given extents, and what it must give there.
///
/// A case knows nothing of the backend that it runs on: the CPU is held against the references in
/// double precision with the same list as any other device.
public struct OperationCase: Sendable, CustomStringConvertible {
  /// The operation.
  public let name: String
  /// The extents and options that make this case differ from the others of its name.
  public let extents: String
  /// What an element may be off, absolutely and relative to what is expected.
  public let tolerance: Double
  /// The step of the central differences, or nil where no gradient is checked.
  public let gradientStep: Double?
  private let body: @Sendable (Workbench) throws -> Void

  init(
    _ name: String, _ extents: String, tolerance: Double = 1e-5, gradientStep: Double? = nil,
    _ body: @escaping @Sendable (Workbench) throws -> Void
  ) {
    self.name = name
    self.extents = extents
    self.tolerance = tolerance
    self.gradientStep = gradientStep
    self.body = body
  }

  /// The name with the extents.
  public var description: String { "\(name) \(extents)" }

  /// Runs the case.
  ///
  /// - Parameter isAligned: whether regions begin at a whole 32 bytes, and not at odd offsets.
  public func results(on backend: any Backend, isAligned: Bool = false) throws -> [Comparison] {
    let bench = Workbench(backend, named: description, isAligned: isAligned)
    try body(bench)
    return try bench.finish()
  }

  /// What is wrong with the case's results; empty if nothing is.
  ///
  /// - Parameter rounding: what the backend's own rounding may be off, where that is more than the
  ///   case allows.
  public func failures(
    on backend: any Backend, rounding: Double = 0, isAligned: Bool = false
  ) throws -> [String] {
    try results(on: backend, isAligned: isAligned).compactMap {
      $0.failure(tolerance: max(tolerance, rounding))
    }
  }

  /// Whether the case is within `rounding` of what it should be where its factors and results are of
  /// bfloat16: long products are not, nor are scores that are divided by a low temperature.
  public var allowsRounding: Bool {
    !name.hasPrefix("matrixProduct") && !description.contains("temperature 0.1")
  }

  /// What such a case may be off.
  public static let rounding = 6e-2

  /// Every case there is: each function of the `Backend` protocol, then each differentiable
  /// operation with its gradients.
  public static let all: [OperationCase] = list {
    memory
    products
    productBatches
    elementwise
    rows
    vocabulary
    tables
    attentions
    reductions
    searches
    differentiableElementwise
    differentiableRows
    differentiableProducts
    headProjections
    differentiableVocabulary
    differentiableAttention
    chains
  }
}

/// Values that a backend computed, beside those that it should have.
public struct Comparison: Sendable {
  /// Which result it is.
  public let label: String
  /// What came out.
  public let values: [Float]
  /// What should have.
  public let expected: [Double]

  /// Values beside those that they should be.
  public init(label: String, values: [Float], expected: [Double]) {
    (self.label, self.values, self.expected) = (label, values, expected)
  }

  /// What is wrong, or nil.
  public func failure(tolerance: Double) -> String? {
    guard values.count == expected.count else {
      return "\(label): \(values.count) values, expected \(expected.count)"
    }
    for (index, (value, wanted)) in zip(values, expected).enumerated() {
      let isRight =
        if wanted.isNaN {
          value.isNaN
        } else if wanted.isInfinite {
          Double(value) == wanted
        } else {
          abs(Double(value) - wanted) <= tolerance * (1 + abs(wanted))
        }
      if !isRight { return "\(label)[\(index)]: \(value), expected \(wanted)" }
    }
    return nil
  }
}

/// Lists of cases written as statements, so that the compiler checks each by itself.
@resultBuilder
enum CaseBuilder {
  static func buildExpression(_ operation: OperationCase) -> [OperationCase] { [operation] }
  static func buildExpression(_ cases: [OperationCase]) -> [OperationCase] { cases }
  static func buildBlock(_ parts: [OperationCase]...) -> [OperationCase] { parts.flatMap { $0 } }
  static func buildArray(_ parts: [[OperationCase]]) -> [OperationCase] { parts.flatMap { $0 } }
  static func buildOptional(_ part: [OperationCase]?) -> [OperationCase] { part ?? [] }
}

extension OperationCase {
  /// A list of cases.
  static func list(@CaseBuilder _ cases: () -> [OperationCase]) -> [OperationCase] { cases() }
}

/// What a system call reports.
package struct SystemError: Error, Equatable, CustomStringConvertible {
  /// The value of `errno`.
  package let code: Int32

  /// An error of the last system call, by what it left in `errno`.
  package init(code: Int32) { self.code = code }

  /// The system's own words, such as "No space left on device".
  package var description: String { String(cString: strerror(code)) }
}

extension Error {
  /// The system's reason where there is one below the error, as there is below those of `Data` and `FileManager`,
  /// and what was wrong where a decoder says so; otherwise what the error says of itself.
  package var reason: String {
    switch self {
    case let error as POSIXError: SystemError(code: error.code.rawValue).description
    case let error as CocoaError where error.underlying != nil: error.underlying?.reason ?? ""
    case let error as DecodingError: error.problem
    default: String(describing: self)
    }
  }
}

extension DecodingError {
  /// What was wrong, after the keys that lead there if it was a value.
  fileprivate var problem: String {
    switch self {
    case .dataCorrupted(let context): context.debugDescription
    case .typeMismatch(_, let context), .valueNotFound(_, let context),
      .keyNotFound(_, let context):
      context.codingPath.map(\.stringValue).joined(separator: ".") + ": "
        + context.debugDescription
    @unknown default: String(describing: self)
    }
  }
}

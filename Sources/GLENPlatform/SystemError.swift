/// What a system call reports.
public struct SystemError: Error, Equatable, CustomStringConvertible {
  /// The value of `errno`.
  public let code: Int32

  /// An error of the last system call, by what it left in `errno`.
  public init(code: Int32) { self.code = code }

  /// The system's own words, such as "No space left on device".
  public var description: String { String(cString: strerror(code)) }
}

extension Error {
  /// The system's reason where there is one below the error, as there is below those of `Data` and `FileManager`;
  /// otherwise what the error says of itself.
  public var reason: String {
    switch self {
    case let error as POSIXError: SystemError(code: error.code.rawValue).description
    case let error as CocoaError where error.underlying != nil: error.underlying?.reason ?? ""
    default: String(describing: self)
    }
  }
}

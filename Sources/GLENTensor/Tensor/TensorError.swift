import GLENPlatform

/// What can go wrong in tensors, operations and checkpoints.
public enum TensorError: Error, Sendable, Equatable, CustomStringConvertible {
  /// Shapes that an operation cannot combine.
  case shapeMismatch(operation: String, expected: String, got: String)
  /// Operands that live on different backends.
  case backendMismatch(operation: String, first: String, second: String)
  /// An argument outside its range.
  case invalidArgument(operation: String, reason: String)
  /// Memory that a backend could not give, beside what it holds already.
  case outOfMemory(backend: String, byteCount: Int, usedByteCount: Int)
  /// A device that failed while working.
  case backendFailure(backend: String, reason: String)
  /// A file that could not be read or written.
  case file(path: String, reason: String)
  /// A checkpoint whose contents are not what they claim.
  case checkpoint(path: String, reason: String)

  /// The error in a sentence: operation, what is wrong, what was expected.
  public var description: String {
    switch self {
    case .shapeMismatch(let operation, let expected, let got):
      "\(operation): the shapes do not fit; expected \(expected), got \(got)"
    case .backendMismatch(let operation, let first, let second):
      "\(operation): operands live on different backends, \(first) and \(second); move one of them"
    case .invalidArgument(let operation, let reason): "\(operation): \(reason)"
    case .outOfMemory(let backend, let byteCount, let used):
      "\(backend): no memory for \(byteCount) bytes beside \(used) in use; "
        + "a smaller batch or chunk needs less"
    case .backendFailure(let backend, let reason): "\(backend): \(reason)"
    case .file(let path, let reason), .checkpoint(let path, let reason): "\(path): \(reason)"
    }
  }
}

extension TensorError: LocalizedError {
  /// What `localizedDescription` says, which apps show.
  public var errorDescription: String? { description }
}

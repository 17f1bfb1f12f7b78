import GLENPlatform

/// What can go wrong in models and their folders.
public enum ModelError: Error, Sendable, Equatable, CustomStringConvertible {
  /// A configuration that no model can have.
  case configuration(path: String, reason: String)
  /// A checkpoint that does not hold the model's parameters.
  case checkpoint(path: String, reason: String)
  /// A folder that lacks a file.
  case missingFile(path: String, reason: String)
  /// Input that the model cannot take.
  case input(reason: String)

  /// The error in a sentence.
  public var description: String {
    switch self {
    case .configuration(let path, let reason), .checkpoint(let path, let reason),
      .missingFile(let path, let reason):
      "\(path): \(reason)"
    case .input(let reason): reason
    }
  }
}

extension ModelError: LocalizedError {
  /// What `localizedDescription` says, which apps show.
  public var errorDescription: String? { description }
}

import ArgumentParser
import GLENTensor

/// Where the arithmetic happens.
enum Device: String, ExpressibleByArgument, CaseIterable {
  case cpu, cuda

  /// The backend.
  ///
  /// - Throws: `ValidationError` for a device that this build does not have.
  func backend() throws -> any Backend {
    switch self {
    case .cpu: return CPUBackend.shared
    case .cuda: throw ValidationError("this build has no CUDA backend yet; use --device cpu")
    }
  }
}

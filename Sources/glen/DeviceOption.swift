import ArgumentParser
import GLENCUDA
import GLENPlatform
import GLENTensor

/// Where the arithmetic happens.
enum Device: String, ExpressibleByArgument, CaseIterable {
  case cpu, cuda

  /// The backend.
  ///
  /// For CUDA, `CUDA_VISIBLE_DEVICES` says which device is the first, `GLEN_CUDA_PRECISION` how
  /// products are computed, and `GLEN_CUDA_MEMORY` how many gigabytes may be taken.
  ///
  /// - Throws: `CUDAError` where there is no device, `ValidationError` for a setting that is none.
  func backend() throws -> any Backend {
    switch self {
    case .cpu: return CPUBackend.shared
    case .cuda:
      let environment = ProcessInfo.processInfo.environment
      let precision = environment["GLEN_CUDA_PRECISION"] ?? "float32"
      guard let precision = CUDABackend.Precision(rawValue: precision) else {
        throw ValidationError(
          "GLEN_CUDA_PRECISION is \(precision); it must be float32, tf32 or bf16")
      }
      guard let text = environment["GLEN_CUDA_MEMORY"] else {
        return try CUDABackend(precision: precision)
      }
      guard let gigabytes = Double(text), gigabytes > 0, gigabytes < 1e6 else {
        throw ValidationError("GLEN_CUDA_MEMORY is \(text); it must be a number of gigabytes")
      }
      return try CUDABackend(precision: precision, memoryBudget: Int(gigabytes * 1e9))
    }
  }
}

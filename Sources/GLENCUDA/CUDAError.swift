import GLENPlatform

/// Why there is no CUDA device to compute on.
public enum CUDAError: Error, Sendable, Equatable, CustomStringConvertible {
  /// A library that could not be loaded, and what was tried.
  case missingLibrary(name: String, tried: String)
  /// A driver that is there and has no such device.
  case noDevice(ordinal: Int, count: Int)
  /// A function of a library that failed.
  case call(function: String, reason: String)
  /// Kernels that do not compile for a device.
  case compilation(architecture: String, log: String)
  /// A build without the kernels, by a compiler that cannot embed files.
  case noKernels

  /// The error in a sentence: operation, what is wrong, what to do.
  public var description: String {
    switch self {
    case .missingLibrary(let name, let tried):
      "CUDA: \(name) could not be loaded (tried \(tried)); install NVIDIA's driver, and CUDA or "
        + "its packages from PyPI, and name their folder in GLEN_CUDA_PATH if it is not found"
    case .noDevice(let ordinal, let count):
      "CUDA: there is no device \(ordinal); the driver has \(count)"
    case .call(let function, let reason): "CUDA: \(function) failed: \(reason)"
    case .compilation(let architecture, let log):
      "CUDA: the kernels do not compile for \(architecture); "
        + "another version of NVRTC may know this device: \(log)"
    case .noKernels: "CUDA: this build has no kernels; build with Swift 6.2 or newer"
    }
  }
}

extension CUDAError: LocalizedError {
  /// What `localizedDescription` says, which apps show.
  public var errorDescription: String? { description }
}

import CGLENCUDA

/// The libraries of CUDA, found at run time.
///
/// `@unchecked Sendable`: the tables are written once, before a pointer to them is handed out, and
/// stay.
struct CUDALibraries: @unchecked Sendable {
  let driver: UnsafePointer<glen_cuda_driver>
  let nvrtc: UnsafePointer<glen_cuda_nvrtc>
  let blas: UnsafePointer<glen_cuda_blas>

  /// The libraries of this machine.
  static func load() throws(CUDAError) -> CUDALibraries {
    CUDALibraries(
      driver: try loadDriver(), nvrtc: try loadNVRTC(),
      blas: try found("cuBLAS", glen_cuda_load_blas))
  }

  /// The driver alone, which knows the devices.
  static func loadDriver() throws(CUDAError) -> UnsafePointer<glen_cuda_driver> {
    try found("NVIDIA's driver", glen_cuda_load_driver)
  }

  /// The compiler alone, which needs no device.
  static func loadNVRTC() throws(CUDAError) -> UnsafePointer<glen_cuda_nvrtc> {
    try found("NVRTC", glen_cuda_load_nvrtc)
  }

  private static func found<Library>(
    _ name: String,
    _ load: (UnsafeMutablePointer<UnsafePointer<CChar>?>) -> UnsafePointer<Library>?
  ) throws(CUDAError) -> UnsafePointer<Library> {
    var tried: UnsafePointer<CChar>?
    if let library = load(&tried) { return library }
    throw .missingLibrary(name: name, tried: tried.map { String(cString: $0) } ?? "nothing")
  }
}

extension UnsafePointer<glen_cuda_driver> {
  /// Throws what a function of the driver says.
  func check(_ status: Int32, _ function: String) throws(CUDAError) {
    if status != 0 { throw .call(function: function, reason: reason(status)) }
  }

  /// An error's text.
  func reason(_ status: Int32) -> String {
    var text: UnsafePointer<CChar>?
    _ = pointee.cuGetErrorString(status, &text)
    return text.map { String(cString: $0) } ?? "error \(status)"
  }
}

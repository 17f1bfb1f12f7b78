import CGLENCUDA
import GLENPlatform
import GLENTensor

/// The kernels as machine code for one architecture.
struct CUDAProgram {
  /// A cubin.
  let image: [UInt8]
  /// What the compiler had to say.
  let log: String

  /// Compiles all kernels for an architecture such as `sm_90`.
  ///
  /// - Throws: `CUDAError.compilation`, `.noKernels`.
  init(for architecture: String, nvrtc: UnsafePointer<glen_cuda_nvrtc>) throws(CUDAError) {
    let sources = (0..<glen_cuda_source_count()).map { glen_cuda_source_at($0) }
    if sources.isEmpty { throw .noKernels }
    var program: UnsafeMutableRawPointer?
    let names: [UnsafePointer<CChar>?] = sources.map(\.name)
    let texts: [UnsafePointer<CChar>?] = sources.map(\.text)
    var status = nvrtc.pointee.nvrtcCreateProgram(
      &program, "#include \"all.cu\"\n", "glen.cu", Int32(sources.count), texts, names)
    guard status == 0, let made = program else {
      throw .call(function: "nvrtcCreateProgram", reason: Self.reason(status, nvrtc))
    }
    defer { _ = nvrtc.pointee.nvrtcDestroyProgram(&program) }
    let copies = (["--gpu-architecture=\(architecture)"] + Self.options).map { strdup($0) }
    defer { for copy in copies { free(copy) } }
    status = nvrtc.pointee.nvrtcCompileProgram(
      made, Int32(copies.count), copies.map { UnsafePointer($0) })
    var size: UInt = 0
    _ = nvrtc.pointee.nvrtcGetProgramLogSize(made, &size)
    var text = [CChar](repeating: 0, count: Int(size) + 1)
    _ = nvrtc.pointee.nvrtcGetProgramLog(made, &text)
    let log = String(decoding: text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    guard status == 0 else {
      throw .compilation(
        architecture: architecture, log: log.isEmpty ? Self.reason(status, nvrtc) : log)
    }
    status = nvrtc.pointee.nvrtcGetCUBINSize(made, &size)
    var code = [CChar](repeating: 0, count: Int(size))
    if status == 0 { status = nvrtc.pointee.nvrtcGetCUBIN(made, &code) }
    guard status == 0 else {
      throw .call(function: "nvrtcGetCUBIN", reason: Self.reason(status, nvrtc))
    }
    image = code.map(UInt8.init(bitPattern:))
    self.log = log
  }

  private static let options = ["--std=c++17"]

  private static func reason(_ status: Int32, _ nvrtc: UnsafePointer<glen_cuda_nvrtc>) -> String {
    nvrtc.pointee.nvrtcGetErrorString(status).map { String(cString: $0) } ?? "error \(status)"
  }

  /// Where compiled kernels are kept: `glen` in `XDG_CACHE_HOME` or `~/.cache`.
  static var cacheFolder: URL {
    let environment = ProcessInfo.processInfo.environment["XDG_CACHE_HOME"].flatMap {
      $0.hasPrefix("/") ? URL(fileURLWithPath: $0) : nil
    }
    let home = FileManager.default.homeDirectoryForCurrentUser
    return (environment ?? home.appendingPathComponent(".cache")).appendingPathComponent("glen")
  }

  /// The file of the kernels in a cache: the name holds sources, architecture and the versions of
  /// compiler and driver, so that nothing stale is found.
  static func file(
    for architecture: String, driverVersion: Int32, nvrtc: UnsafePointer<glen_cuda_nvrtc>,
    in folder: URL
  ) -> URL {
    var (major, minor): (Int32, Int32) = (0, 0)
    _ = nvrtc.pointee.nvrtcVersion(&major, &minor)
    let version = "nvrtc-\(major).\(minor)-driver-\(driverVersion)"
    return folder.appendingPathComponent(
      "kernels-\(architecture)-\(version)-\(String(fingerprint, radix: 16)).cubin")
  }

  /// FNV-1a over the options, and names and texts of the sources.
  private static let fingerprint: UInt64 = {
    var texts = options
    for index in 0..<glen_cuda_source_count() {
      let source = glen_cuda_source_at(index)
      texts += [String(cString: source.name), String(cString: source.text)]
    }
    return texts.joined(separator: "\0").utf8.reduce(0xCBF2_9CE4_8422_2325) {
      ($0 ^ UInt64($1)) &* 0x100_0000_01B3
    }
  }()
}

import CGLENCUDA
import GLENPlatform
import GLENTensor
import Synchronization

/// An NVIDIA GPU: cuBLAS for products, our own kernels for the rest, all on one stream.
///
/// Functions return before their work is done. What fails on the way is kept, and thrown by every
/// `download` and `synchronize` from then on, because a device that failed does not recover.
///
/// `@unchecked Sendable`: the handles are made in the initialiser and never change; what changes is
/// under a lock. Calls of several threads each keep their order, since the stream is one.
public final class CUDABackend: Backend, @unchecked Sendable {
  /// How products of float32 matrices are computed; sums are float32 in each.
  public enum Precision: String, Sendable, CaseIterable {
    /// As they are.
    case float32
    /// Factors rounded to TensorFloat-32: 10 bits of fraction.
    case tensorFloat32 = "tf32"
    /// Factors rounded to bfloat16: 7 bits of fraction.
    case bfloat16 = "bf16"
  }

  /// The GPU.
  public let device: CUDADevice
  /// How products are computed.
  public let precision: Precision
  /// How long kernels and products took, where that was asked for.
  public let profile: CUDAProfile?
  let libraries: CUDALibraries
  let memory: MemoryPool
  let stream: UnsafeMutableRawPointer
  let blas: UnsafeMutableRawPointer
  private let context: UnsafeMutableRawPointer
  private let kernels: [Kernel: UnsafeMutableRawPointer]
  private let failure = Mutex<String?>(nil)
  let rounding: Rounding
  /// How often a copy went that a recording reads.
  let lostCopies = Atomic(0)
  /// The memory of recordings.
  let recordedBlocks = Mutex<Set<UInt>>([])
  /// Where cuBLAS works, and with what memory in recordings; under its lock.
  nonisolated(unsafe) var productStream: UnsafeMutableRawPointer
  nonisolated(unsafe) var productWorkspace: UnsafeMutableRawPointer?
  /// The factors of products in bfloat16.
  ///
  /// Its lock is also cuBLAS's, whose handle may be used by one thread at a time.
  let roundedFactors = Mutex<RoundedFactors>([:])

  /// The first GPU, or that with the given number.
  ///
  /// Compiles the kernels for it at first, which takes some seconds, and keeps them on disk. Tensors
  /// and what is kept for reuse together take at most `memoryBudget` bytes; by default all that the
  /// device gives. With `profiles` it keeps a `profile`.
  ///
  /// - Throws: `CUDAError` for a library, device or kernel that is missing.
  public convenience init(
    ordinal: Int = 0, precision: Precision = .float32, memoryBudget: Int = .max,
    profiles: Bool = false
  ) throws(CUDAError) {
    try self.init(
      libraries: try .load(), ordinal: ordinal, precision: precision, memoryBudget: memoryBudget,
      cacheFolder: CUDAProgram.cacheFolder, profiles: profiles)
  }

  /// A backend over given libraries.
  init(
    libraries: CUDALibraries, ordinal: Int, precision: Precision, memoryBudget: Int,
    cacheFolder: URL, profiles: Bool = false, rounding: Rounding = Rounding()
  ) throws(CUDAError) {
    self.rounding = rounding
    let driver = libraries.driver
    let count = try CUDADevice.count(driver)
    guard (0..<count).contains(ordinal) else { throw .noDevice(ordinal: ordinal, count: count) }
    device = try CUDADevice(ordinal, of: driver)
    var handle: Int32 = 0
    try driver.check(driver.pointee.cuDeviceGet(&handle, Int32(ordinal)), "cuDeviceGet")
    let context = try Self.made("cuDevicePrimaryCtxRetain", driver) {
      driver.pointee.cuDevicePrimaryCtxRetain(&$0, handle)
    }
    try driver.check(driver.pointee.cuCtxSetCurrent(context), "cuCtxSetCurrent")
    profile = profiles ? CUDAProfile(driver, context: context) : nil
    let nonBlocking: UInt32 = 1
    let stream = try Self.made("cuStreamCreate", driver) {
      driver.pointee.cuStreamCreate(&$0, nonBlocking)
    }
    kernels = try Self.loadKernels(libraries, device.architecture, cacheFolder)
    var blas: UnsafeMutableRawPointer?
    let status = libraries.blas.pointee.cublasCreate_v2(&blas)
    guard status == 0, let blas else {
      throw .call(function: "cublasCreate", reason: "status \(status)")
    }
    _ = libraries.blas.pointee.cublasSetStream_v2(blas, stream)
    // Sums are float32 also where the result is not, and products in parts are added up.
    let disallowReducedPrecisionReduction: Int32 = 16
    _ = libraries.blas.pointee.cublasSetMathMode(blas, disallowReducedPrecisionReduction)
    productStream = stream
    (self.libraries, self.precision) = (libraries, precision)
    (self.context, self.stream, self.blas) = (context, stream, blas)
    memory = Self.pool(budget: memoryBudget, libraries, context: context, stream: stream)
  }

  /// Device memory, all of which is kept until it is missing: the order of the stream is the order
  /// of the calls, so a block may be handed out again while earlier work still uses it.
  private static func pool(
    budget: Int, _ libraries: CUDALibraries, context: UnsafeMutableRawPointer,
    stream: UnsafeMutableRawPointer
  ) -> MemoryPool {
    nonisolated(unsafe) let (context, stream) = (context, stream)
    return MemoryPool(keeping: .max, budget: budget) { size in
      let driver = libraries.driver
      _ = driver.pointee.cuCtxSetCurrent(context)
      var address: UInt64 = 0
      guard driver.pointee.cuMemAlloc_v2(&address, UInt(size)) == 0 else { return nil }
      return UnsafeMutableRawPointer(bitPattern: UInt(address))
    } release: { address in
      let driver = libraries.driver
      _ = driver.pointee.cuCtxSetCurrent(context)
      _ = driver.pointee.cuStreamSynchronize(stream)
      _ = driver.pointee.cuMemFree_v2(UInt64(UInt(bitPattern: address)))
    }
  }

  private static func made(
    _ function: String, _ driver: UnsafePointer<glen_cuda_driver>,
    _ make: (inout UnsafeMutableRawPointer?) -> Int32
  ) throws(CUDAError) -> UnsafeMutableRawPointer {
    var handle: UnsafeMutableRawPointer?
    try driver.check(make(&handle), function)
    guard let handle else { throw .call(function: function, reason: "it gave nothing") }
    return handle
  }

  /// The kernels from the cache, or compiled and put there.
  ///
  /// A file that the driver refuses is made anew; a cache that cannot be written costs the next start
  /// some seconds and no more.
  private static func loadKernels(
    _ libraries: CUDALibraries, _ architecture: String, _ folder: URL
  ) throws(CUDAError) -> [Kernel: UnsafeMutableRawPointer] {
    let driver = libraries.driver
    var version: Int32 = 0
    try driver.check(driver.pointee.cuDriverGetVersion(&version), "cuDriverGetVersion")
    let file = CUDAProgram.file(
      for: architecture, driverVersion: version, nvrtc: libraries.nvrtc, in: folder)
    if let data = try? Data(contentsOf: file),
      let kept = try? functions(of: [UInt8](data), driver)
    {
      return kept
    }
    let program = try CUDAProgram(for: architecture, nvrtc: libraries.nvrtc)
    try? FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    try? AtomicFile.write(Data(program.image), to: file)
    return try functions(of: program.image, driver)
  }

  private static func functions(
    of image: [UInt8], _ driver: UnsafePointer<glen_cuda_driver>
  ) throws(CUDAError) -> [Kernel: UnsafeMutableRawPointer] {
    let module = try made("cuModuleLoadData", driver) {
      driver.pointee.cuModuleLoadData(&$0, image)
    }
    var functions: [Kernel: UnsafeMutableRawPointer] = [:]
    for kernel in Kernel.allCases {
      functions[kernel] = try made("cuModuleGetFunction(\(kernel.rawValue))", driver) {
        driver.pointee.cuModuleGetFunction(&$0, module, kernel.rawValue)
      }
    }
    return functions
  }

  deinit {
    enter()
    for factor in roundedFactors.withLock({ $0.values.joined() }) {
      memory.free(factor.memory, byteCount: 2 * factor.count)
    }
    if let productWorkspace { memory.free(productWorkspace, byteCount: Self.workspaceByteCount) }
    memory.releaseUnused()
    profile?.close()
    _ = libraries.driver.pointee.cuStreamSynchronize(stream)
    _ = libraries.blas.pointee.cublasDestroy_v2(blas)
    _ = libraries.driver.pointee.cuStreamDestroy_v2(stream)
    _ = libraries.driver.pointee.cuDevicePrimaryCtxRelease_v2(Int32(device.ordinal))
  }

  /// What to call the device in messages.
  public var name: String { "cuda:\(device.ordinal)" }

  /// Yes.
  public var hasMatrixUnits: Bool { true }

  /// The greatest number of bytes that tensors took at once.
  public var peakByteCount: Int { memory.peakByteCount }

  /// Makes the device's context this thread's own.
  func enter() { _ = libraries.driver.pointee.cuCtxSetCurrent(context) }

  /// Begins to measure, where a profile is kept.
  func beginProfile() -> CUDAProfile.Event? { profile?.begin(on: stream) }

  /// Counts what was begun.
  func endProfile(_ name: @autoclosure () -> String, since begin: CUDAProfile.Event?) {
    profile?.end(name(), since: begin, on: stream)
  }

  /// Keeps the first failure.
  func note(_ status: Int32, _ function: @autoclosure () -> String) {
    if status != 0 { fail("\(function()) failed: \(libraries.driver.reason(status))") }
  }

  /// Keeps the first failure.
  func fail(_ reason: String) {
    // Work that cannot be recorded can still be done.
    if let capture { return capture.failure = capture.failure ?? reason }
    failure.withLock { $0 = $0 ?? reason }
  }

  /// Throws the first failure, if there was one.
  func throwFailure() throws(TensorError) {
    if let reason = failure.withLock({ $0 }) {
      throw .backendFailure(backend: name, reason: reason)
    }
  }

  /// Starts a kernel with arguments of at most eight bytes each.
  func launch(
    _ kernel: Kernel, blocks: (x: Int, y: Int, z: Int), threads: Int = Kernel.threads,
    _ arguments: KernelArgument...
  ) {
    launch(kernel, blocks: blocks, threads: threads, all: arguments)
  }

  /// Starts a kernel with arguments of at most eight bytes each.
  func launch(
    _ kernel: Kernel, blocks: (x: Int, y: Int, z: Int), threads: Int = Kernel.threads,
    all arguments: [KernelArgument]
  ) {
    guard precision == .bfloat16 else {
      return start(kernel, blocks: blocks, threads: threads, arguments)
    }
    // Until the kernel is in the stream, nobody may give a copy's memory away.
    roundedFactors.withLock { kept in
      let arguments = arguments.map { settled($0, &kept) }
      start(kernel, blocks: blocks, threads: threads, arguments)
      for argument in arguments {
        switch argument {
        case .at(let region?), .replacing(let region, _): forget(region.storage.key, &kept)
        default: break
        }
      }
    }
  }

  /// Starts a kernel whose arguments are settled.
  func start(
    _ kernel: Kernel, blocks: (x: Int, y: Int, z: Int), threads: Int = Kernel.threads,
    _ arguments: [KernelArgument]
  ) {
    var words = arguments.map(\.bits)
    words.withUnsafeMutableBytes { bytes in
      var addresses = arguments.indices.map { index in bytes.baseAddress.map { $0 + 8 * index } }
      start(kernel, blocks: blocks, threads: threads, &addresses)
    }
  }

  /// Starts a kernel; nothing happens where a grid is empty.
  func start(
    _ kernel: Kernel, blocks: (x: Int, y: Int, z: Int), threads: Int = Kernel.threads,
    _ arguments: UnsafeMutablePointer<UnsafeMutableRawPointer?>
  ) {
    guard blocks.x > 0, blocks.y > 0, blocks.z > 0 else { return }
    guard blocks.x < 1 << 31, blocks.y < 1 << 16, blocks.z < 1 << 16,
      let function = kernels[kernel]
    else { return fail("\(kernel.rawValue): a grid of \(blocks) is too large") }
    enter()
    let begin = beginProfile()
    note(
      libraries.driver.pointee.cuLaunchKernel(
        function, UInt32(blocks.x), UInt32(blocks.y), UInt32(blocks.z), UInt32(threads), 1, 1, 0,
        workStream, arguments, nil),
      kernel.rawValue)
    endProfile(kernel.rawValue, since: begin)
  }

  /// Memory for the length of a call: what comes after it on the stream may have it again.
  func withScratch(floats count: Int, _ body: (UnsafeMutableRawPointer) -> Void) {
    guard count > 0 else { return }
    guard let address: UnsafeMutableRawPointer = allocate(byteCount: 4 * count) else {
      return fail("no scratch memory of \(4 * count) bytes beside \(memory.usedByteCount) in use")
    }
    body(address)
    giveBack(address, byteCount: 4 * count)
  }
}

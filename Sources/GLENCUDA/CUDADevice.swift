import CGLENCUDA

/// An NVIDIA GPU that the driver knows.
public struct CUDADevice: Sendable, Equatable, CustomStringConvertible {
  /// Its number; `CUDA_VISIBLE_DEVICES` chooses and orders devices.
  public let ordinal: Int
  /// What the driver calls it.
  public let name: String
  /// Its memory in bytes.
  public let byteCount: Int
  /// The architecture that kernels are compiled for, such as `sm_90`.
  public let architecture: String
  /// The number of its multiprocessors.
  public let multiprocessorCount: Int

  /// The devices of this machine.
  ///
  /// - Throws: `CUDAError.missingLibrary` where there is no driver, `.call` where it fails.
  public static func available() throws(CUDAError) -> [CUDADevice] {
    let driver = try CUDALibraries.loadDriver()
    var devices: [CUDADevice] = []
    for ordinal in 0..<(try count(driver)) { devices.append(try CUDADevice(ordinal, of: driver)) }
    return devices
  }

  /// The number of devices, once the driver is initialised.
  static func count(_ driver: UnsafePointer<glen_cuda_driver>) throws(CUDAError) -> Int {
    // The driver calls it an error where there is none.
    let noDevice: Int32 = 100
    let status = driver.pointee.cuInit(0)
    if status == noDevice { return 0 }
    try driver.check(status, "cuInit")
    var count: Int32 = 0
    try driver.check(driver.pointee.cuDeviceGetCount(&count), "cuDeviceGetCount")
    return Int(count)
  }

  /// Whether there is a device; why there is none, `available` says.
  public static var isAvailable: Bool { (try? available().isEmpty) == false }

  /// A device of a driver that was initialised.
  init(_ ordinal: Int, of driver: UnsafePointer<glen_cuda_driver>) throws(CUDAError) {
    var device: Int32 = 0
    try driver.check(driver.pointee.cuDeviceGet(&device, Int32(ordinal)), "cuDeviceGet")
    var name = [CChar](repeating: 0, count: 256)
    try driver.check(
      driver.pointee.cuDeviceGetName(&name, Int32(name.count), device), "cuDeviceGetName")
    var byteCount: UInt = 0
    try driver.check(driver.pointee.cuDeviceTotalMem_v2(&byteCount, device), "cuDeviceTotalMem")
    var attributes: [Int32] = []
    // Multiprocessors, and both digits of the compute capability.
    for attribute in [16, 75, 76] as [Int32] {
      var value: Int32 = 0
      try driver.check(
        driver.pointee.cuDeviceGetAttribute(&value, attribute, device), "cuDeviceGetAttribute")
      attributes.append(value)
    }
    self.ordinal = ordinal
    self.name = name.withUnsafeBufferPointer { $0.baseAddress.map { String(cString: $0) } ?? "" }
    self.byteCount = Int(byteCount)
    architecture = "sm_\(attributes[1])\(attributes[2])"
    multiprocessorCount = Int(attributes[0])
  }

  /// Number, name, architecture and memory.
  public var description: String {
    "cuda:\(ordinal) \(name), \(architecture), \(multiprocessorCount) multiprocessors, "
      + "\(byteCount >> 20) MiB"
  }
}

import CGLENCUDAHost
import Foundation
import GLENTensor

@testable import GLENCUDA

/// Stand-ins for CUDA's libraries.
let hostLibraries = CUDALibraries(
  driver: glen_host_driver(), nvrtc: glen_host_nvrtc(), blas: glen_host_blas())

/// The CUDA backend on the stand-ins: the same Swift and the same kernels, on the processor.
func hostBackend(
  precision: CUDABackend.Precision = .float32, memoryBudget: Int = .max, cacheFolder: URL? = nil,
  rounding: Rounding = Rounding(), profiles: Bool = false
) throws -> CUDABackend {
  try CUDABackend(
    libraries: hostLibraries, ordinal: 0, precision: precision, memoryBudget: memoryBudget,
    cacheFolder: cacheFolder
      ?? FileManager.default.temporaryDirectory.appendingPathComponent("glen-cuda-tests"),
    profiles: profiles, rounding: rounding)
}

import CGLENCUDA
import GLENTensor
import Synchronization

extension CUDABackend {
  /// C = alpha op(A) op(B) + beta C.
  public func matrixProduct(_ p: MatrixProduct) {
    multiply(
      MatrixProductBatch(
        count: 1, m: p.m, n: p.n, k: p.k,
        a: .init(p.a, stride: p.transposeA ? p.m : p.k, step: 0),
        b: .init(p.b, stride: p.transposeB ? p.k : p.n, step: 0),
        c: .init(p.c, stride: p.n, step: 0), transposeA: p.transposeA, transposeB: p.transposeB,
        beta: p.beta),
      alpha: p.alpha)
  }

  /// Several products of equal extents.
  public func matrixProducts(_ products: MatrixProductBatch) { multiply(products, alpha: 1) }

  /// Asks for C' = op(B)' op(A)', because to cuBLAS a row-major matrix is its transpose.
  private func multiply(_ p: MatrixProductBatch, alpha: Float) {
    guard p.count > 0, p.m > 0, p.n > 0 else { return }
    guard p.k > 0 else {
      if p.beta == 1 { return }
      for index in 0..<p.count {
        launchRows(
          .rescaleRows, rows: p.m, width: p.n, .at(p.c.region.advanced(by: index * p.c.step)),
          .count(p.c.stride), .count(p.n), .number(p.beta))
      }
      return
    }
    var (alpha, beta) = (alpha, p.beta)
    enter()
    let status = roundedFactors.withLock { kept in
      var a = Factor(address: p.a.region.address, type: Factor.float32)
      var b = Factor(address: p.b.region.address, type: Factor.float32)
      if isWorthRounding(p) {
        a = rounded(p.a.region, count: p.m * p.k, &kept)
        b = rounded(p.b.region, count: p.k * p.n, &kept)
      }
      // Where one could not be rounded, cuBLAS takes both as they are.
      if a.type != b.type {
        a = Factor(address: p.a.region.address, type: Factor.float32)
        b = Factor(address: p.b.region.address, type: Factor.float32)
      }
      forget(&kept, writtenFrom: p.c.region.address, byteCount: 4 * p.m * p.n)
      beginProfile()
      defer {
        endProfile(
          "product \(p.count > 1 ? "\(p.count) times " : "")\(p.m) x \(p.n) x \(p.k)"
            + (a.type == Factor.bfloat16 ? ", rounded" : ""))
      }
      return libraries.blas.pointee.cublasGemmStridedBatchedEx(
        blas, p.transposeB ? 1 : 0, p.transposeA ? 1 : 0, Int32(p.n), Int32(p.m), Int32(p.k),
        &alpha, b.address, b.type, Int32(p.b.stride), Int64(p.b.step), a.address, a.type,
        Int32(p.a.stride), Int64(p.a.step), &beta, p.c.region.address, Factor.float32,
        Int32(p.c.stride), Int64(p.c.step), Int32(p.count),
        a.type == Factor.bfloat16
          ? CUDABackend.Precision.float32.computeType : precision.computeType,
        -1)
    }
    if status != 0 {
      fail("a product of \(p.m) x \(p.n) x \(p.k) failed in cuBLAS: status \(status)")
    }
  }

  /// A factor as cuBLAS is told of it.
  private struct Factor {
    /// `CUDA_R_32F`, and `CUDA_R_16BF`.
    static let float32: Int32 = 0, bfloat16: Int32 = 14

    var address: UnsafeMutableRawPointer
    var type: Int32
  }

  /// Whether two whole matrices are so large that to round them first costs less than it brings.
  private func isWorthRounding(_ p: MatrixProductBatch) -> Bool {
    precision == .bfloat16 && p.count == 1 && min(p.m, p.n, p.k) >= 256
      && p.a.stride == (p.transposeA ? p.m : p.k) && p.b.stride == (p.transposeB ? p.k : p.n)
      && p.a.stride % 8 == 0 && p.b.stride % 8 == 0 && p.a.region.offset % 4 == 0
      && p.b.region.offset % 4 == 0
  }

  /// A matrix in bfloat16: the one that was made for a product just before, or a new one.
  private func rounded(_ region: Region, count: Int, _ kept: inout [RoundedFactor]) -> Factor {
    let source = region.address
    if let found = kept.first(where: { $0.source == source && $0.count == count }) {
      return Factor(address: found.memory, type: Factor.bfloat16)
    }
    guard let memory = self.memory.allocate(byteCount: 2 * count) else {
      return Factor(address: source, type: Factor.float32)
    }
    start(
      .round, blocks: (Self.blocks(for: count / 8), 1, 1),
      [.address(source), .address(memory), .count(count / 8)])
    kept.append(RoundedFactor(source: source, count: count, memory: memory))
    return Factor(address: memory, type: Factor.bfloat16)
  }

  /// Lets go of all rounded factors, because what they were made of may be written now.
  func forgetRounded() {
    guard precision == .bfloat16 else { return }
    roundedFactors.withLock { kept in
      for factor in kept { memory.free(factor.memory, byteCount: 2 * factor.count) }
      kept.removeAll(keepingCapacity: true)
    }
  }

  /// Lets go of those that were made of what is written now.
  private func forget(
    _ kept: inout [RoundedFactor], writtenFrom address: UnsafeMutableRawPointer, byteCount: Int
  ) {
    kept.removeAll { factor in
      let isWritten =
        factor.source < address + byteCount && address < factor.source + 4 * factor.count
      if isWritten { memory.free(factor.memory, byteCount: 2 * factor.count) }
      return isWritten
    }
  }
}

/// A factor that was rounded for a product, kept for the next.
///
/// A layer's products share their input, and both of a gradient share what comes from above. Nothing but
/// products may come between.
struct RoundedFactor {
  var source: UnsafeMutableRawPointer
  var count: Int
  var memory: UnsafeMutableRawPointer
}

extension CUDABackend.Precision {
  /// cuBLAS's `CUBLAS_COMPUTE_32F`, `..._FAST_TF32` and `..._FAST_16BF`.
  fileprivate var computeType: Int32 {
    switch self {
    case .float32: 68
    case .tensorFloat32: 77
    case .bfloat16: 75
    }
  }
}

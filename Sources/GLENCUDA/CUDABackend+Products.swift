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
    let float32: Int32 = 0
    let algorithm: Int32 = -1
    var (alpha, beta) = (alpha, p.beta)
    enter()
    let status = blasLock.withLock { _ in
      libraries.blas.pointee.cublasGemmStridedBatchedEx(
        blas, p.transposeB ? 1 : 0, p.transposeA ? 1 : 0, Int32(p.n), Int32(p.m), Int32(p.k),
        &alpha, p.b.region.address, float32, Int32(p.b.stride), Int64(p.b.step),
        p.a.region.address, float32, Int32(p.a.stride), Int64(p.a.step), &beta,
        p.c.region.address, float32, Int32(p.c.stride), Int64(p.c.step), Int32(p.count),
        precision.computeType, algorithm)
    }
    if status != 0 {
      fail("a product of \(p.m) x \(p.n) x \(p.k) failed in cuBLAS: status \(status)")
    }
  }
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

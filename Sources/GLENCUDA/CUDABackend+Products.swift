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
      alpha: p.alpha, isRoundable: p.isRoundable)
  }

  /// Several products of equal extents.
  public func matrixProducts(_ products: MatrixProductBatch) { multiply(products, alpha: 1) }

  /// Asks for C' = op(B)' op(A)', because to cuBLAS a row-major matrix is its transpose.
  private func multiply(_ p: MatrixProductBatch, alpha: Float, isRoundable: Bool = false) {
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
      var (a, b, type) = (p.a.region.address, p.b.region.address, Self.float32)
      if isWorthRounding(p, kept),
        let left = rounded(p.a.region, count: p.m * p.k, &kept),
        let right = rounded(p.b.region, count: p.k * p.n, &kept)
      {
        (a, b, type) = (left, right, Self.bfloat16)
      } else {
        widen(p.a.region.storage, &kept)
        widen(p.b.region.storage, &kept)
      }
      widen(p.c.region.storage, &kept)
      let copy = isRoundable && type == Self.bfloat16 ? roundedResult(p) : nil
      chooseProductStream()
      let begin = beginProfile()
      defer {
        endProfile(
          "product \(p.count > 1 ? "\(p.count) times " : "")\(p.m) x \(p.n) x \(p.k)"
            + (type == Self.bfloat16 ? ", rounded" : ""), since: begin)
      }
      let status = libraries.blas.pointee.cublasGemmStridedBatchedEx(
        blas, p.transposeB ? 1 : 0, p.transposeA ? 1 : 0, Int32(p.n), Int32(p.m), Int32(p.k),
        &alpha, b, type, Int32(p.b.stride), Int64(p.b.step), a, type, Int32(p.a.stride),
        Int64(p.a.step), &beta, copy ?? p.c.region.address,
        copy == nil ? Self.float32 : Self.bfloat16, Int32(p.c.stride), Int64(p.c.step),
        Int32(p.count),
        type == Self.bfloat16 ? Precision.float32.computeType : precision.computeType, -1)
      if !rounding.keepsCopies {
        forget(p.a.region.storage.key, &kept)
        forget(p.b.region.storage.key, &kept)
      }
      // What is written was multiplied with first.
      forget(p.c.region.storage.key, &kept)
      if let copy {
        kept[p.c.region.storage.key, default: []].append(
          RoundedFactor(
            offset: p.c.region.offset, count: p.m * p.n, memory: copy, isAlone: true))
      }
      return status
    }
    if status != 0 {
      fail("a product of \(p.m) x \(p.n) x \(p.k) failed in cuBLAS: status \(status)")
    }
  }

  /// Where a result may be written as bfloat16 alone: nothing is added to it, and it is large enough.
  private func roundedResult(_ p: MatrixProductBatch) -> UnsafeMutableRawPointer? {
    let count = p.m * p.n
    guard p.beta == 0, p.c.stride == p.n, count >= rounding.leastAlone else { return nil }
    return roundedTarget(p.c.region, count: count)
  }

  /// `CUDA_R_32F`, and `CUDA_R_16BF`.
  private static let float32: Int32 = 0, bfloat16: Int32 = 14

  /// Whether two whole matrices are such that cuBLAS multiplies them well in bfloat16, and so large, or
  /// so near at hand, that to round them costs less than it brings.
  private func isWorthRounding(_ p: MatrixProductBatch, _ kept: RoundedFactors) -> Bool {
    guard precision == .bfloat16, p.count == 1, p.a.stride == (p.transposeA ? p.m : p.k),
      p.b.stride == (p.transposeB ? p.k : p.n), p.a.stride % 8 == 0, p.b.stride % 8 == 0,
      p.a.region.offset % 4 == 0, p.b.region.offset % 4 == 0
    else { return false }
    return p.m * p.n * p.k >= rounding.leastProduct
      || p.n * p.k >= rounding.leastFactor && isRounded(p.a.region, count: p.m * p.k, kept)
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

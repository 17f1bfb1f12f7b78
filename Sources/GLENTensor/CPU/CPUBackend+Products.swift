import CGLENBLAS
import CGLENKernels

extension CPUBackend {
  /// Up to this many rows a product reads `b` in place; beyond it packing pays.
  ///
  /// One thread, 768 x 3072, GFLOP/s ours against packing. AVX-512 (Zen 5, against `glen_large_product`):
  /// 1 row 16 / 5, 8 rows 115 / 41, 32 rows 140 / 109, 64 rows 161 / 151. AVX2 (Zen 3, against OpenBLAS):
  /// 12 rows 51 / 39, 32 rows 65 / 53, 64 rows 75 / 63.
  private static let fewRows = 64

  /// C = alpha op(A) op(B) + beta C.
  public func matrixProduct(_ product: MatrixProduct) {
    let p = product
    guard p.m > 0, p.n > 0 else { return }
    let (a, b, c) = (p.a.floats, p.b.floats, p.c.floats)
    let work = p.m * p.n * p.k
    if !p.transposeA && p.transposeB && p.m <= Self.fewRows {
      // Four columns at a time, so that parts begin at multiples of four.
      let blocks = (p.n + 3) / 4
      let grain = 1 + (1 << 16) / max(p.m * p.k * 4, 1)
      parallel(blocks, grain: grain) { range in
        glen_product_transposed(
          p.m, p.k, a, p.k, b, p.k, range.lowerBound * 4, min(range.upperBound * 4, p.n), p.alpha,
          p.beta, c, p.n)
      }
      return
    }
    let splitsRows = p.m >= p.n
    let extent = splitsRows ? p.m : p.n
    // Parts of whole blocks of 16; a part worth less than about 50 microseconds is not worth a
    // thread.
    let blocks = (extent + 15) / 16
    let grain = max(1, blocks * (1 << 21) / max(work, 1))
    parallel(blocks, grain: grain) { range in
      let first = range.lowerBound * 16
      let count = min(range.upperBound * 16, extent) - first
      Self.sgemm(
        p,
        m: splitsRows ? count : p.m, n: splitsRows ? p.n : count,
        a: splitsRows ? a + (p.transposeA ? first : first * p.k) : a,
        b: splitsRows ? b : b + (p.transposeB ? first * p.k : first),
        c: splitsRows ? c + first * p.n : c + first)
    }
  }

  /// Several products of equal extents, each by one thread.
  public func matrixProducts(_ products: MatrixProductBatch) {
    let p = products
    guard p.m > 0, p.n > 0 else { return }
    let grain = 1 + (1 << 18) / max(p.m * p.n * p.k, 1)
    parallel(p.count, grain: grain) { range in
      for index in range {
        Self.blas(
          p.m, p.n, p.k, transposeA: p.transposeA, transposeB: p.transposeB,
          a: p.a.region.floats + index * p.a.step, aStride: p.a.stride,
          b: p.b.region.floats + index * p.b.step, bStride: p.b.stride, beta: p.beta,
          c: p.c.region.floats + index * p.c.step, cStride: p.c.stride)
      }
    }
  }

  private static func sgemm(
    _ p: MatrixProduct, m: Int, n: Int, a: UnsafePointer<Float>, b: UnsafePointer<Float>,
    c: UnsafeMutablePointer<Float>
  ) {
    blas(
      m, n, p.k, transposeA: p.transposeA, transposeB: p.transposeB, alpha: p.alpha,
      a: a, aStride: p.transposeA ? p.m : p.k, b: b, bStride: p.transposeB ? p.k : p.n,
      beta: p.beta, c: c, cStride: p.n)
  }

  /// One product on this thread, row-major.
  static func blas(
    _ m: Int, _ n: Int, _ k: Int, transposeA: Bool, transposeB: Bool, alpha: Float = 1,
    a: UnsafePointer<Float>, aStride: Int, b: UnsafePointer<Float>, bStride: Int, beta: Float = 0,
    c: UnsafeMutablePointer<Float>, cStride: Int
  ) {
    if !transposeA && transposeB && m <= fewRows {
      glen_product_transposed(m, k, a, aStride, b, bStride, 0, n, alpha, beta, c, cStride)
      return
    }
    // GFLOP/s of one thread of a Zen 5 (peak 256): 512 x 3072 x 768 214, 156 x 156 x 64 222, 30 x 30 x 64 155,
    // whatever is transposed. OpenBLAS 0.3.21 with its kernels for AVX2: 122, 116, 68; for AVX-512: 247
    // for the first.
    if glen_large_product(
      transposeA ? 1 : 0, transposeB ? 1 : 0, m, n, k, alpha, a, aStride, b, bStride, beta, c,
      cStride) != 0
    {
      return
    }
    glen_hold_openblas_to_one_thread()
    let rowMajor: Int32 = 101
    let plain: Int32 = 111
    let transposed: Int32 = 112
    cblas_sgemm(
      rowMajor, transposeA ? transposed : plain, transposeB ? transposed : plain, Int32(m),
      Int32(n), Int32(k), alpha, a, Int32(aStride), b, Int32(bStride), beta, c, Int32(cStride))
  }
}

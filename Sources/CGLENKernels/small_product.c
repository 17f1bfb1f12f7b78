#include "glen_kernels.h"
#include "vector_math.h"

// A product with few rows is bound by reading `b` once. OpenBLAS packs `b` first and loses; here
// each row of `b` is read in place against a few rows of `a`, the partial sums held in vector
// registers. Several rows of `b` at a time save reads of `a`; the rows after them are fetched ahead,
// since a row is shorter than a page, too short for the processor to see the stream.
//
// How many rows fit depends on the registers: 32 of 64 bytes with AVX-512 (`wide_product`), 16 of 32
// bytes with AVX2, and as many bytes or fewer elsewhere (`narrow_product`).

typedef struct {
  long rows, inner;
  const float *a;
  long a_stride;
  const float *b;
  long b_stride;
  float alpha, beta;
  float *out;
  long out_stride;
} small_product;

GLEN_INLINE small_product part(const small_product *p, long row, long rows, long column) {
  small_product part = *p;
  part.rows = rows;
  part.a += row * p->a_stride;
  part.b += column * p->b_stride;
  part.out += row * p->out_stride + column;
  return part;
}

// Adds what is left of the inner extent from `c` on and writes one output.
GLEN_INLINE void finish(const small_product *p, long r, long j, long c, float sum) {
  for (; c < p->inner; c++) sum += p->a[r * p->a_stride + c] * p->b[j * p->b_stride + c];
  float *out = p->out + r * p->out_stride + j;
  *out = p->alpha * sum + (p->beta == 0 ? 0 : p->beta * *out);
}

// Macros: functions that returned a vector would warn about their calling convention.
typedef float lane8 __attribute__((vector_size(32)));
typedef float lane8_unaligned __attribute__((vector_size(32), aligned(4)));
typedef float lane4 __attribute__((vector_size(16)));
#define LOAD8(p) (*(const lane8_unaligned *)(p))

#if defined(__x86_64__)
typedef float lane16 __attribute__((vector_size(64)));
typedef float lane16_unaligned __attribute__((vector_size(64), aligned(4)));
#define LOAD16(p) (*(const lane16_unaligned *)(p))

GLEN_INLINE float total(const lane16 *v) {
  float parts[16], sum = 0;
  memcpy(parts, v, sizeof parts);
  for (int width = 8; width > 0; width /= 2)
    for (int i = 0; i < width; i++) parts[i] += parts[i + width];
  sum = parts[0];
  return sum;
}

// `a_rows` x `b_rows` outputs; both counts are constants where this is called, so that the sums
// stay in registers.
GLEN_INLINE void wide_tile(int a_rows, int b_rows, const small_product *p) {
  lane16 sums[6][8];
#pragma clang loop unroll(full)
  for (int r = 0; r < a_rows; r++)
#pragma clang loop unroll(full)
    for (int j = 0; j < 8; j++) sums[r][j] = (lane16){0};
  long c = 0;
  for (; c + 16 <= p->inner; c += 16) {
    lane16 right[8];
#pragma clang loop unroll(full)
    for (int j = 0; j < b_rows; j++) {
      right[j] = LOAD16(p->b + j * p->b_stride + c);
      if (b_rows > 1) __builtin_prefetch(p->b + (j + b_rows) * p->b_stride + c);
    }
#pragma clang loop unroll(full)
    for (int r = 0; r < a_rows; r++) {
      lane16 left = LOAD16(p->a + r * p->a_stride + c);
#pragma clang loop unroll(full)
      for (int j = 0; j < b_rows; j++) sums[r][j] += left * right[j];
    }
  }
#pragma clang loop unroll(full)
  for (int r = 0; r < a_rows; r++)
#pragma clang loop unroll(full)
    for (int j = 0; j < b_rows; j++) finish(p, r, j, c, total(&sums[r][j]));
}

GLEN_INLINE void wide_columns(int b_rows, const small_product *p, long column) {
  // Groups of equal size: 12 rows are 6 + 6 and 8 are 4 + 4.
  long groups = (p->rows + 5) / 6, size = groups ? (p->rows + groups - 1) / groups : 1;
  for (long row = 0; row < p->rows; row += size) {
    long count = p->rows - row < size ? p->rows - row : size;
    small_product tile = part(p, row, count, column);
    switch (count) {
      case 1: wide_tile(1, b_rows, &tile); break;
      case 2: wide_tile(2, b_rows, &tile); break;
      case 3: wide_tile(3, b_rows, &tile); break;
      case 4: wide_tile(4, b_rows, &tile); break;
      case 5: wide_tile(5, b_rows, &tile); break;
      default: wide_tile(6, b_rows, &tile); break;
    }
  }
}

// Eight rows of `b` at a time where `a` has one row or two, otherwise four. GB/s of `b` on a Zen 5, one
// thread, 3072 x 768: 1 row 32, 3 rows 29, 6 rows 26, 12 rows 19.
GLEN_INLINE void wide_product(const small_product *p, long first, long last) {
  long j = first;
  if (p->rows <= 2)
    for (; j + 8 <= last; j += 8) wide_columns(8, p, j);
  for (; j + 4 <= last; j += 4) wide_columns(4, p, j);
  for (; j < last; j++) wide_columns(1, p, j);
}
#endif

// Sums of the parts of four vectors.
GLEN_INLINE void totals(const lane8 *v, float *to) {
  lane8 a = __builtin_shufflevector(v[0], v[1], 0, 8, 2, 10, 4, 12, 6, 14) +
            __builtin_shufflevector(v[0], v[1], 1, 9, 3, 11, 5, 13, 7, 15);
  lane8 b = __builtin_shufflevector(v[2], v[3], 0, 8, 2, 10, 4, 12, 6, 14) +
            __builtin_shufflevector(v[2], v[3], 1, 9, 3, 11, 5, 13, 7, 15);
  lane8 both = __builtin_shufflevector(a, b, 0, 1, 8, 9, 4, 5, 12, 13) +
               __builtin_shufflevector(a, b, 2, 3, 10, 11, 6, 7, 14, 15);
  lane4 all = __builtin_shufflevector(both, both, 0, 1, 2, 3) +
              __builtin_shufflevector(both, both, 4, 5, 6, 7);
  memcpy(to, &all, sizeof all);
}

// As `wide_tile`; only the first rows of `a` fetch ahead.
GLEN_INLINE void narrow_tile(int a_rows, int b_rows, int fetches, const small_product *p) {
  lane8 sums[3][8];
#pragma clang loop unroll(full)
  for (int r = 0; r < a_rows; r++)
#pragma clang loop unroll(full)
    for (int j = 0; j < 8; j++) sums[r][j] = (lane8){0};
  long c = 0;
  for (; c + 8 <= p->inner; c += 8) {
    lane8 left[3];
#pragma clang loop unroll(full)
    for (int r = 0; r < a_rows; r++) left[r] = LOAD8(p->a + r * p->a_stride + c);
#pragma clang loop unroll(full)
    for (int j = 0; j < b_rows; j++) {
      lane8 right = LOAD8(p->b + j * p->b_stride + c);
      if (fetches) __builtin_prefetch(p->b + (j + b_rows) * p->b_stride + c);
#pragma clang loop unroll(full)
      for (int r = 0; r < a_rows; r++) sums[r][j] += left[r] * right;
    }
  }
#pragma clang loop unroll(full)
  for (int r = 0; r < a_rows; r++)
#pragma clang loop unroll(full)
    for (int j = 0; j < b_rows; j += 4) {
      float four[4];
      totals(&sums[r][j], four);
      for (int i = 0; i < 4 && i < b_rows; i++) finish(p, r, j + i, c, four[i]);
    }
}

GLEN_INLINE void narrow_columns(int b_rows, const small_product *p, long column) {
  long groups = (p->rows + 2) / 3, size = groups ? (p->rows + groups - 1) / groups : 1;
  for (long row = 0; row < p->rows; row += size) {
    long count = p->rows - row < size ? p->rows - row : size;
    small_product tile = part(p, row, count, column);
    if (row == 0 && b_rows > 1) {
      switch (count) {
        case 1: narrow_tile(1, b_rows, 1, &tile); break;
        case 2: narrow_tile(2, b_rows, 1, &tile); break;
        default: narrow_tile(3, b_rows, 1, &tile); break;
      }
    } else {
      switch (count) {
        case 1: narrow_tile(1, b_rows, 0, &tile); break;
        case 2: narrow_tile(2, b_rows, 0, &tile); break;
        default: narrow_tile(3, b_rows, 0, &tile); break;
      }
    }
  }
}

// Three rows of `a` against four of `b`: twelve registers of sums, and each row that is loaded counts
// for four or three multiplications. The inner extent is taken in chunks, of which four rows of `b` stay
// in the first cache and all of `a` in the second. Zen 3, one thread, 3072 x 768, GFLOP/s so and with
// the tiles of AVX-512: 12 rows 46 and 27, 32 rows 61 and 30.
GLEN_INLINE void narrow_product(const small_product *whole, long first, long last) {
  enum { chunk = 768 };
  long start = 0;
  do {
    small_product p = *whole;
    p.a += start;
    p.b += start;
    p.inner = p.inner - start < chunk ? p.inner - start : chunk;
    if (start > 0) p.beta = 1;
    long j = first;
    if (p.rows == 1)
      for (; j + 8 <= last; j += 8) narrow_columns(8, &p, j);
    for (; j + 4 <= last; j += 4) narrow_columns(4, &p, j);
    for (; j < last; j++) narrow_columns(1, &p, j);
    start += chunk;
  } while (start < whole->inner);
}

#if defined(__x86_64__)
__attribute__((target(GLEN_TARGET_AVX512))) static void product_avx512(const small_product *p,
                                                                       long first, long last) {
  wide_product(p, first, last);
}

__attribute__((target(GLEN_TARGET_AVX2))) static void product_avx2(const small_product *p,
                                                                   long first, long last) {
  narrow_product(p, first, last);
}
#endif

void glen_product_transposed(long rows, long inner, const float *a, long a_stride, const float *b,
                             long b_stride, long first, long last, float alpha, float beta,
                             float *out, long out_stride) {
  small_product p = {rows, inner, a, a_stride, b, b_stride, alpha, beta, out, out_stride};
  switch (glen_kernels()) {
#if defined(__x86_64__)
    case GLEN_AVX512: product_avx512(&p, first, last); break;
    case GLEN_AVX2: product_avx2(&p, first, last); break;
#endif
    default: narrow_product(&p, first, last);
  }
}

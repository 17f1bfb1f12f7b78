#include <pthread.h>
#include <stdlib.h>

#include "glen_kernels.h"
#include "vector_math.h"

// Products of many rows with AVX-512. OpenBLAS has kernels of that width too, and where it takes them
// the two are alike. Which it takes is up to how it was built and to OPENBLAS_CORETYPE, and those for
// AVX2 run at half the speed; here it is up to the processor.
//
// The plan is Goto's. A tile of `tile_rows` x `tile_columns` outputs stays in registers while it
// runs along `depth` of the inner extent. `block_columns` columns of op(B) are packed for the third
// cache, in panels of `tile_columns` whose inner index runs slowest, and a block of `block_rows` rows of
// op(A) for the second, in tiles of the same order. Each panel is read into the first cache once for
// a block, and meets all of the block's tiles there.

#if defined(__x86_64__)
#include <immintrin.h>

enum { tile_rows = 14, tile_columns = 32, block_rows = 336, block_columns = 1024, depth = 384 };
// A tile is packed by stores of 16 numbers, of which those beyond its rows are written over by the next.
enum { a_floats = block_rows * depth + 16, b_floats = depth * block_columns };

// op(X) as the packing sees it: `count` lines, each along the inner extent. The element c of line i is
// at x[i * stride + c] if lines are contiguous, otherwise at x[c * stride + i].
typedef struct {
  const float *x;
  long stride;
  int contiguous;
} lines;

GLEN_INLINE long least(long a, long b) { return a < b ? a : b; }

#pragma clang attribute push( \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,fma"))), apply_to = function)

GLEN_INLINE __mmask16 first_lanes(long count) {
  return count >= 16 ? 0xffff : (__mmask16)((1u << count) - 1);
}

GLEN_INLINE void transpose(__m512 r[16]) {
  __m512 t[16];
#pragma clang loop unroll(full)
  for (int i = 0; i < 16; i += 4) {
    __m512 low0 = _mm512_unpacklo_ps(r[i], r[i + 1]), high0 = _mm512_unpackhi_ps(r[i], r[i + 1]);
    __m512 low1 = _mm512_unpacklo_ps(r[i + 2], r[i + 3]);
    __m512 high1 = _mm512_unpackhi_ps(r[i + 2], r[i + 3]);
    t[i] = _mm512_shuffle_ps(low0, low1, 0x44);
    t[i + 1] = _mm512_shuffle_ps(low0, low1, 0xee);
    t[i + 2] = _mm512_shuffle_ps(high0, high1, 0x44);
    t[i + 3] = _mm512_shuffle_ps(high0, high1, 0xee);
  }
  // t[4 g + j] has element 4 q + j of rows 4 g to 4 g + 3 in its quarter q.
#pragma clang loop unroll(full)
  for (int j = 0; j < 4; j++) {
    __m512 a = _mm512_shuffle_f32x4(t[j], t[4 + j], 0x88);
    __m512 b = _mm512_shuffle_f32x4(t[8 + j], t[12 + j], 0x88);
    __m512 c = _mm512_shuffle_f32x4(t[j], t[4 + j], 0xdd);
    __m512 d = _mm512_shuffle_f32x4(t[8 + j], t[12 + j], 0xdd);
    r[j] = _mm512_shuffle_f32x4(a, b, 0x88);
    r[8 + j] = _mm512_shuffle_f32x4(a, b, 0xdd);
    r[4 + j] = _mm512_shuffle_f32x4(c, d, 0x88);
    r[12 + j] = _mm512_shuffle_f32x4(c, d, 0xdd);
  }
}

// Packs `count` <= 16 lines from `first` on: element c of line i goes to to[c * step + i]. Writes 16
// numbers for every c, zeros where there is no line.
GLEN_INLINE void pack(lines from, long first, long count, long start, long inner, float *to,
                      long step) {
  if (!from.contiguous) {
    const float *x = from.x + start * from.stride + first;
    __mmask16 mask = first_lanes(count);
    for (long c = 0; c < inner; c++)
      _mm512_storeu_ps(to + c * step, _mm512_maskz_loadu_ps(mask, x + c * from.stride));
    return;
  }
  const float *x = from.x + first * from.stride + start;
  for (long c = 0; c < inner; c += 16) {
    __mmask16 mask = first_lanes(inner - c);
    __m512 rows[16];
#pragma clang loop unroll(full)
    for (int i = 0; i < 16; i++)
      rows[i] = i < count ? _mm512_maskz_loadu_ps(mask, x + i * from.stride + c)
                          : _mm512_setzero_ps();
    transpose(rows);
    if (inner - c >= 16) {
#pragma clang loop unroll(full)
      for (int i = 0; i < 16; i++) _mm512_storeu_ps(to + (c + i) * step, rows[i]);
    } else {
      for (int i = 0; i < inner - c; i++) _mm512_storeu_ps(to + (c + i) * step, rows[i]);
    }
  }
}

typedef struct {
  long inner;
  const float *a, *b;
  float alpha, beta;
  float *c;
  long c_stride, columns;
} tile_arguments;

// `rows` x 16 `vectors` outputs; both are constants where this is called.
GLEN_INLINE void tile(int rows, int vectors, const tile_arguments *p) {
  __m512 sums[tile_rows][2];
#pragma clang loop unroll(full)
  for (int r = 0; r < rows; r++) {
    _mm_prefetch((const char *)(p->c + r * p->c_stride), _MM_HINT_T0);
    if (vectors > 1) _mm_prefetch((const char *)(p->c + r * p->c_stride + 16), _MM_HINT_T0);
#pragma clang loop unroll(full)
    for (int j = 0; j < vectors; j++) sums[r][j] = _mm512_setzero_ps();
  }
  const float *a = p->a, *b = p->b;
  for (long c = 0; c < p->inner; c++, a += rows, b += tile_columns) {
    __m512 right[2];
#pragma clang loop unroll(full)
    for (int j = 0; j < vectors; j++) right[j] = _mm512_loadu_ps(b + 16 * j);
#pragma clang loop unroll(full)
    for (int r = 0; r < rows; r++) {
      __m512 left = _mm512_set1_ps(a[r]);
#pragma clang loop unroll(full)
      for (int j = 0; j < vectors; j++) sums[r][j] = _mm512_fmadd_ps(left, right[j], sums[r][j]);
    }
  }
  __m512 alpha = _mm512_set1_ps(p->alpha), beta = _mm512_set1_ps(p->beta);
#pragma clang loop unroll(full)
  for (int j = 0; j < vectors; j++) {
    __mmask16 mask = first_lanes(p->columns - 16 * j);
#pragma clang loop unroll(full)
    for (int r = 0; r < rows; r++) {
      float *out = p->c + r * p->c_stride + 16 * j;
      __m512 value = _mm512_mul_ps(alpha, sums[r][j]);
      if (p->beta != 0) value = _mm512_fmadd_ps(beta, _mm512_maskz_loadu_ps(mask, out), value);
      _mm512_mask_storeu_ps(out, mask, value);
    }
  }
}

#define CASE(R) \
  case R: \
    if (p->columns > 16) tile(R, 2, p); \
    else tile(R, 1, p); \
    break;

static void any_tile(long rows, const tile_arguments *p) {
  switch (rows) {
    CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6) CASE(7) CASE(8) CASE(9) CASE(10) CASE(11)
    CASE(12) CASE(13) CASE(14)
  }
}

// What one block of rows adds to `n` <= block_columns columns; `p->c` is its first output.
static void block(long rows, long n, lines a, long row, long start, float *packed_a,
                  const float *packed_b, const tile_arguments *whole) {
  tile_arguments p = *whole;
  long tiles = (rows + tile_rows - 1) / tile_rows, height = (rows + tiles - 1) / tiles;
  for (long r = 0; r < rows; r += height) {
    long count = least(height, rows - r);
    pack(a, row + r, count, start, p.inner, packed_a + r * p.inner, count);
  }
  for (long column = 0; column < n; column += tile_columns) {
    p.b = packed_b + column * p.inner;
    p.columns = least(tile_columns, n - column);
    for (long r = 0; r < rows; r += height) {
      p.a = packed_a + r * p.inner;
      p.c = whole->c + r * p.c_stride + column;
      any_tile(least(height, rows - r), &p);
    }
  }
}

static void pack_columns(long n, lines b, long first, long start, long inner, float *packed) {
  for (long column = 0; column < n; column += tile_columns, packed += tile_columns * inner)
    for (long j = 0; j < tile_columns && column + j < n; j += 16)
      pack(b, first + column + j, least(16, n - column - j), start, inner, packed + j,
           tile_columns);
}

#pragma clang attribute pop

static pthread_key_t scratch_key;
static pthread_once_t scratch_once = PTHREAD_ONCE_INIT;
static void make_scratch_key(void) { pthread_key_create(&scratch_key, free); }

// This thread's packed blocks, kept until it ends.
static float *scratch(void) {
  pthread_once(&scratch_once, make_scratch_key);
  float *memory = pthread_getspecific(scratch_key);
  if (memory) return memory;
  if (posix_memalign((void **)&memory, 64, (a_floats + b_floats) * sizeof(float)) != 0) return NULL;
  pthread_setspecific(scratch_key, memory);
  return memory;
}

int glen_large_product(int transpose_a, int transpose_b, long m, long n, long k, float alpha,
                       const float *a, long a_stride, const float *b, long b_stride, float beta,
                       float *c, long c_stride) {
  float *packed_b = glen_kernels() == GLEN_AVX512 ? scratch() : NULL;
  if (!packed_b) return 0;
  float *packed_a = packed_b + b_floats;
  lines left = {a, a_stride, !transpose_a}, right = {b, b_stride, transpose_b};
  long blocks = (m + block_rows - 1) / block_rows, height = blocks ? (m + blocks - 1) / blocks : 0;
  long start = 0;
  // Once even without an inner extent: C = beta C.
  do {
    long inner = least(depth, k - start);
    for (long column = 0; column < n; column += block_columns) {
      long columns = least(block_columns, n - column);
      pack_columns(columns, right, column, start, inner, packed_b);
      for (long row = 0; row < m; row += height) {
        tile_arguments p = {.inner = inner, .alpha = alpha, .beta = start > 0 ? 1 : beta,
                            .c = c + row * c_stride + column, .c_stride = c_stride};
        block(least(height, m - row), columns, left, row, start, packed_a, packed_b, &p);
      }
    }
    start += depth;
  } while (start < k);
  return 1;
}
#else
int glen_large_product(int transpose_a, int transpose_b, long m, long n, long k, float alpha,
                       const float *a, long a_stride, const float *b, long b_stride, float beta,
                       float *c, long c_stride) {
  return 0;
}
#endif

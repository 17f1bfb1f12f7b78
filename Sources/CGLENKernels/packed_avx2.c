#include "packed.h"

#if defined(__x86_64__)
#include <immintrin.h>

// AVX2; packed.c describes the layout.
//
// A few rows of int8 are bound by reading the weights, and multiply bytes as they lie. For more rows
// activations were widened to 16 bits when they were packed: widening a tile's weights too costs less
// than the third instruction that bytes need (Zen 3, 32 rows, one thread: 67 against 59 billion
// multiplications a second).
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)

// What `store` does for the last outputs of a matrix.
__attribute__((noinline)) static void store_rest(const glen_packed_product_arguments *p, long row,
                                                 long first, float factor, const float *sums) {
  float *out = p->out + row * p->out_stride;
  for (long j = first; j < p->outputs; j++) {
    float value = factor * (p->type == GLEN_INT8 ? p->scales[j] : 1) * sums[j - first];
    out[j] = p->beta == 0 ? value : __builtin_fmaf(p->beta, out[j], value);
  }
}

// Scales the sums of eight outputs for one row and writes those of outputs that exist.
GLEN_INLINE void store(int type, const glen_packed_product_arguments *p, long row, long first,
                       __m256 sums) {
  float *out = p->out + row * p->out_stride + first;
  float factor = p->alpha * p->row[row].scale;
  if (first + 8 > p->outputs) {
    float values[8];
    _mm256_storeu_ps(values, sums);
    store_rest(p, row, first, factor, values);
    return;
  }
  __m256 factors = _mm256_set1_ps(factor);
  if (type == GLEN_INT8) factors = _mm256_mul_ps(factors, _mm256_loadu_ps(p->scales + first));
  __m256 value = _mm256_mul_ps(factors, sums);
  if (p->beta != 0)
    value = _mm256_fmadd_ps(_mm256_set1_ps(p->beta), _mm256_loadu_ps(out), value);
  _mm256_storeu_ps(out, value);
}

// A tile of few rows of int8 numbers against a whole panel. `maddubs` multiplies unsigned with signed
// numbers and adds pairs in 16 bits, which saturate: the sign moves from the weights to the activations,
// and as neither goes beyond 127 a pair is at most 2 * 127^2 = 32258.
GLEN_INLINE void byte_tile(int rows, const glen_packed_product_arguments *p, long panel) {
  long groups = glen_group_count(GLEN_INT8, p->inputs);
  const char *a = p->activations;
  const char *w = (const char *)p->weights + panel * groups * GLEN_PANEL * GLEN_GROUP;
  __m256i ones = _mm256_set1_epi16(1), sums[GLEN_NARROW][2];
#pragma clang loop unroll(full)
  for (int r = 0; r < rows; r++) sums[r][0] = sums[r][1] = _mm256_setzero_si256();
  for (long g = 0; g < groups; g++, a += rows * GLEN_GROUP, w += GLEN_PANEL * GLEN_GROUP) {
    _mm_prefetch(w + 2048, _MM_HINT_T0);
#pragma clang loop unroll(full)
    for (int j = 0; j < 2; j++) {
      __m256i right = _mm256_loadu_si256((const __m256i *)(w + 32 * j));
      __m256i magnitudes = _mm256_abs_epi8(right);
#pragma clang loop unroll(full)
      for (int r = 0; r < rows; r++) {
        int32_t four;
        memcpy(&four, a + r * GLEN_GROUP, sizeof four);
        __m256i left = _mm256_sign_epi8(_mm256_set1_epi32(four), right);
        __m256i pairs = _mm256_maddubs_epi16(magnitudes, left);
        sums[r][j] = _mm256_add_epi32(sums[r][j], _mm256_madd_epi16(pairs, ones));
      }
    }
  }
#pragma clang loop unroll(full)
  for (int r = 0; r < rows; r++)
#pragma clang loop unroll(full)
    for (int j = 0; j < 2; j++)
      store(GLEN_INT8, p, r, panel * GLEN_PANEL + 8 * j, _mm256_cvtepi32_ps(sums[r][j]));
}

// A tile of 16-bit numbers against half a panel. Four outputs of int8 weights fill a register when
// widened, and become two sums each.
GLEN_INLINE void int8_tile(int rows, const glen_packed_product_arguments *p, long row, long panel,
                           int half) {
  long groups = glen_group_count(GLEN_INT8, p->inputs);
  const char *w = (const char *)p->weights + panel * groups * GLEN_PANEL * GLEN_GROUP + half * 32;
  const char *a = (const char *)p->activations + row * groups * GLEN_WIDE_GROUP;
  __m256i sums[GLEN_TILE_AVX2][2];
#pragma clang loop unroll(full)
  for (int r = 0; r < rows; r++) sums[r][0] = sums[r][1] = _mm256_setzero_si256();
  for (long g = 0; g < groups; g++, a += rows * GLEN_WIDE_GROUP, w += GLEN_PANEL * GLEN_GROUP) {
    if (row == 0) _mm_prefetch(w + 2048, _MM_HINT_T0);
    __m256i right[2] = {_mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)w)),
                        _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(w + 16)))};
#pragma clang loop unroll(full)
    for (int r = 0; r < rows; r++) {
      int64_t four;
      memcpy(&four, a + r * GLEN_WIDE_GROUP, sizeof four);
      __m256i left = _mm256_set1_epi64x(four);
#pragma clang loop unroll(full)
      for (int j = 0; j < 2; j++)
        sums[r][j] = _mm256_add_epi32(sums[r][j], _mm256_madd_epi16(right[j], left));
    }
  }
#pragma clang loop unroll(full)
  for (int r = 0; r < rows; r++) {
    __m256i pairs = _mm256_hadd_epi32(sums[r][0], sums[r][1]);
    __m256i eight = _mm256_permute4x64_epi64(pairs, 0xd8);
    store(GLEN_INT8, p, row + r, panel * GLEN_PANEL + half * 8, _mm256_cvtepi32_ps(eight));
  }
}

// Adds the products of eight outputs' two bfloat16 numbers with a row's: the first is the lower half.
GLEN_INLINE __m256 add_bfloat16(__m256 sums, __m256i weights, __m256i activations) {
  __m256i high = _mm256_set1_epi32((int)0xffff0000);
  sums = _mm256_fmadd_ps(_mm256_castsi256_ps(_mm256_slli_epi32(weights, 16)),
                         _mm256_castsi256_ps(_mm256_slli_epi32(activations, 16)), sums);
  return _mm256_fmadd_ps(_mm256_castsi256_ps(_mm256_and_si256(weights, high)),
                         _mm256_castsi256_ps(_mm256_and_si256(activations, high)), sums);
}

// A tile of bfloat16 numbers against a whole panel.
GLEN_INLINE void bfloat16_tile(int rows, const glen_packed_product_arguments *p, long row,
                               long panel) {
  long groups = glen_group_count(GLEN_BFLOAT16, p->inputs);
  const char *a = (const char *)p->activations + row * groups * GLEN_GROUP;
  const char *w = (const char *)p->weights + panel * groups * GLEN_PANEL * GLEN_GROUP;
  __m256 sums[GLEN_TILE_AVX2_BFLOAT16][2];
#pragma clang loop unroll(full)
  for (int r = 0; r < rows; r++) sums[r][0] = sums[r][1] = _mm256_setzero_ps();
  for (long g = 0; g < groups; g++, a += rows * GLEN_GROUP, w += GLEN_PANEL * GLEN_GROUP) {
    __m256i right[2] = {_mm256_loadu_si256((const __m256i *)w),
                        _mm256_loadu_si256((const __m256i *)(w + 32))};
    _mm_prefetch(w + 2048, _MM_HINT_T0);
#pragma clang loop unroll(full)
    for (int r = 0; r < rows; r++) {
      int32_t two;
      memcpy(&two, a + r * GLEN_GROUP, sizeof two);
#pragma clang loop unroll(full)
      for (int j = 0; j < 2; j++)
        sums[r][j] = add_bfloat16(sums[r][j], right[j], _mm256_set1_epi32(two));
    }
  }
#pragma clang loop unroll(full)
  for (int r = 0; r < rows; r++)
#pragma clang loop unroll(full)
    for (int j = 0; j < 2; j++)
      store(GLEN_BFLOAT16, p, row + r, panel * GLEN_PANEL + 8 * j, sums[r][j]);
}

// Tiles have constant extents, so that their sums stay in registers.
static void int8_panel(const glen_packed_product_arguments *p, long panel) {
  if (p->rows <= GLEN_NARROW) {
    switch (p->rows) {
      case 1: byte_tile(1, p, panel); break;
      case 2: byte_tile(2, p, panel); break;
      case 3: byte_tile(3, p, panel); break;
    }
    return;
  }
  long height = glen_tile_height(p->rows, GLEN_TILE_AVX2);
  for (int half = 0; half < 2; half++) {
    for (long row = 0; row < p->rows; row += height) {
      switch (p->rows - row < height ? p->rows - row : height) {
        case 1: int8_tile(1, p, row, panel, half); break;
        case 2: int8_tile(2, p, row, panel, half); break;
        case 3: int8_tile(3, p, row, panel, half); break;
        case 4: int8_tile(4, p, row, panel, half); break;
        case 5: int8_tile(5, p, row, panel, half); break;
        default: int8_tile(6, p, row, panel, half); break;
      }
    }
  }
}

static void bfloat16_panel(const glen_packed_product_arguments *p, long panel) {
  long height = glen_tile_height(p->rows, GLEN_TILE_AVX2_BFLOAT16);
  for (long row = 0; row < p->rows; row += height) {
    switch (p->rows - row < height ? p->rows - row : height) {
      case 1: bfloat16_tile(1, p, row, panel); break;
      case 2: bfloat16_tile(2, p, row, panel); break;
      case 3: bfloat16_tile(3, p, row, panel); break;
      default: bfloat16_tile(4, p, row, panel); break;
    }
  }
}

void glen_packed_product_avx2(const glen_packed_product_arguments *p) {
  for (long panel = p->first; panel < p->last; panel++) {
    if (p->type == GLEN_INT8) {
      int8_panel(p, panel);
    } else {
      bfloat16_panel(p, panel);
    }
  }
}

#pragma clang attribute pop
#endif

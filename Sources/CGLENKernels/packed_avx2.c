#include "packed.h"

#if defined(__x86_64__)
#include <immintrin.h>

// AVX2; packed.c describes the layout. A panel is two registers of sums.
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)

// Adds the products of eight outputs' four int8 numbers with a row's. `maddubs` multiplies unsigned
// with signed numbers and adds pairs in 16 bits, which saturate: the sign moves from the activations
// to the weights, and as neither goes beyond 127 a pair is at most 2 * 127^2 = 32258.
GLEN_INLINE __m256i add_int8(__m256i sums, __m256i weights, __m256i activations) {
  __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(activations),
                                       _mm256_sign_epi8(weights, activations));
  return _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

// The same for two bfloat16 numbers: the first is the lower half.
GLEN_INLINE __m256i add_bfloat16(__m256i sums, __m256i weights, __m256i activations) {
  __m256i high = _mm256_set1_epi32((int)0xffff0000);
  __m256 result = _mm256_fmadd_ps(_mm256_castsi256_ps(_mm256_slli_epi32(weights, 16)),
                                  _mm256_castsi256_ps(_mm256_slli_epi32(activations, 16)),
                                  _mm256_castsi256_ps(sums));
  result = _mm256_fmadd_ps(_mm256_castsi256_ps(_mm256_and_si256(weights, high)),
                           _mm256_castsi256_ps(_mm256_and_si256(activations, high)), result);
  return _mm256_castps_si256(result);
}

GLEN_INLINE void tile(int type, int rows, const glen_packed_product_arguments *p, long row,
                      long panel) {
  long groups = glen_group_count(type, p->inputs);
  const char *a = (const char *)p->activations + row * groups * GLEN_GROUP;
  const char *w = (const char *)p->weights + panel * groups * GLEN_PANEL * GLEN_GROUP;
  __m256i sums[GLEN_TILE_AVX2][2];
#pragma clang loop unroll(full)
  for (int r = 0; r < rows; r++) sums[r][0] = sums[r][1] = _mm256_setzero_si256();
  for (long g = 0; g < groups; g++, a += rows * GLEN_GROUP, w += GLEN_PANEL * GLEN_GROUP) {
    __m256i right[2] = {_mm256_loadu_si256((const __m256i *)w),
                        _mm256_loadu_si256((const __m256i *)(w + 32))};
    _mm_prefetch(w + 2048, _MM_HINT_T0);
#pragma clang loop unroll(full)
    for (int r = 0; r < rows; r++) {
      int32_t four;
      memcpy(&four, a + r * GLEN_GROUP, 4);
      __m256i left = _mm256_set1_epi32(four);
#pragma clang loop unroll(full)
      for (int j = 0; j < 2; j++)
        sums[r][j] = type == GLEN_INT8 ? add_int8(sums[r][j], right[j], left)
                                       : add_bfloat16(sums[r][j], right[j], left);
    }
  }
  long first = panel * GLEN_PANEL;
  for (int r = 0; r < rows; r++) {
    float values[GLEN_PANEL];
    for (int j = 0; j < 2; j++)
      _mm256_storeu_ps(values + 8 * j, type == GLEN_INT8 ? _mm256_cvtepi32_ps(sums[r][j])
                                                         : _mm256_castsi256_ps(sums[r][j]));
    glen_store_panel(type, p, row + r, first, values);
  }
}

GLEN_INLINE void product(int type, const glen_packed_product_arguments *p) {
  long height = glen_tile_height(p->rows, GLEN_TILE_AVX2);
  for (long panel = p->first; panel < p->last; panel++) {
    for (long row = 0; row < p->rows; row += height) {
      switch (p->rows - row < height ? p->rows - row : height) {
        case 1: tile(type, 1, p, row, panel); break;
        case 2: tile(type, 2, p, row, panel); break;
        case 3: tile(type, 3, p, row, panel); break;
        default: tile(type, 4, p, row, panel); break;
      }
    }
  }
}

void glen_packed_product_avx2(const glen_packed_product_arguments *p) {
  if (p->type == GLEN_INT8) {
    product(GLEN_INT8, p);
  } else {
    product(GLEN_BFLOAT16, p);
  }
}

#pragma clang attribute pop
#endif

#include "packed.h"

#if defined(__x86_64__)
#include <immintrin.h>

// AVX-512 with VNNI for int8 and with BF16 for bfloat16; packed.c describes the layout.
#pragma clang attribute push( \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512bf16"))), \
    apply_to = function)

// Adds the products of a group's weights with a row's four bytes. VNNI multiplies unsigned with signed
// numbers: weights come in with 128 added, and the row's sums begin at -128 times its sum.
GLEN_INLINE __m512i add_products(int type, __m512i sums, __m512i weights, __m512i activations) {
  if (type == GLEN_INT8) return _mm512_dpbusd_epi32(sums, weights, activations);
  return _mm512_castps_si512(_mm512_dpbf16_ps(
      _mm512_castsi512_ps(sums), (__m512bh)weights, (__m512bh)activations));
}

// `rows` x `panels` of outputs; both are constants where this is called, so that the sums stay in
// registers.
GLEN_INLINE void tile(int type, int rows, int panels, const glen_packed_product_arguments *p,
                      long row, long panel) {
  long groups = glen_group_count(type, p->inputs), panel_bytes = groups * GLEN_PANEL * GLEN_GROUP;
  const char *a = (const char *)p->activations + row * groups * GLEN_GROUP;
  const char *w = (const char *)p->weights + panel * panel_bytes;
  __m512i sums[12][2];
#pragma clang loop unroll(full)
  for (int r = 0; r < rows; r++)
#pragma clang loop unroll(full)
    for (int j = 0; j < panels; j++) sums[r][j] = _mm512_set1_epi32(p->row[row + r].start);
  for (long g = 0; g < groups; g++, a += rows * GLEN_GROUP, w += GLEN_PANEL * GLEN_GROUP) {
    __m512i right[2];
#pragma clang loop unroll(full)
    for (int j = 0; j < panels; j++) {
      right[j] = _mm512_loadu_si512(w + j * panel_bytes);
      if (type == GLEN_INT8) right[j] = _mm512_xor_si512(right[j], _mm512_set1_epi8(-128));
      // The panels follow each other: fetching ahead crosses into the next one.
      _mm_prefetch(w + j * panel_bytes + 2048, _MM_HINT_T0);
    }
#pragma clang loop unroll(full)
    for (int r = 0; r < rows; r++) {
      int32_t four;
      memcpy(&four, a + r * GLEN_GROUP, 4);
      __m512i left = _mm512_set1_epi32(four);
#pragma clang loop unroll(full)
      for (int j = 0; j < panels; j++) sums[r][j] = add_products(type, sums[r][j], right[j], left);
    }
  }
#pragma clang loop unroll(full)
  for (int j = 0; j < panels; j++) {
    long column = (panel + j) * GLEN_PANEL, rest = p->outputs - column;
    __mmask16 mask = rest >= GLEN_PANEL ? 0xffff : (__mmask16)((1u << rest) - 1);
    __m512 scales = type == GLEN_INT8 ? _mm512_maskz_loadu_ps(mask, p->scales + column)
                                      : _mm512_set1_ps(1);
#pragma clang loop unroll(full)
    for (int r = 0; r < rows; r++) {
      float *out = p->out + (row + r) * p->out_stride + column;
      __m512 sum = type == GLEN_INT8 ? _mm512_cvtepi32_ps(sums[r][j])
                                     : _mm512_castsi512_ps(sums[r][j]);
      __m512 factor = _mm512_mul_ps(_mm512_set1_ps(p->alpha * p->row[row + r].scale), scales);
      __m512 value = _mm512_mul_ps(factor, sum);
      if (p->beta != 0)
        value = _mm512_fmadd_ps(_mm512_set1_ps(p->beta), _mm512_maskz_loadu_ps(mask, out), value);
      _mm512_mask_storeu_ps(out, mask, value);
    }
  }
}

#define CASE(R) \
  case R: tile(type, R, panels, p, row, panel); break;

GLEN_INLINE void tile_rows(int type, int panels, long count,
                           const glen_packed_product_arguments *p, long row, long panel) {
  switch (count) {
    CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6) CASE(7) CASE(8) CASE(9) CASE(10) CASE(11)
    CASE(12)
  }
}

GLEN_INLINE void product(int type, const glen_packed_product_arguments *p) {
  long height = glen_tile_height(p->rows, GLEN_TILE_AVX512);
  long panel = p->first;
  // Two panels a tile where there are rows enough to fill the time of loading them.
  for (; height > 8 && panel + 2 <= p->last; panel += 2)
    for (long row = 0; row < p->rows; row += height)
      tile_rows(type, 2, p->rows - row < height ? p->rows - row : height, p, row, panel);
  for (; panel < p->last; panel++)
    for (long row = 0; row < p->rows; row += height)
      tile_rows(type, 1, p->rows - row < height ? p->rows - row : height, p, row, panel);
}

void glen_packed_product_avx512(const glen_packed_product_arguments *p) {
  if (p->type == GLEN_INT8) {
    product(GLEN_INT8, p);
  } else {
    product(GLEN_BFLOAT16, p);
  }
}

#pragma clang attribute pop
#endif

#include "packed.h"

#if defined(__aarch64__)
#include <arm_neon.h>

// Neon with the dot-product extension; packed.c describes the layout. A panel is four registers of
// sums. Run on QEMU (Scripts/check-arm), and not on a processor yet.
#pragma clang attribute push(__attribute__((target("dotprod"))), apply_to = function)

// Adds the products of four outputs' groups with a row's four bytes.
GLEN_INLINE int32x4_t add_products(int type, int32x4_t sums, int8x16_t weights,
                                   int32x4_t activations) {
  if (type == GLEN_INT8) return vdotq_s32(sums, weights, vreinterpretq_s8_s32(activations));
  // Two bfloat16 numbers: the first is the lower half.
  int32x4_t right = vreinterpretq_s32_s8(weights), high = vdupq_n_s32((int32_t)0xffff0000);
  float32x4_t result = vfmaq_f32(vreinterpretq_f32_s32(sums),
                                 vreinterpretq_f32_s32(vshlq_n_s32(right, 16)),
                                 vreinterpretq_f32_s32(vshlq_n_s32(activations, 16)));
  result = vfmaq_f32(result, vreinterpretq_f32_s32(vandq_s32(right, high)),
                     vreinterpretq_f32_s32(vandq_s32(activations, high)));
  return vreinterpretq_s32_f32(result);
}

GLEN_INLINE void tile(int type, int rows, const glen_packed_product_arguments *p, long row,
                      long panel) {
  long groups = glen_group_count(type, p->inputs);
  const char *a = (const char *)p->activations + row * groups * GLEN_GROUP;
  const int8_t *w = (const int8_t *)p->weights + panel * groups * GLEN_PANEL * GLEN_GROUP;
  int32x4_t sums[GLEN_TILE_NEON][4];
#pragma clang loop unroll(full)
  for (int r = 0; r < rows; r++)
#pragma clang loop unroll(full)
    for (int j = 0; j < 4; j++) sums[r][j] = vdupq_n_s32(0);
  for (long g = 0; g < groups; g++, a += rows * GLEN_GROUP, w += GLEN_PANEL * GLEN_GROUP) {
    int8x16_t right[4];
#pragma clang loop unroll(full)
    for (int j = 0; j < 4; j++) right[j] = vld1q_s8(w + 16 * j);
#pragma clang loop unroll(full)
    for (int r = 0; r < rows; r++) {
      int32_t four;
      memcpy(&four, a + r * GLEN_GROUP, 4);
      int32x4_t left = vdupq_n_s32(four);
#pragma clang loop unroll(full)
      for (int j = 0; j < 4; j++) sums[r][j] = add_products(type, sums[r][j], right[j], left);
    }
  }
  long first = panel * GLEN_PANEL;
  for (int r = 0; r < rows; r++) {
    float values[GLEN_PANEL];
    for (int j = 0; j < 4; j++)
      vst1q_f32(values + 4 * j, type == GLEN_INT8 ? vcvtq_f32_s32(sums[r][j])
                                                  : vreinterpretq_f32_s32(sums[r][j]));
    glen_store_panel(type, p, row + r, first, values);
  }
}

GLEN_INLINE void product(int type, const glen_packed_product_arguments *p) {
  long height = glen_tile_height(p->rows, GLEN_TILE_NEON);
  for (long panel = p->first; panel < p->last; panel++) {
    for (long row = 0; row < p->rows; row += height) {
      switch (p->rows - row < height ? p->rows - row : height) {
        case 1: tile(type, 1, p, row, panel); break;
        case 2: tile(type, 2, p, row, panel); break;
        case 3: tile(type, 3, p, row, panel); break;
        case 4: tile(type, 4, p, row, panel); break;
        case 5: tile(type, 5, p, row, panel); break;
        default: tile(type, 6, p, row, panel); break;
      }
    }
  }
}

void glen_packed_product_neon(const glen_packed_product_arguments *p) {
  if (p->type == GLEN_INT8) {
    product(GLEN_INT8, p);
  } else {
    product(GLEN_BFLOAT16, p);
  }
}

#pragma clang attribute pop
#endif

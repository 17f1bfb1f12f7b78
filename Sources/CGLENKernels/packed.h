// What the files of the packed products share; packed.c describes the layout.
#ifndef GLEN_PACKED_H
#define GLEN_PACKED_H

#include "glen_kernels.h"
#include "vector_math.h"

// The outputs of a panel, the bytes of a group, and of one of activations in 16 bits.
enum { GLEN_PANEL = 16, GLEN_GROUP = 4, GLEN_WIDE_GROUP = 8 };

// The products of one instruction set, for rows that were packed in tiles of at most as many.
void glen_packed_product_portable(const glen_packed_product_arguments *p);
void glen_packed_product_neon(const glen_packed_product_arguments *p);
void glen_packed_product_avx2(const glen_packed_product_arguments *p);
void glen_packed_product_avx512(const glen_packed_product_arguments *p);
enum {
  GLEN_TILE_PORTABLE = 4,
  GLEN_TILE_NEON = 6,
  GLEN_TILE_AVX2 = 6,
  GLEN_TILE_AVX2_BFLOAT16 = 4,
  GLEN_TILE_AVX512 = 12
};

// Up to this many rows of int8 activations AVX2 takes as bytes, more in 16 bits.
enum { GLEN_NARROW = 3 };

// How many groups a row has.
GLEN_INLINE long glen_group_count(int type, long inputs) {
  long numbers = type == GLEN_INT8 ? 4 : 2;
  return (inputs + numbers - 1) / numbers;
}

// The height of tiles that cover the rows evenly: 16 rows in tiles of at most 12 are 8 + 8.
GLEN_INLINE long glen_tile_height(long rows, long most) {
  long tiles = (rows + most - 1) / most;
  return tiles ? (rows + tiles - 1) / tiles : 1;
}

// A bfloat16 is the upper half of a float32.
GLEN_INLINE float glen_from_bfloat16(uint16_t half) {
  uint32_t bits = (uint32_t)half << 16;
  float value;
  memcpy(&value, &bits, 4);
  return value;
}

// Scales a panel's sums for one row and writes those of outputs that exist.
GLEN_INLINE void glen_store_panel(int type, const glen_packed_product_arguments *p, long row,
                                  long first, const float *sums) {
  float *out = p->out + row * p->out_stride + first;
  float factor = p->alpha * p->row[row].scale;
  for (long j = 0; j < GLEN_PANEL && first + j < p->outputs; j++) {
    float value = (type == GLEN_INT8 ? factor * p->scales[first + j] : factor) * sums[j];
    out[j] = p->beta == 0 ? value : value + p->beta * out[j];
  }
}

#endif

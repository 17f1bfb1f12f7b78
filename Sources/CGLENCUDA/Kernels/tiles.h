// Tiles of bfloat16 in shared memory, and their products by the units that multiply matrices: 64 x 64, by
// four warps with 16 rows each, summed in float32.
//
// A factor is read by rows or by columns as it lies there (`glen_matrices`, `glen_transposes`), and rows
// of 36 words put what a warp reads at once into different banks. Sixteen columns are a step, because
// that is what the units sum over.
#ifndef GLEN_TILES_H
#define GLEN_TILES_H

#include "device.h"

namespace glen_bf16 {

enum { TILE = 64, WORDS = 36, THREADS = 128, STEP = 16, STEPS = TILE / STEP, PARTS = TILE / 8 };

struct alignas(16) factor {
  unsigned words[TILE][WORDS];
};

// Begins to copy a tile's rows; zero where there is none.
GLEN_DEVICE void fetch(factor &tile, const unsigned short *from, long stride, long rows,
                       long width) {
#pragma unroll
  for (int i = 0; i < TILE * 8 / THREADS; i++) {
    int row = (i * THREADS + glen_thread()) / 8, column = glen_thread() % 8 * 8;
    bool is_there = row < rows && column < width;
    glen_fetch(&tile.words[row][column / 2], is_there ? from + row * stride + column : from,
               is_there);
  }
}

// Which part of a product is this thread's: of the warp's rows the `row`th and the eighth after it,
// and of eight columns number 2 `pair` and the next.
GLEN_DEVICE int lane() { return glen_thread() % 32; }
GLEN_DEVICE int warp_row() { return glen_thread() / 32 * 16 + lane() / 4; }
GLEN_DEVICE int pair() { return glen_thread() % 4; }

// The warp's rows of a left factor.
GLEN_DEVICE void take(const factor &tile, unsigned (&left)[STEPS][4]) {
  int row = glen_thread() / 32 * 16 + lane() % 16;
#pragma unroll
  for (int step = 0; step < STEPS; step++)
    glen_matrices(left[step], &tile.words[row][step * 8 + lane() / 16 * 4]);
}

// Sixteen columns of a product, as a step of the left factor of the next.
GLEN_DEVICE void take(const float (&upper)[4], const float (&lower)[4], unsigned (&left)[4]) {
  left[0] = glen_pair(upper[0], upper[1]);
  left[1] = glen_pair(upper[2], upper[3]);
  left[2] = glen_pair(lower[0], lower[1]);
  left[3] = glen_pair(lower[2], lower[3]);
}

// Two parts of a product, left right', of sixteen rows of `right` from the given one.
GLEN_DEVICE void multiply(const unsigned (&left)[STEPS][4], const factor &right, int row,
                          float (&first)[4], float (&second)[4]) {
  row += lane() / 16 * 8 + lane() % 8;
#pragma unroll
  for (int i = 0; i < 4; i++) first[i] = second[i] = 0;
#pragma unroll
  for (int step = 0; step < STEPS; step++) {
    unsigned words[4];
    glen_matrices(words, &right.words[row][step * 8 + lane() / 8 % 2 * 4]);
    glen_multiply(first, left[step], words[0], words[1]);
    glen_multiply(second, left[step], words[2], words[3]);
  }
}

// product += left right, of a step of the left factor and sixteen rows of `right` from the given one.
GLEN_DEVICE void multiply_rows(const unsigned (&left)[4], const factor &right, int row,
                               float (&product)[PARTS][4]) {
  row += lane() % 16;
#pragma unroll
  for (int part = 0; part < PARTS; part += 2) {
    unsigned words[4];
    glen_transposes(words, &right.words[row][(part + lane() / 16) * 4]);
    glen_multiply(product[part], left, words[0], words[1]);
    glen_multiply(product[part + 1], left, words[2], words[3]);
  }
}

GLEN_DEVICE void clear(float (&product)[PARTS][4]) {
#pragma unroll
  for (int part = 0; part < PARTS; part++)
#pragma unroll
    for (int i = 0; i < 4; i++) product[part][i] = 0;
}

}  // namespace glen_bf16

#endif

#include "device.h"

GLEN_KERNEL(glen_gather, const float *table, const int *rows, float *out, long width) {
  const float *from = table + (long)rows[glen_block().x] * width;
  float *to = out + glen_block().x * width;
  for (long i = glen_first(); i < width; i += glen_step()) to[i] = from[i];
}

// table[rows[r]] += x[r]. The block of the first r that names a row adds all that name it, in their
// order; the others leave. So no two blocks write the same row, and each sum has one order.
GLEN_KERNEL(glen_scatter_add, const float *x, const int *rows, long count, float *table,
            long width) {
  long own = glen_block().x;
  int row = rows[own];
  for (long start = 0; start < own; start += glen_threads()) {
    long r = start + glen_thread();
    if (glen_any(r < own && rows[r] == row)) return;
  }
  GLEN_SHARED unsigned char names[GLEN_THREADS];
  for (long start = own; start < count; start += glen_threads()) {
    long r = start + glen_thread();
    bool is_named = r < count && rows[r] == row;
    names[glen_thread()] = is_named;
    if (!glen_any(is_named)) continue;
    for (int other = 0; other < glen_threads(); other++) {
      if (!names[other]) continue;
      for (long i = glen_first(); i < width; i += glen_step())
        table[row * width + i] += x[(start + other) * width + i];
    }
    glen_barrier();
  }
}

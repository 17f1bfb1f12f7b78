#include "device.h"

// Sums in double, in an order that the extents alone decide: each block makes one part, and one
// block adds the parts.

GLEN_KERNEL(glen_sum_parts, const float *x, long count, int squares, double *parts) {
  double sum = 0;
  GLEN_EACH(i, count) sum += squares ? (double)x[i] * x[i] : x[i];
  sum = glen_sum(sum);
  if (glen_thread() == 0) parts[glen_block().x] = sum;
}

GLEN_KERNEL(glen_sum_of_parts, const double *parts, long count, float scale, float *out) {
  double sum = 0;
  for (long i = glen_thread(); i < count; i += glen_threads()) sum += parts[i];
  sum = glen_sum(sum);
  if (glen_thread() == 0) *out = (float)(sum * scale);
}

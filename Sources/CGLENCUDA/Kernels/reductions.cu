#include "device.h"
#include "glen_parameters.h"

// Sums in double, in an order that the extents alone decide: each block makes one part, and one
// block adds the parts.

GLEN_KERNEL(glen_sum_parts, const float *x, long count, double *parts) {
  double sum = 0;
  GLEN_EACH(i, count) sum += x[i];
  sum = glen_sum(sum);
  if (glen_thread() == 0) parts[glen_block().x] = sum;
}

GLEN_KERNEL(glen_sum_of_parts, const double *parts, long count, float scale, float *out) {
  double sum = 0;
  for (long i = glen_thread(); i < count; i += glen_threads()) sum += parts[i];
  sum = glen_sum(sum);
  if (glen_thread() == 0) *out = (float)(sum * scale);
}

// The same of several runs in one grid, a part for each block; then a block for each run.
GLEN_KERNEL(glen_squares_parts, const glen_squares_run *runs, long count, double *parts) {
  long index = glen_owner(runs, count);
  glen_squares_run run = runs[index];
  long first = glen_block_of(runs, index) * glen_squares_elements;
  long end = first + glen_squares_elements < run.count ? first + glen_squares_elements : run.count;
  double sum = 0;
  for (long i = first + glen_thread(); i < end; i += glen_threads())
    sum += (double)run.x[i] * run.x[i];
  sum = glen_sum(sum);
  if (glen_thread() == 0) parts[glen_block().x] = sum;
}

GLEN_KERNEL(glen_squares_of_parts, const glen_squares_run *runs, const double *parts, float *out) {
  long index = glen_block().x, first = index > 0 ? runs[index - 1].end : 0;
  double sum = 0;
  for (long i = first + glen_thread(); i < runs[index].end; i += glen_threads()) sum += parts[i];
  sum = glen_sum(sum);
  if (glen_thread() == 0) out[index] = (float)sum;
}

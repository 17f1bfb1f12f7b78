#include "device.h"

// One block a row. A row is read once for its maximum and its sum of exponentials together, and
// once to write the result.

struct glen_softmax_parts {
  float max, sum;
};

// The greatest x + mask, and the sum of exp(scale (x + mask - greatest)). What is not a number
// makes the sum none; a row of nothing but -infinity has the sum 0.
GLEN_DEVICE glen_softmax_parts glen_softmax_row(const float *x, const float *mask, float scale,
                                                long width) {
  float max = -GLEN_INFINITY, sum = 0;
  for (long i = glen_thread(); i < width; i += glen_threads()) {
    float value = mask ? x[i] + mask[i] : x[i];
    if (value > max) {
      sum = sum * expf((max - value) * scale) + 1;
      max = value;
    } else if (value != -GLEN_INFINITY) {
      sum += expf((value - max) * scale);
    }
  }
  float greatest = glen_max(max);
  // A thread that saw nothing has the sum 0, or what is not a number; it must not become one.
  float own = max == greatest ? sum : sum * expf((max - greatest) * scale);
  return {greatest, glen_sum(own)};
}

GLEN_KERNEL(glen_softmax, float *x, const float *mask, float scale, long width) {
  float *row = x + glen_block().x * width;
  glen_softmax_parts parts = glen_softmax_row(row, mask, scale, width);
  float inverse = 1 / parts.sum;
  for (long i = glen_thread(); i < width; i += glen_threads())
    row[i] = expf(((mask ? row[i] + mask[i] : row[i]) - parts.max) * scale) * inverse;
}

// dy = scale y (dy - sum(y dy)).
GLEN_KERNEL(glen_softmax_backward, const float *y, float *dy, float scale, long width) {
  long first = glen_block().x * width;
  float sum = 0;
  for (long i = glen_thread(); i < width; i += glen_threads()) sum += y[first + i] * dy[first + i];
  sum = glen_sum(sum);
  for (long i = first + glen_thread(); i < first + width; i += glen_threads())
    dy[i] = scale * y[i] * (dy[i] - sum);
}

GLEN_KERNEL(glen_cross_entropy, float *x, const int *targets, float scale, float *losses,
            long width) {
  float *row = x + glen_block().x * width;
  int target = targets[glen_block().x];
  if (target < 0) {
    if (glen_thread() == 0) losses[glen_block().x] = 0;
    for (long i = glen_thread(); i < width; i += glen_threads()) row[i] = 0;
    return;
  }
  glen_softmax_parts parts = glen_softmax_row(row, 0, 1, width);
  if (glen_thread() == 0) losses[glen_block().x] = logf(parts.sum) + (parts.max - row[target]);
  glen_barrier();
  float factor = scale / parts.sum;
  for (long i = glen_thread(); i < width; i += glen_threads())
    row[i] = expf(row[i] - parts.max) * factor - (i == target ? scale : 0);
}

// Equal values: the first column wins. A row without a number, or all masked, gives column 0.
GLEN_KERNEL(glen_arg_max, const float *x, const float *mask, int *indices, float *values,
            long width) {
  const float *row = x + glen_block().x * width;
  struct best {
    float value;
    int index;
  };
  best mine = {-GLEN_INFINITY, 0};
  for (long i = glen_thread(); i < width; i += glen_threads())
    if ((!mask || mask[i] == 0) && row[i] > mine.value) mine = {row[i], (int)i};
  float greatest = glen_max(mine.value);
  // Of the threads that hold it, the least index; as a float it would lose digits.
  GLEN_SHARED int parts[GLEN_THREADS / 32];
  int index = mine.value == greatest && greatest > -GLEN_INFINITY ? mine.index : 0x7fffffff;
  index = glen_reduce(index, parts, [](int a, int b) { return b < a ? b : a; });
  if (glen_thread() == 0) {
    indices[glen_block().x] = greatest > -GLEN_INFINITY ? index : 0;
    values[glen_block().x] = greatest;
  }
}

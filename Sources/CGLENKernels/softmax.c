#include "glen_kernels.h"
#include "vector_math.h"

GLEN_KERNEL(void, glen_softmax, (long rows, long width, float scale, const float *mask, float *x),
            (rows, width, scale, mask, x)) {
  for (long r = 0; r < rows; r++) {
    float *row = x + r * width;
    if (mask) {
      for (long i = 0; i < width; i++) row[i] += mask[i];
    }
    float max = row_max(width, row, 0);
    float sum = 0;
    for (long i = 0; i < width; i++) {
      float e = glen_exp((row[i] - max) * scale);
      row[i] = e;
      sum += e;
    }
    float inverse = 1 / sum;
    for (long i = 0; i < width; i++) row[i] *= inverse;
  }
}

GLEN_KERNEL(void, glen_softmax_backward,
            (long rows, long width, float scale, const float *restrict y, float *restrict dy),
            (rows, width, scale, y, dy)) {
  for (long r = 0; r < rows; r++) {
    const float *yr = y + r * width;
    float *dyr = dy + r * width;
    float sum = 0;
    for (long i = 0; i < width; i++) sum += yr[i] * dyr[i];
    for (long i = 0; i < width; i++) dyr[i] = scale * yr[i] * (dyr[i] - sum);
  }
}

// log(sum) - (chosen - max): a small loss of great logits keeps its digits, in this order alone.
GLEN_INLINE float loss_of(float sum, float max, float chosen) {
#pragma clang fp reassociate(off)
  float behind = max - chosen;
  return logf(sum) + behind;
}

GLEN_KERNEL(void, glen_cross_entropy,
            (long rows, long width, float scale, const int32_t *targets, float *x, float *losses),
            (rows, width, scale, targets, x, losses)) {
  for (long r = 0; r < rows; r++) {
    float *row = x + r * width;
    int32_t target = targets[r];
    if (target < 0) {
      losses[r] = 0;
      for (long i = 0; i < width; i++) row[i] = 0;
      continue;
    }
    float max = row_max(width, row, 0);
    float chosen = row[target];
    float sum = 0;
    for (long i = 0; i < width; i++) {
      float e = glen_exp(row[i] - max);
      row[i] = e;
      sum += e;
    }
    losses[r] = loss_of(sum, max, chosen);
    float factor = scale / sum;
    for (long i = 0; i < width; i++) row[i] *= factor;
    row[target] -= scale;
  }
}

// Equal values: the first column wins. A row that holds no number, or only masked columns, gives
// column 0.
GLEN_KERNEL(void, glen_arg_max,
            (long rows, long width, const float *mask, const float *x, int32_t *arg, float *value),
            (rows, width, mask, x, arg, value)) {
  for (long r = 0; r < rows; r++) {
    const float *row = x + r * width;
    float max = mask ? row_max(width, row, mask) : row_max(width, row, 0);
    // Whole blocks without the maximum are passed over at once.
    enum { block = 64 };
    long start = 0;
    for (int any = 0; start + block <= width; start += block) {
      for (int i = 0; i < block; i++) any |= row[start + i] == max;
      if (any) break;
    }
    long found = 0;
    for (long i = start; i < width; i++) {
      if (row[i] == max && (!mask || mask[i] == 0)) {
        found = i;
        break;
      }
    }
    arg[r] = (int32_t)found;
    value[r] = max;
  }
}

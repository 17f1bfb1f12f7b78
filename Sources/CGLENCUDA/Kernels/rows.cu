#include "device.h"

// One block, or one column of blocks, a row.

GLEN_KERNEL(glen_copy_rows, const float *x, long x_stride, float *y, long y_stride, long width,
            int accumulates) {
  const float *from = x + glen_block().x * x_stride;
  float *to = y + glen_block().x * y_stride;
  for (long i = glen_first(); i < width; i += glen_step()) glen_store(to + i, from[i], accumulates);
}

// y = factor y, where a factor of 0 does not read.
GLEN_KERNEL(glen_rescale_rows, float *y, long stride, long width, float factor) {
  float *row = y + glen_block().x * stride;
  for (long i = glen_first(); i < width; i += glen_step())
    row[i] = factor == 0 ? 0 : factor * row[i];
}

GLEN_KERNEL(glen_add_mask, const float *mask, float *x, long width) {
  float *row = x + glen_block().x * width;
  for (long i = glen_first(); i < width; i += glen_step()) row[i] += mask[i];
}

GLEN_KERNEL(glen_row_scale, const float *x, const float *scale, float *y, long width,
            int accumulates) {
  long first = glen_block().x * width;
  float factor = scale[glen_block().x];
  for (long i = glen_first(); i < width; i += glen_step())
    glen_store(y + first + i, factor * x[first + i], accumulates);
}

GLEN_KERNEL(glen_row_dot, const float *a, const float *b, float *out, long width) {
  long first = glen_block().x * width;
  float sum = 0;
  for (long i = glen_thread(); i < width; i += glen_threads()) sum += a[first + i] * b[first + i];
  sum = glen_sum(sum);
  if (glen_thread() == 0) out[glen_block().x] = sum;
}

// y = x inverse weight, inverse = 1 / sqrt(mean(x^2) + epsilon).
GLEN_KERNEL(glen_rms_norm, const float *x, const float *weight, float *y, float *inverse,
            long width, float epsilon) {
  long first = glen_block().x * width;
  float sum = 0;
  for (long i = glen_thread(); i < width; i += glen_threads()) sum += x[first + i] * x[first + i];
  float inv = 1 / sqrtf(glen_sum(sum) / (float)width + epsilon);
  if (glen_thread() == 0) inverse[glen_block().x] = inv;
  for (long i = glen_thread(); i < width; i += glen_threads())
    y[first + i] = x[first + i] * inv * weight[i];
}

// With g = dy weight: dx = inverse g - x inverse^3 mean(g x).
GLEN_KERNEL(glen_rms_norm_backward, const float *x, const float *weight, const float *inverse,
            const float *dy, float *dx, long width, int accumulates) {
  long first = glen_block().x * width;
  float inv = inverse[glen_block().x], sum = 0;
  for (long i = glen_thread(); i < width; i += glen_threads())
    sum += dy[first + i] * weight[i] * x[first + i];
  float common = glen_sum(sum) / (float)width * inv * inv * inv;
  for (long i = glen_thread(); i < width; i += glen_threads())
    glen_store(dx + first + i, inv * dy[first + i] * weight[i] - x[first + i] * common,
               accumulates);
}

// The weight's gradient, sum of dy x inverse, over the rows of part x and the columns of block y;
// glen_add_parts adds the parts in order.
GLEN_KERNEL(glen_rms_norm_weight_parts, const float *x, const float *inverse, const float *dy,
            float *parts, long rows, long width) {
  long part = glen_block().x, first = rows * part / glen_blocks().x;
  long last = rows * (part + 1) / glen_blocks().x;
  for (long i = glen_first(); i < width; i += glen_step()) {
    float sum = 0;
    for (long row = first; row < last; row++)
      sum += dy[row * width + i] * x[row * width + i] * inverse[row];
    parts[part * width + i] = sum;
  }
}

GLEN_KERNEL(glen_add_parts, const float *parts, long count, float *y, long width) {
  GLEN_EACH(i, width) {
    float sum = 0;
    for (long part = 0; part < count; part++) sum += parts[part * width + i];
    y[i] += sum;
  }
}

// In double: near 0 a distance is the difference of two numbers near 1. A zero row has cosine 0.
struct glen_cosine {
  double inverse_a, inverse_b, cosine;
};

GLEN_DEVICE glen_cosine glen_cosine_parts(const float *a, const float *b, long width) {
  double aa = 0, bb = 0, ab = 0;
  for (long i = glen_thread(); i < width; i += glen_threads()) {
    aa += (double)a[i] * a[i];
    bb += (double)b[i] * b[i];
    ab += (double)a[i] * b[i];
  }
  aa = glen_sum(aa);
  bb = glen_sum(bb);
  ab = glen_sum(ab);
  // Written so that a NaN goes through.
  double inverse_a = aa == 0 ? 0 : 1 / sqrt(aa), inverse_b = bb == 0 ? 0 : 1 / sqrt(bb);
  return {inverse_a, inverse_b, ab * inverse_a * inverse_b};
}

GLEN_KERNEL(glen_cosine_distance, const float *a, const float *b, float *out, long width) {
  long first = glen_block().x * width;
  glen_cosine parts = glen_cosine_parts(a + first, b + first, width);
  if (glen_thread() == 0) out[glen_block().x] = (float)(1 - parts.cosine);
}

// d (1 - cos) / da = cos a / |a|^2 - b / (|a| |b|).
GLEN_KERNEL(glen_cosine_distance_backward, const float *a, const float *b, const float *dout,
            float *da, float *db, long width, int accumulates_a, int accumulates_b) {
  long first = glen_block().x * width;
  glen_cosine parts = glen_cosine_parts(a + first, b + first, width);
  double d = dout[glen_block().x];
  double both = d * parts.inverse_a * parts.inverse_b;
  double own_a = d * parts.cosine * parts.inverse_a * parts.inverse_a;
  double own_b = d * parts.cosine * parts.inverse_b * parts.inverse_b;
  for (long i = first + glen_thread(); i < first + width; i += glen_threads()) {
    float of_a = (float)(own_a * a[i] - both * b[i]), of_b = (float)(own_b * b[i] - both * a[i]);
    glen_store(da + i, of_a, accumulates_a);
    glen_store(db + i, of_b, accumulates_b);
  }
}

#include "device.h"
#include "glen_parameters.h"

// One block, or one column of blocks, a row.

GLEN_KERNEL(glen_copy_rows, const float *x, long x_stride, float *y, long y_stride, long width,
            int accumulates) {
  const float *from = x + glen_block().x * x_stride;
  float *to = y + glen_block().x * y_stride;
  for (long i = glen_first(); i < width; i += glen_step()) glen_store(to + i, from[i], accumulates);
}

// A block takes a row of a step.
GLEN_KERNEL(glen_stack_steps_of, glen_stack s) {
  const float *from = s.steps[glen_block().y] + glen_block().x * s.width;
  float *to = s.stacked + glen_block().x * s.stride + glen_block().y * s.width;
  for (long i = glen_thread(); i < s.width; i += glen_threads()) to[i] = from[i];
}

GLEN_KERNEL(glen_unstack_steps_of, glen_stack s) {
  long step = glen_block().y, first = glen_block().x * s.width;
  const float *from = s.stacked + glen_block().x * s.stride + step * s.width;
  if (!s.steps[step]) return;
  float *to = s.steps[step] + first;
  for (long i = glen_thread(); i < s.width; i += glen_threads()) {
    float value = s.accumulates[step] ? to[i] + from[i] : from[i];
    to[i] = value;
    if (s.rounded[step]) s.rounded[step][first + i] = (unsigned short)glen_pair(value, 0);
  }
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

// y = x inverse weight, inverse = 1 / sqrt(mean(x^2) + epsilon); y as bfloat16, too, or alone.
GLEN_KERNEL(glen_rms_norm, const float *x, const float *weight, float *y, float *inverse,
            long width, float epsilon, unsigned short *rounded) {
  long first = glen_block().x * width;
  float sum = 0;
  for (long i = glen_thread(); i < width; i += glen_threads()) sum += x[first + i] * x[first + i];
  float inv = 1 / sqrtf(glen_sum(sum) / (float)width + epsilon);
  if (glen_thread() == 0) inverse[glen_block().x] = inv;
  for (long i = glen_thread(); i < width; i += glen_threads()) {
    float value = x[first + i] * inv * weight[i];
    if (y) y[first + i] = value;
    if (rounded) rounded[first + i] = (unsigned short)glen_pair(value, 0);
  }
}

// The same for rows of FOURS x 128 columns: a warp has a row in registers, and reads it once.
template <int FOURS>
GLEN_DEVICE void glen_rms_norm_rows(const float *x, const float *weight, float *y, float *inverse,
                                    long rows, float epsilon, glen_two_words *rounded) {
  int lane = glen_thread() % 32;
  long row = (long)glen_block().x * (GLEN_THREADS / 32) + glen_thread() / 32;
  const glen_four *from = (const glen_four *)x + row * FOURS * 32;
  glen_four a[FOURS];
  float sum = 0;
#pragma unroll
  for (int q = 0; q < FOURS; q++) {
    a[q] = row < rows ? from[lane + 32 * q] : glen_four{0, 0, 0, 0};
    sum += a[q].x * a[q].x + a[q].y * a[q].y + a[q].z * a[q].z + a[q].w * a[q].w;
  }
  for (int lanes = 16; lanes > 0; lanes /= 2) sum += glen_exchange(sum, lanes);
  if (row >= rows) return;
  float inv = 1 / sqrtf(sum / (float)(FOURS * 128) + epsilon);
  if (lane == 0) inverse[row] = inv;
#pragma unroll
  for (int q = 0; q < FOURS; q++) {
    glen_four w = ((const glen_four *)weight)[lane + 32 * q];
    glen_four value = {a[q].x * inv * w.x, a[q].y * inv * w.y, a[q].z * inv * w.z,
                       a[q].w * inv * w.w};
    long place = row * FOURS * 32 + lane + 32 * q;
    if (y) ((glen_four *)y)[place] = value;
    if (rounded) rounded[place] = glen_round_four(value);
  }
}

#define GLEN_RMS_NORM(name, FOURS) \
  GLEN_KERNEL(name, const float *x, const float *weight, float *y, float *inverse, long rows, \
              float epsilon, glen_two_words *rounded) { \
    glen_rms_norm_rows<FOURS>(x, weight, y, inverse, rows, epsilon, rounded); \
  }
GLEN_RMS_NORM(glen_rms_norm_256, 2)
GLEN_RMS_NORM(glen_rms_norm_512, 4)
GLEN_RMS_NORM(glen_rms_norm_768, 6)
GLEN_RMS_NORM(glen_rms_norm_1024, 8)

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
// glen_add_parts adds the parts.
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

// Both gradients for rows of FOURS x 128 columns: a warp has a row at a time in registers, and reads
// x and dy once. dx may be where dy is. With `halves`, dy is there as bfloat16 alone; dx is wanted so
// too where it is rounded.
template <int FOURS>
GLEN_DEVICE void glen_rms_norm_gradients(const float *x, const float *weight, const float *inverse,
                                         const float *dy, const unsigned short *halves, float *dx,
                                         float *parts, long rows, int accumulates,
                                         glen_two_words *rounded) {
  constexpr int WARPS = GLEN_THREADS / 32, WIDTH = FOURS * 128;
  GLEN_SHARED glen_four sums[WARPS][FOURS][32];
  int lane = glen_thread() % 32, warp = glen_thread() / 32;
  long own = glen_block().x * WARPS + warp, warps = (long)glen_blocks().x * WARPS;
  glen_four w[FOURS], total[FOURS];
#pragma unroll
  for (int q = 0; q < FOURS; q++) {
    w[q] = ((const glen_four *)weight)[lane + 32 * q];
    total[q] = {0, 0, 0, 0};
  }
  // All threads exchange equally often, also in a warp that has a row less.
  for (long base = 0; base < rows; base += warps) {
    long row = base + own;
    bool is_there = row < rows;
    float inv = is_there ? inverse[row] : 0, sum = 0;
    long start = row * (WIDTH / 4) + lane;
    glen_four a[FOURS], g[FOURS];
#pragma unroll
    for (int q = 0; q < FOURS; q++) {
      a[q] = is_there ? ((const glen_four *)x)[start + 32 * q] : glen_four{0, 0, 0, 0};
      g[q] = is_there ? glen_fours(dy, halves, start + 32 * q) : glen_four{0, 0, 0, 0};
    }
#pragma unroll
    for (int q = 0; q < FOURS; q++) {
      total[q].x += g[q].x * a[q].x * inv;
      total[q].y += g[q].y * a[q].y * inv;
      total[q].z += g[q].z * a[q].z * inv;
      total[q].w += g[q].w * a[q].w * inv;
      g[q] = {g[q].x * w[q].x, g[q].y * w[q].y, g[q].z * w[q].z, g[q].w * w[q].w};
      sum += g[q].x * a[q].x + g[q].y * a[q].y + g[q].z * a[q].z + g[q].w * a[q].w;
    }
    for (int lanes = 16; lanes > 0; lanes /= 2) sum += glen_exchange(sum, lanes);
    float common = sum / (float)WIDTH * inv * inv * inv;
    glen_four *to = (glen_four *)dx + start;
#pragma unroll
    for (int q = 0; q < FOURS; q++) {
      if (!is_there) continue;
      glen_four old = accumulates ? to[32 * q] : glen_four{0, 0, 0, 0};
      glen_four value = {inv * g[q].x - a[q].x * common, inv * g[q].y - a[q].y * common,
                         inv * g[q].z - a[q].z * common, inv * g[q].w - a[q].w * common};
      if (accumulates)
        value = {old.x + value.x, old.y + value.y, old.z + value.z, old.w + value.w};
      to[32 * q] = value;
      if (rounded) rounded[start + 32 * q] = glen_round_four(value);
    }
  }
#pragma unroll
  for (int q = 0; q < FOURS; q++) sums[warp][q][lane] = total[q];
  glen_barrier();
  for (int i = glen_thread(); i < WIDTH; i += GLEN_THREADS) {
    float sum = 0;
    for (int other = 0; other < WARPS; other++) sum += ((const float *)sums[other])[i];
    parts[glen_block().x * WIDTH + i] = sum;
  }
}

#define GLEN_RMS_NORM_GRADIENTS(name, FOURS) \
  GLEN_KERNEL(name, const float *x, const float *weight, const float *inverse, const float *dy, \
              const unsigned short *halves, float *dx, float *parts, long rows, int accumulates, \
              glen_two_words *rounded) { \
    glen_rms_norm_gradients<FOURS>(x, weight, inverse, dy, halves, dx, parts, rows, accumulates, \
                                   rounded); \
  }
GLEN_RMS_NORM_GRADIENTS(glen_rms_norm_gradients_256, 2)
GLEN_RMS_NORM_GRADIENTS(glen_rms_norm_gradients_512, 4)
GLEN_RMS_NORM_GRADIENTS(glen_rms_norm_gradients_768, 6)
GLEN_RMS_NORM_GRADIENTS(glen_rms_norm_gradients_1024, 8)

// y += the sum of the parts, [count, width].
GLEN_KERNEL(glen_add_parts, const float *parts, long count, float *y, long width) {
  glen_sum_rows<float>(parts, count, y, width, 1);
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

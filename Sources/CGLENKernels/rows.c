#include "glen_kernels.h"
#include "vector_math.h"

GLEN_INLINE float dot(long width, const float *a, const float *b) {
  float sum = 0;
  for (long i = 0; i < width; i++) sum += a[i] * b[i];
  return sum;
}

GLEN_KERNEL(void, glen_copy_rows,
            (long rows, long width, const float *restrict x, long x_stride, float *restrict y,
             long y_stride, int accumulate),
            (rows, width, x, x_stride, y, y_stride, accumulate)) {
  for (long r = 0; r < rows; r++) {
    const float *from = x + r * x_stride;
    float *to = y + r * y_stride;
    if (accumulate) {
      for (long i = 0; i < width; i++) to[i] += from[i];
    } else {
      memcpy(to, from, (size_t)width * sizeof(float));
    }
  }
}

GLEN_KERNEL(void, glen_row_dot, (long rows, long width, const float *a, const float *b, float *out),
            (rows, width, a, b, out)) {
  for (long r = 0; r < rows; r++) out[r] = dot(width, a + r * width, b + r * width);
}

GLEN_KERNEL(void, glen_strided_row_dot,
            (long rows, long width, long stride, const float *a, const float *b, float *out),
            (rows, width, stride, a, b, out)) {
  for (long r = 0; r < rows; r++) out[r] = dot(width, a + r * stride, b + r * stride);
}

GLEN_KERNEL(void, glen_row_scale,
            (long rows, long width, const float *restrict scale, const float *restrict x,
             float *restrict y, int accumulate),
            (rows, width, scale, x, y, accumulate)) {
  for (long r = 0; r < rows; r++) {
    float s = scale[r];
    const float *from = x + r * width;
    float *to = y + r * width;
    if (accumulate) {
      for (long i = 0; i < width; i++) to[i] += s * from[i];
    } else {
      for (long i = 0; i < width; i++) to[i] = s * from[i];
    }
  }
}

// In double: near 0 a distance is the difference of two numbers near 1, and float32 would keep no
// more than three of its digits. A zero row has cosine 0 with everything.
GLEN_INLINE void cosine_parts(long width, const float *a, const float *b, double *inverse_a,
                              double *inverse_b, double *cosine) {
  double aa = 0, bb = 0, ab = 0;
  for (long i = 0; i < width; i++) {
    aa += (double)a[i] * a[i];
    bb += (double)b[i] * b[i];
    ab += (double)a[i] * b[i];
  }
  // Written so that a NaN goes through.
  *inverse_a = aa == 0 ? 0 : 1 / sqrt(aa);
  *inverse_b = bb == 0 ? 0 : 1 / sqrt(bb);
  *cosine = ab * *inverse_a * *inverse_b;
}

GLEN_KERNEL(void, glen_cosine_distance,
            (long rows, long width, const float *a, const float *b, float *out),
            (rows, width, a, b, out)) {
  for (long r = 0; r < rows; r++) {
    double inverse_a, inverse_b, cosine;
    cosine_parts(width, a + r * width, b + r * width, &inverse_a, &inverse_b, &cosine);
    out[r] = (float)(1 - cosine);
  }
}

// d (1 - cos) / da = cos * a / |a|^2 - b / (|a||b|).
GLEN_KERNEL(void, glen_cosine_distance_backward,
            (long rows, long width, const float *a, const float *b, const float *dout, float *da,
             float *db, int accumulate_a, int accumulate_b),
            (rows, width, a, b, dout, da, db, accumulate_a, accumulate_b)) {
  for (long r = 0; r < rows; r++) {
    const float *ar = a + r * width, *br = b + r * width;
    float *dar = da + r * width, *dbr = db + r * width;
    double inverse_a, inverse_b, cosine;
    cosine_parts(width, ar, br, &inverse_a, &inverse_b, &cosine);
    double both = dout[r] * inverse_a * inverse_b;
    double own_a = dout[r] * cosine * inverse_a * inverse_a;
    double own_b = dout[r] * cosine * inverse_b * inverse_b;
    for (long i = 0; i < width; i++) {
      float old_a = accumulate_a ? dar[i] : 0, old_b = accumulate_b ? dbr[i] : 0;
      dar[i] = old_a + (float)(own_a * ar[i] - both * br[i]);
      dbr[i] = old_b + (float)(own_b * br[i] - both * ar[i]);
    }
  }
}

GLEN_KERNEL(void, glen_gather,
            (long count, long width, const float *table, const int32_t *rows, float *out),
            (count, width, table, rows, out)) {
  for (long r = 0; r < count; r++)
    memcpy(out + r * width, table + (long)rows[r] * width, (size_t)width * sizeof(float));
}

GLEN_KERNEL(void, glen_scatter_add,
            (long count, long width, long first, long last, const float *restrict x,
             const int32_t *restrict rows, float *restrict table),
            (count, width, first, last, x, rows, table)) {
  for (long r = 0; r < count; r++) {
    const float *from = x + r * width;
    float *to = table + (long)rows[r] * width;
    for (long i = first; i < last; i++) to[i] += from[i];
  }
}

// A block of marks stays in the nearest cache while the rows pass.
GLEN_KERNEL(void, glen_mark_columns,
            (long rows, long width, long first, long last, float least, const float *restrict x,
             int32_t *restrict marks),
            (rows, width, first, last, least, x, marks)) {
  enum { block = 256 };
  for (long start = first; start < last; start += block) {
    long count = last - start < block ? last - start : block;
    memset(marks + start, 0, (size_t)count * sizeof(int32_t));
    for (long r = 0; r < rows; r++) {
      const float *row = x + r * width + start;
      // Written so that what is not a number is marked.
      for (long i = 0; i < count; i++) marks[start + i] |= !(row[i] < least);
    }
  }
}

// In place: what is written never lies behind what is still to be read.
GLEN_KERNEL(void, glen_keep_columns,
            (long rows, long width, long count, const int32_t *columns, float *x),
            (rows, width, count, columns, x)) {
  for (long r = 0; r < rows; r++)
    for (long i = 0; i < count; i++) x[r * count + i] = x[r * width + columns[i]];
}

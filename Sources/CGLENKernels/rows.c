#include "glen_kernels.h"
#include "vector_math.h"

GLEN_INLINE float dot(long width, const float *a, const float *b) {
  float sum = 0;
  for (long i = 0; i < width; i++) sum += a[i] * b[i];
  return sum;
}

GLEN_MULTIVERSION void glen_copy_rows(long rows, long width, const float *restrict x, long x_stride,
                                      float *restrict y, long y_stride, int accumulate) {
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

GLEN_MULTIVERSION void glen_row_dot(long rows, long width, const float *a, const float *b,
                                    float *out) {
  for (long r = 0; r < rows; r++) out[r] = dot(width, a + r * width, b + r * width);
}

GLEN_MULTIVERSION void glen_strided_row_dot(long rows, long width, long stride, const float *a,
                                            const float *b, float *out) {
  for (long r = 0; r < rows; r++) out[r] = dot(width, a + r * stride, b + r * stride);
}

GLEN_MULTIVERSION void glen_row_scale(long rows, long width, const float *restrict scale,
                                      const float *restrict x, float *restrict y, int accumulate) {
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

// A zero row has cosine 0 with everything.
GLEN_INLINE void cosine_parts(long width, const float *a, const float *b, float *inverse_a,
                              float *inverse_b, float *cosine) {
  float aa = dot(width, a, a), bb = dot(width, b, b);
  *inverse_a = aa > 0 ? 1 / sqrtf(aa) : 0;
  *inverse_b = bb > 0 ? 1 / sqrtf(bb) : 0;
  *cosine = dot(width, a, b) * *inverse_a * *inverse_b;
}

GLEN_MULTIVERSION void glen_row_cosine(long rows, long width, const float *a, const float *b,
                                       float *out) {
  for (long r = 0; r < rows; r++) {
    float inverse_a, inverse_b;
    cosine_parts(width, a + r * width, b + r * width, &inverse_a, &inverse_b, out + r);
  }
}

// d cos / da = b / (|a||b|) - cos * a / |a|^2.
GLEN_MULTIVERSION void glen_row_cosine_backward(long rows, long width, const float *a,
                                                const float *b, const float *dout, float *da,
                                                float *db, int accumulate_a, int accumulate_b) {
  for (long r = 0; r < rows; r++) {
    const float *ar = a + r * width, *br = b + r * width;
    float *dar = da + r * width, *dbr = db + r * width;
    float inverse_a, inverse_b, cosine;
    cosine_parts(width, ar, br, &inverse_a, &inverse_b, &cosine);
    float both = dout[r] * inverse_a * inverse_b;
    float own_a = dout[r] * cosine * inverse_a * inverse_a;
    float own_b = dout[r] * cosine * inverse_b * inverse_b;
    for (long i = 0; i < width; i++) {
      float old_a = accumulate_a ? dar[i] : 0, old_b = accumulate_b ? dbr[i] : 0;
      dar[i] = old_a + both * br[i] - own_a * ar[i];
      dbr[i] = old_b + both * ar[i] - own_b * br[i];
    }
  }
}

GLEN_MULTIVERSION void glen_gather(long count, long width, const float *table, const int32_t *rows,
                                   float *out) {
  for (long r = 0; r < count; r++)
    memcpy(out + r * width, table + (long)rows[r] * width, (size_t)width * sizeof(float));
}

GLEN_MULTIVERSION void glen_scatter_add(long count, long width, long first, long last,
                                        const float *restrict x, const int32_t *restrict rows,
                                        float *restrict table) {
  for (long r = 0; r < count; r++) {
    const float *from = x + r * width;
    float *to = table + (long)rows[r] * width;
    for (long i = first; i < last; i++) to[i] += from[i];
  }
}

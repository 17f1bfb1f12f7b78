#include "glen_kernels.h"
#include "vector_math.h"

// y = x * inverse * weight, inverse = 1 / sqrt(mean(x^2) + epsilon).
GLEN_KERNEL(void, glen_rms_norm,
            (long rows, long width, float epsilon, const float *restrict x,
             const float *restrict weight, float *restrict y, float *restrict inverse),
            (rows, width, epsilon, x, weight, y, inverse)) {
  for (long r = 0; r < rows; r++) {
    const float *from = x + r * width;
    float *to = y + r * width;
    float sum = 0;
    for (long i = 0; i < width; i++) sum += from[i] * from[i];
    float inv = 1 / sqrtf(sum / (float)width + epsilon);
    inverse[r] = inv;
    for (long i = 0; i < width; i++) to[i] = from[i] * inv * weight[i];
  }
}

// With g = dy * weight: dx = inverse * g - x * inverse^3 * mean(g * x), dweight += dy * x * inverse.
GLEN_KERNEL(void, glen_rms_norm_backward,
            (long rows, long width, const float *restrict x, const float *restrict weight,
             const float *restrict inverse, const float *restrict dy, float *restrict dx,
             float *restrict dweight, int accumulate),
            (rows, width, x, weight, inverse, dy, dx, dweight, accumulate)) {
  for (long r = 0; r < rows; r++) {
    const float *xr = x + r * width, *dyr = dy + r * width;
    float *dxr = dx + r * width;
    float inv = inverse[r];
    float sum = 0;
    for (long i = 0; i < width; i++) sum += dyr[i] * weight[i] * xr[i];
    float common = sum / (float)width * inv * inv * inv;
    for (long i = 0; i < width; i++) dweight[i] += dyr[i] * xr[i] * inv;
    if (accumulate) {
      for (long i = 0; i < width; i++) dxr[i] += inv * dyr[i] * weight[i] - xr[i] * common;
    } else {
      for (long i = 0; i < width; i++) dxr[i] = inv * dyr[i] * weight[i] - xr[i] * common;
    }
  }
}

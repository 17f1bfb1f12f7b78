#include "glen_kernels.h"
#include "vector_math.h"

GLEN_KERNEL(void, glen_add_scaled,
            (long count, float scale, const float *restrict x, float *restrict y),
            (count, scale, x, y)) {
  for (long i = 0; i < count; i++) y[i] += scale * x[i];
}

GLEN_KERNEL(void, glen_scale, (long count, float scale, const float *x, float *y),
            (count, scale, x, y)) {
  for (long i = 0; i < count; i++) y[i] = scale * x[i];
}

GLEN_KERNEL(void, glen_fill, (long count, float value, float *y), (count, value, y)) {
  for (long i = 0; i < count; i++) y[i] = value;
}

// Written so that what is not a number stays so.
GLEN_KERNEL(void, glen_relu, (long count, const float *x, float *y), (count, x, y)) {
  for (long i = 0; i < count; i++) y[i] = x[i] <= 0 ? 0 : x[i];
}

// dy and dx may be one.
GLEN_KERNEL(void, glen_relu_backward,
            (long count, const float *restrict y, const float *dy, float *dx, int accumulate),
            (count, y, dy, dx, accumulate)) {
  if (accumulate) {
    for (long i = 0; i < count; i++) dx[i] += y[i] <= 0 ? 0 : dy[i];
  } else {
    for (long i = 0; i < count; i++) dx[i] = y[i] <= 0 ? 0 : dy[i];
  }
}

// gelu(x) = x/2 (1 + tanh(u)) = x * sigmoid(2u), u = sqrt(2/pi) (x + 0.044715 x^3).
static const float twice_root = 2 * 0.7978845608028654f;

// 1 + exp(-2u), infinite where `glen_exp` would stop short of it: sigmoid(2u) is 0 there, times any x.
GLEN_INLINE float gelu_divisor(float x) {
  float twice_u = twice_root * (x + 0.044715f * x * x * x);
  float divisor = 1 + glen_exp(-twice_u);
  return twice_u < -87 ? INFINITY : divisor;
}

GLEN_KERNEL(void, glen_gated_gelu,
            (long count, const float *restrict gate, const float *restrict up, float *restrict y),
            (count, gate, up, y)) {
  for (long i = 0; i < count; i++) {
    float x = gate[i];
    y[i] = x / gelu_divisor(x) * up[i];
  }
}

GLEN_KERNEL(void, glen_gated_gelu_backward,
            (long count, const float *restrict gate, const float *restrict up,
             const float *restrict dy, float *restrict dgate, float *restrict dup,
             int accumulate_gate, int accumulate_up),
            (count, gate, up, dy, dgate, dup, accumulate_gate, accumulate_up)) {
  // The old value is multiplied by 0 or 1 only where it is a number: an unset destination may hold
  // anything, so it is selected and not multiplied.
  for (long i = 0; i < count; i++) {
    float x = gate[i];
    float sigmoid = 1 / gelu_divisor(x);
    // Beyond 20 sigmoid (1 - sigmoid) is 0 in either direction, while the square of x may be infinite.
    float near = x < -20 ? -20 : (x > 20 ? 20 : x);
    float slope = twice_root * (1 + 3 * 0.044715f * near * near);
    float derivative = sigmoid + near * sigmoid * (1 - sigmoid) * slope;
    float old_gate = accumulate_gate ? dgate[i] : 0;
    float old_up = accumulate_up ? dup[i] : 0;
    dgate[i] = old_gate + dy[i] * up[i] * derivative;
    dup[i] = old_up + dy[i] * x * sigmoid;
  }
}

GLEN_KERNEL(double, glen_sum, (long count, const float *x), (count, x)) {
  double sum = 0;
  for (long i = 0; i < count; i++) sum += x[i];
  return sum;
}

GLEN_KERNEL(double, glen_sum_of_squares, (long count, const float *x), (count, x)) {
  double sum = 0;
  for (long i = 0; i < count; i++) sum += (double)x[i] * x[i];
  return sum;
}

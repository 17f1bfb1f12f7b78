#include "glen_kernels.h"
#include "vector_math.h"

// AdamW with decoupled decay: w -= rate * (m / c1 / (sqrt(v / c2) + epsilon) + decay * w).
GLEN_KERNEL(void, glen_adamw,
            (long count, float rate, float beta1, float beta2, float epsilon, float decay,
             float correction1, float correction2, float gradient_scale,
             const float *restrict gradient, float *restrict weight, float *restrict first_moment,
             float *restrict second_moment),
            (count, rate, beta1, beta2, epsilon, decay, correction1, correction2, gradient_scale,
             gradient, weight, first_moment, second_moment)) {
  float inverse1 = 1 / correction1, inverse2 = 1 / correction2;
  for (long i = 0; i < count; i++) {
    float g = gradient[i] * gradient_scale;
    float m = beta1 * first_moment[i] + (1 - beta1) * g;
    float v = beta2 * second_moment[i] + (1 - beta2) * g * g;
    first_moment[i] = m;
    second_moment[i] = v;
    float update = m * inverse1 / (GLEN_SQRT(v * inverse2) + epsilon);
    weight[i] -= rate * (update + decay * weight[i]);
  }
}

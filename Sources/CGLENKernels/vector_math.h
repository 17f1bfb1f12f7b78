#ifndef GLEN_VECTOR_MATH_H
#define GLEN_VECTOR_MATH_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "glen_kernels.h"

#define GLEN_INLINE static inline __attribute__((always_inline))

// One function, several instruction sets. `GLEN_KERNEL(result, name, (parameters), (arguments)) { body }`
// defines `name`, which goes to the copy of its body that is compiled for the widest set of the machine,
// or of `GLEN_CPU_KERNELS`. (Clang's `target_clones` would be shorter, but the loader chooses there, and
// nothing could make a test run the other copies.)
#if defined(__x86_64__)
// Not "arch=x86-64-v4", with which clang keeps to registers of 256 bits.
#define GLEN_TARGET_AVX512 "avx512f,avx512bw,avx512cd,avx512dq,avx512vl,fma,bmi,bmi2,lzcnt,f16c"
#define GLEN_TARGET_AVX2 "arch=x86-64-v3"
#define GLEN_KERNEL(RESULT, NAME, PARAMETERS, ARGUMENTS) \
  GLEN_INLINE RESULT NAME##_loop PARAMETERS; \
  __attribute__((target(GLEN_TARGET_AVX512))) static RESULT NAME##_avx512 PARAMETERS { \
    return NAME##_loop ARGUMENTS; \
  } \
  __attribute__((target(GLEN_TARGET_AVX2))) static RESULT NAME##_avx2 PARAMETERS { \
    return NAME##_loop ARGUMENTS; \
  } \
  RESULT NAME PARAMETERS { \
    switch (glen_kernels()) { \
      case GLEN_AVX512: return NAME##_avx512 ARGUMENTS; \
      case GLEN_AVX2: return NAME##_avx2 ARGUMENTS; \
      default: return NAME##_loop ARGUMENTS; \
    } \
  } \
  GLEN_INLINE RESULT NAME##_loop PARAMETERS
#else
#define GLEN_KERNEL(RESULT, NAME, PARAMETERS, ARGUMENTS) RESULT NAME PARAMETERS
#endif

// The instruction set of the loops: chosen at the first call, which is the only state there is.
extern _Atomic int glen_chosen_kernels;
int glen_choose_kernels(void);

GLEN_INLINE int glen_kernels(void) {
  int kernels = __c11_atomic_load(&glen_chosen_kernels, __ATOMIC_RELAXED);
  return kernels >= 0 ? kernels : glen_choose_kernels();
}

// The order of a floating-point sum is ours to choose here: that is what lets the loops vectorise.
#pragma clang fp contract(fast) reassociate(on)

// exp(x) by range reduction to [-ln2/2, ln2/2] and a polynomial; below 2 units in the last place
// from -87.3 to 88.3, 0 below and never more than exp(88.3). Branch-free, so that it vectorises;
// expf is a call.
GLEN_INLINE float glen_exp(float x) {
  float bounded = x < -87.3f ? -87.3f : (x > 88.3f ? 88.3f : x);
  // Adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits.
  float shifted = bounded * 1.44269504088896341f + 12582912.0f;
  int32_t bits;
  memcpy(&bits, &shifted, 4);
  float power = shifted - 12582912.0f;
  float r = bounded - power * 0.693359375f;
  r = r - power * -2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  uint32_t exponent = (uint32_t)(bits - 0x4b400000 + 127) << 23;
  float scale;
  memcpy(&scale, &exponent, 4);
  float result = p * scale;
  return x < -87.3f ? 0.0f : result;
}

// sqrtf sets errno, and a loop that calls it does not vectorise.
#if __has_builtin(__builtin_elementwise_sqrt)
#define GLEN_SQRT __builtin_elementwise_sqrt
#else
#define GLEN_SQRT sqrtf
#endif

// The greatest of x[i], or of x[i] + mask[i] where there is a mask; -INFINITY where there is no
// number. A plain maximum over a row does not vectorise, because the order of NaNs would matter;
// 32 maxima side by side do.
GLEN_INLINE float row_max(long width, const float *x, const float *mask) {
  enum { lanes = 32 };
  float best[lanes];
  for (int lane = 0; lane < lanes; lane++) best[lane] = -INFINITY;
  long i = 0;
  for (; i + lanes <= width; i += lanes) {
    for (int lane = 0; lane < lanes; lane++) {
      float v = mask ? x[i + lane] + mask[i + lane] : x[i + lane];
      best[lane] = v > best[lane] ? v : best[lane];
    }
  }
  for (int lane = 0; i < width; i++, lane++) {
    float v = mask ? x[i] + mask[i] : x[i];
    best[lane] = v > best[lane] ? v : best[lane];
  }
  for (int half = lanes / 2; half > 0; half /= 2)
    for (int lane = 0; lane < half; lane++)
      best[lane] = best[lane + half] > best[lane] ? best[lane + half] : best[lane];
  return best[0];
}

#endif

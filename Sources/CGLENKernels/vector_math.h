#ifndef GLEN_VECTOR_MATH_H
#define GLEN_VECTOR_MATH_H

#include <math.h>
#include <stdint.h>
#include <string.h>

// One function, several instruction sets; the loader picks the widest that the machine has.
#if defined(__x86_64__) && defined(__linux__)
#define GLEN_MULTIVERSION \
  __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define GLEN_MULTIVERSION
#endif

// The order of a floating-point sum is ours to choose here: that is what lets the loops vectorise.
#pragma clang fp contract(fast) reassociate(on)

#define GLEN_INLINE static inline __attribute__((always_inline))

// exp(x) by range reduction to [-ln2/2, ln2/2] and a polynomial; below 2 units in the last place
// where the result is a normal number, and 0 below -87.3. Branch-free, so that it vectorises;
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
  int32_t exponent = (bits - 0x4b400000 + 127) << 23;
  float scale;
  memcpy(&scale, &exponent, 4);
  float result = p * scale;
  return x < -87.3f ? 0.0f : result;
}

#endif

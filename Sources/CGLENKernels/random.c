#include "glen_kernels.h"
#include "vector_math.h"

// Philox4x32-10 (Salmon et al., 2011): a block cipher on a counter, so that any element's number
// can be made again without the ones before it.
GLEN_INLINE void philox(uint32_t c[4], uint32_t k0, uint32_t k1) {
  for (int round = 0; round < 10; round++) {
    uint64_t p0 = (uint64_t)0xD2511F53u * c[0], p1 = (uint64_t)0xCD9E8D57u * c[2];
    uint32_t n0 = (uint32_t)(p1 >> 32) ^ c[1] ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c[3] ^ k1;
    c[1] = (uint32_t)p1;
    c[3] = (uint32_t)p0;
    c[0] = n0;
    c[2] = n2;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
}

void glen_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]) {
  memcpy(out, counter, 4 * sizeof *out);
  philox(out, key[0], key[1]);
}

GLEN_KERNEL(void, glen_dropout,
            (long first, long count, uint64_t key, uint64_t stream, float rate, const float *x,
             float *y, int accumulate),
            (first, count, key, stream, rate, x, y, accumulate)) {
  // A quotient would otherwise be formed for every element.
#pragma clang fp reassociate(off)
  uint32_t threshold = (uint32_t)(rate * 4294967296.0);
  float keep = 1 / (1 - rate);
  long end = first + count;
  enum { lanes = 16, block = 4 * lanes };
  for (long base = first & ~3L; base < end; base += block) {
    uint32_t words[block];
    for (int lane = 0; lane < lanes; lane++) {
      uint64_t counter = (uint64_t)(base >> 2) + (uint64_t)lane;
      uint32_t c[4] = {(uint32_t)counter, (uint32_t)(counter >> 32), (uint32_t)stream,
                       (uint32_t)(stream >> 32)};
      philox(c, (uint32_t)key, (uint32_t)(key >> 32));
      for (int word = 0; word < 4; word++) words[4 * lane + word] = c[word];
    }
    // Through memory of our own: x and y may be the same.
    float values[block];
    if (base >= first && base + block <= end) {
      const float *from = x + (base - first);
      float *to = y + (base - first);
      for (int j = 0; j < block; j++) values[j] = words[j] >= threshold ? from[j] * keep : 0;
      if (accumulate) {
        for (int j = 0; j < block; j++) values[j] += to[j];
      }
      memcpy(to, values, sizeof values);
    } else {
      for (long i = base < first ? first : base; i < base + block && i < end; i++) {
        float value = words[i - base] >= threshold ? x[i - first] * keep : 0;
        y[i - first] = accumulate ? y[i - first] + value : value;
      }
    }
  }
}

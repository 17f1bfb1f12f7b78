// Philox4x32-10, number for number that of CGLENKernels/random.c: element i takes word i % 4 of the
// block with counter i / 4.
#ifndef GLEN_RANDOM_H
#define GLEN_RANDOM_H
#include "device.h"

struct glen_words {
  unsigned word[4];
};

GLEN_DEVICE glen_words glen_philox(unsigned long long counter, unsigned long long seed,
                                   unsigned long long stream) {
  unsigned c0 = (unsigned)counter, c1 = (unsigned)(counter >> 32);
  unsigned c2 = (unsigned)stream, c3 = (unsigned)(stream >> 32);
  unsigned k0 = (unsigned)seed, k1 = (unsigned)(seed >> 32);
  for (int round = 0; round < 10; round++) {
    unsigned long long p0 = 0xD2511F53ull * c0, p1 = 0xCD9E8D57ull * c2;
    c0 = (unsigned)(p1 >> 32) ^ c1 ^ k0;
    c2 = (unsigned)(p0 >> 32) ^ c3 ^ k1;
    c1 = (unsigned)p1;
    c3 = (unsigned)p0;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return {{c0, c1, c2, c3}};
}

GLEN_DEVICE unsigned glen_threshold(float rate) { return (unsigned)(rate * 4294967296.0); }

// The number of element `index`.
GLEN_DEVICE unsigned glen_random(unsigned long long index, unsigned long long seed,
                                 unsigned long long stream) {
  glen_words words = glen_philox(index / 4, seed, stream);
  unsigned word = words.word[0];
  for (int i = 1; i < 4; i++) word = index % 4 == (unsigned)i ? words.word[i] : word;
  return word;
}

// What element `index` is multiplied with.
GLEN_DEVICE float glen_dropout_factor(unsigned long long index, float rate, unsigned long long seed,
                                      unsigned long long stream) {
  return glen_random(index, seed, stream) >= glen_threshold(rate) ? 1 / (1 - rate) : 0;
}

#endif

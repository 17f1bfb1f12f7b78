#include "packed.h"

#if defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

// Weights in 8 or 16 bits for products x wᵀ.
//
// The rows of w, one for each output, lie in panels of 16. A panel is a sequence of groups of 64
// bytes: four bytes of each of its rows, which are four int8 numbers or two bfloat16 numbers, then the
// next four bytes of each. That is one vector register of AVX-512, and what its instructions for both
// types multiply with one row's four bytes of activations and add to sixteen sums; so a product reads
// the weights once, in order, and never adds across a register. The last panel and the last group
// are filled up with zeros.
//
// An int8 weight stands for its row's scale times the number, -127 to 127. Activations are rounded to
// the same type, int8 with a scale for each row of x; they lie in tiles of a few rows, again in groups:
// four bytes of each row of the tile, or eight where AVX2 has int8 numbers in 16 bits. All
// instruction sets round alike and add int8 products exactly, so they agree to the last bit there;
// bfloat16 sums are float32 and differ by their order.
//
// int8 sums are 32 bits wide: |sum| <= 255 * 127 * inputs fits up to 65,536 inputs.

// Rounds to the nearest, ties to even: adding 1.5 * 2^23 leaves the integer in the low bits. Not fused
// with the multiplication before, which would round otherwise where there is no such instruction.
GLEN_INLINE int8_t rounded(float value) {
#pragma clang fp contract(off)
  float shifted = value + 12582912.0f;
  int32_t bits;
  memcpy(&bits, &shifted, 4);
  return (int8_t)bits;
}

GLEN_INLINE uint16_t to_bfloat16(float value) {
  uint32_t bits;
  memcpy(&bits, &value, 4);
  uint32_t even = bits + 0x7fff + (bits >> 16 & 1);
  // Rounding must not carry a NaN over to infinity.
  return (uint16_t)((bits & 0x7fffffff) > 0x7f800000 ? bits >> 16 | 0x40 : even >> 16);
}

// The greatest magnitude. As whole numbers, NaN is greater than everything: a row with one gets the
// scale NaN, and so do its products.
GLEN_INLINE float greatest(long count, const float *restrict x) {
  uint32_t most = 0;
  for (long i = 0; i < count; i++) {
    uint32_t bits;
    memcpy(&bits, x + i, 4);
    bits &= 0x7fffffff;
    most = bits > most ? bits : most;
  }
  float result;
  memcpy(&result, &most, 4);
  return result;
}

enum { CHUNK = 256 };

// Rounds up to CHUNK numbers and fills the last group up; returns the sum of int8 numbers.
GLEN_INLINE int32_t round_chunk(int type, long count, float inverse, const float *restrict x,
                                char *restrict bytes) {
  int32_t sum = 0;
  if (type == GLEN_INT8) {
    int8_t *to = (int8_t *)bytes;
    for (long i = 0; i < count; i++) {
      to[i] = rounded(x[i] * inverse);
      sum += to[i];
    }
    for (long i = count; i % 4; i++) to[i] = 0;
  } else {
    uint16_t *to = (uint16_t *)bytes;
    for (long i = 0; i < count; i++) to[i] = to_bfloat16(x[i]);
    if (count % 2) to[count] = 0;
  }
  return sum;
}

// Writes one group of rounded numbers; `wide` makes 16 bits of int8 ones.
GLEN_INLINE void write_group(int wide, const char *bytes, char *to) {
  if (!wide) {
    memcpy(to, bytes, GLEN_GROUP);
    return;
  }
  int8_t narrow[4];
  int16_t numbers[4];
  memcpy(narrow, bytes, sizeof narrow);
  for (int i = 0; i < 4; i++) numbers[i] = narrow[i];
  memcpy(to, numbers, sizeof numbers);
}

// Rounds a row into groups `stride` bytes apart.
GLEN_INLINE glen_packed_row pack_row(int type, int wide, long inputs, const float *x, char *to,
                                     long stride) {
  glen_packed_row row = {1, 0};
  float inverse = 0;
  if (type == GLEN_INT8) {
    float most = greatest(inputs, x);
    row.scale = most / 127;
    // Below this the inverse would be infinite, and the numbers count as zeros.
    inverse = most > 1e-36f ? 127 / most : 0;
  }
  long numbers = type == GLEN_INT8 ? 4 : 2;
  for (long first = 0; first < inputs; first += CHUNK) {
    _Alignas(64) char bytes[CHUNK * 2];
    long count = inputs - first < CHUNK ? inputs - first : CHUNK;
    row.start -= 128 * round_chunk(type, count, inverse, x + first, bytes);
    for (long i = 0; i < count; i += numbers) {
      write_group(wide, bytes + i / numbers * GLEN_GROUP, to);
      to += stride;
    }
  }
  return row;
}

long glen_packed_row_byte_count(int type, int kernels, long inputs) {
  return glen_group_count(type, inputs) *
         (type == GLEN_INT8 && kernels == GLEN_AVX2 ? GLEN_WIDE_GROUP : GLEN_GROUP);
}

long glen_packed_byte_count(int type, long outputs, long inputs) {
  long panels = (outputs + GLEN_PANEL - 1) / GLEN_PANEL;
  return panels * GLEN_PANEL * glen_group_count(type, inputs) * GLEN_GROUP;
}

GLEN_KERNEL(void, glen_pack_weights,
            (int type, long outputs, long inputs, long first_panel, long last_panel, const float *w,
             void *packed, float *scales),
            (type, outputs, inputs, first_panel, last_panel, w, packed, scales)) {
  long row_bytes = glen_group_count(type, inputs) * GLEN_GROUP;
  for (long panel = first_panel; panel < last_panel; panel++) {
    char *to = (char *)packed + panel * GLEN_PANEL * row_bytes;
    memset(to, 0, (size_t)(GLEN_PANEL * row_bytes));
    for (long lane = 0; lane < GLEN_PANEL && panel * GLEN_PANEL + lane < outputs; lane++) {
      long output = panel * GLEN_PANEL + lane;
      glen_packed_row row = pack_row(type, 0, inputs, w + output * inputs, to + lane * GLEN_GROUP,
                                     GLEN_PANEL * GLEN_GROUP);
      if (type == GLEN_INT8) scales[output] = row.scale;
    }
  }
}

static long tile_rows(int type, int kernels) {
  switch (kernels) {
    case GLEN_AVX512: return GLEN_TILE_AVX512;
    case GLEN_AVX2: return type == GLEN_INT8 ? GLEN_TILE_AVX2 : GLEN_TILE_AVX2_BFLOAT16;
    case GLEN_NEON: return GLEN_TILE_NEON;
    default: return GLEN_TILE_PORTABLE;
  }
}

GLEN_KERNEL(void, glen_pack_activations,
            (int type, int kernels, long rows, long inputs, const float *x, void *packed,
             glen_packed_row *row),
            (type, kernels, rows, inputs, x, packed, row)) {
  int wide = type == GLEN_INT8 && kernels == GLEN_AVX2 && rows > GLEN_NARROW;
  long group = wide ? GLEN_WIDE_GROUP : GLEN_GROUP;
  long row_bytes = glen_group_count(type, inputs) * group;
  long height = glen_tile_height(rows, tile_rows(type, kernels));
  for (long first = 0; first < rows; first += height) {
    long count = rows - first < height ? rows - first : height;
    char *tile = (char *)packed + first * row_bytes;
    for (long r = 0; r < count; r++) {
      const float *from = x + (first + r) * inputs;
      char *to = tile + r * group;
      if (wide) {
        row[first + r] = pack_row(GLEN_INT8, 1, inputs, from, to, count * GLEN_WIDE_GROUP);
      } else {
        row[first + r] = pack_row(type, 0, inputs, from, to, count * GLEN_GROUP);
      }
    }
  }
}

GLEN_KERNEL(void, glen_packed_gather,
            (int type, long count, long inputs, const void *packed, const float *scales,
             const int32_t *rows, float *out),
            (type, count, inputs, packed, scales, rows, out)) {
  long row_bytes = glen_group_count(type, inputs) * GLEN_GROUP;
  for (long i = 0; i < count; i++) {
    long row = rows[i];
    const char *from = (const char *)packed + row / GLEN_PANEL * GLEN_PANEL * row_bytes +
                       row % GLEN_PANEL * GLEN_GROUP;
    float *to = out + i * inputs;
    for (long c = 0; c < inputs; c++) {
      if (type == GLEN_INT8) {
        const int8_t *group = (const int8_t *)from + c / 4 * (GLEN_PANEL * GLEN_GROUP);
        to[c] = scales[row] * group[c % 4];
      } else {
        uint16_t half;
        memcpy(&half, from + c / 2 * (GLEN_PANEL * GLEN_GROUP) + c % 2 * 2, 2);
        to[c] = glen_from_bfloat16(half);
      }
    }
  }
}

#if defined(__aarch64__)
static int has_dot_products(void) {
#if defined(__ARM_FEATURE_DOTPROD)
  return 1;
#elif defined(__linux__)
  return (getauxval(AT_HWCAP) >> 20 & 1) != 0;  // HWCAP_ASIMDDP
#else
  return 0;
#endif
}
#endif

int glen_packed_kernels(int type, int limit) {
#if defined(__x86_64__)
  // The checks need their feature by name: int8 products came before bfloat16 ones.
  int has_products = type == GLEN_INT8 ? __builtin_cpu_supports("avx512vnni") != 0
                                       : __builtin_cpu_supports("avx512bf16") != 0;
  if (limit >= GLEN_AVX512 && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vl") && has_products)
    return GLEN_AVX512;
  if (limit >= GLEN_AVX2 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    return GLEN_AVX2;
#elif defined(__aarch64__)
  if (limit >= GLEN_NEON && has_dot_products()) return GLEN_NEON;
#endif
  (void)type, (void)limit;
  return GLEN_PORTABLE;
}

void glen_packed_product(const glen_packed_product_arguments *p) {
  switch (p->kernels) {
#if defined(__x86_64__)
    case GLEN_AVX512: glen_packed_product_avx512(p); break;
    case GLEN_AVX2: glen_packed_product_avx2(p); break;
#elif defined(__aarch64__)
    case GLEN_NEON: glen_packed_product_neon(p); break;
#endif
    default: glen_packed_product_portable(p);
  }
}

// One row of a tile of `height` rows against one panel.
GLEN_INLINE void product_row(int type, const glen_packed_product_arguments *p, const char *a,
                             long height, long row, long panel) {
  long groups = glen_group_count(type, p->inputs);
  const char *w = (const char *)p->weights + panel * groups * GLEN_PANEL * GLEN_GROUP;
  int32_t whole[GLEN_PANEL] = {0};
  float sums[GLEN_PANEL] = {0};
  for (long g = 0; g < groups; g++, a += height * GLEN_GROUP, w += GLEN_PANEL * GLEN_GROUP) {
    if (type == GLEN_INT8) {
      int8_t left[4], right[GLEN_PANEL * 4];
      memcpy(left, a, sizeof left);
      memcpy(right, w, sizeof right);
      for (int j = 0; j < GLEN_PANEL; j++)
        for (int i = 0; i < 4; i++) whole[j] += left[i] * right[j * 4 + i];
    } else {
      uint16_t left[2], right[GLEN_PANEL * 2];
      memcpy(left, a, sizeof left);
      memcpy(right, w, sizeof right);
      for (int j = 0; j < GLEN_PANEL; j++)
        for (int i = 0; i < 2; i++)
          sums[j] += glen_from_bfloat16(left[i]) * glen_from_bfloat16(right[j * 2 + i]);
    }
  }
  for (int j = 0; type == GLEN_INT8 && j < GLEN_PANEL; j++) sums[j] = (float)whole[j];
  glen_store_panel(type, p, row, panel * GLEN_PANEL, sums);
}

void glen_packed_product_portable(const glen_packed_product_arguments *p) {
  long row_bytes = glen_packed_row_byte_count(p->type, GLEN_PORTABLE, p->inputs);
  long height = glen_tile_height(p->rows, GLEN_TILE_PORTABLE);
  for (long panel = p->first; panel < p->last; panel++) {
    for (long row = 0; row < p->rows; row++) {
      long first = row / height * height;
      long count = p->rows - first < height ? p->rows - first : height;
      const char *a = (const char *)p->activations + first * row_bytes + row % height * GLEN_GROUP;
      if (p->type == GLEN_INT8) {
        product_row(GLEN_INT8, p, a, count, row, panel);
      } else {
        product_row(GLEN_BFLOAT16, p, a, count, row, panel);
      }
    }
  }
}

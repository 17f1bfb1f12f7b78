// Runs every loop of CGLENKernels over made-up numbers and writes what came out, so that two builds of
// them, such as one for Arm and one for this machine, can be held against each other.
//
//     kernels write FILE        `GLEN_CPU_KERNELS` limits the instruction set
//     kernels which             says by which set products of low precision go then
//     kernels compare A B       whole numbers have to be equal, others close; says what differs
//
// Every operand ends where a page begins that nobody may touch, so a loop that reads on does not get far.
// Sums are in an order that the instruction set decides; hence *close*: within 2e-6 of the greatest
// magnitude of a record, which holds sums of at most 800 numbers of -1 to 1.
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "glen_kernels.h"

static FILE *out;
static uint64_t state;

static void fail(const char *what) {
  perror(what);
  exit(1);
}

// MARK: Operands

// Bytes up to a page without access. Nothing is given back: the program ends soon.
static void *guarded(size_t bytes) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE), pages = (bytes + page - 1) / page;
  char *start = mmap(0, (pages + 1) * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (start == MAP_FAILED || mprotect(start + pages * page, page, PROT_NONE)) fail("mmap");
  return start + pages * page - bytes;
}

// Steele, Lea, Flood: SplitMix64.
static uint64_t next(void) {
  uint64_t z = state += 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}

static float *numbers(long count) {
  float *x = guarded((size_t)count * sizeof *x);
  for (long i = 0; i < count; i++) x[i] = (float)(next() >> 40) / 8388608 - 1;
  return x;
}

static int32_t *choices(long count, long below) {
  int32_t *x = guarded((size_t)count * sizeof *x);
  for (long i = 0; i < count; i++) x[i] = (int32_t)(next() % (uint64_t)below);
  return x;
}

// MARK: Records

typedef struct {
  char name[56];
  int64_t is_exact, count;
} record;

static void put(const char *name, int is_exact, long count, const void *words) {
  record r = {.is_exact = is_exact, .count = count};
  snprintf(r.name, sizeof r.name, "%s", name);
  if (fwrite(&r, sizeof r, 1, out) != 1 || (long)fwrite(words, 4, (size_t)count, out) != count)
    fail("write");
}

#define FLOATS(COUNT, X, ...) \
  do { \
    char name[56]; \
    snprintf(name, sizeof name, __VA_ARGS__); \
    put(name, 0, COUNT, X); \
  } while (0)
#define WHOLE(COUNT, X, ...) \
  do { \
    char name[56]; \
    snprintf(name, sizeof name, __VA_ARGS__); \
    put(name, 1, COUNT, X); \
  } while (0)

// MARK: The loops

static const long extents[] = {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 64, 65, 130, 257, 769};
enum { EXTENTS = sizeof extents / sizeof *extents };

static void products(void) {
  for (int e = 0; e < EXTENTS; e++) {
    for (long rows = 1; rows <= 13; rows += rows < 4 ? 1 : 3) {
      long inner = extents[e], outputs = extents[(e + rows) % EXTENTS] % 40 + 1;
      float *a = numbers((rows - 1) * (inner + 3) + inner);
      float *b = numbers((outputs - 1) * (inner + 1) + inner), *c = numbers(rows * outputs);
      glen_product_transposed(rows, inner, a, inner + 3, b, inner + 1, 0, outputs, 0.5f, 0, c, outputs);
      FLOATS(rows * outputs, c, "product %ld %ld %ld", rows, inner, outputs);
      glen_product_transposed(rows, inner, a, inner + 3, b, inner + 1, 0, outputs, 0.5f, 1, c, outputs);
      FLOATS(rows * outputs, c, "product, added %ld %ld %ld", rows, inner, outputs);
    }
  }
}

static void packed_products(int type, int kernels) {
  for (int e = 0; e < EXTENTS; e++) {
    for (long rows = 1; rows <= 14; rows++) {
      long inputs = extents[e], outputs = extents[(e + rows) % EXTENTS] % 40 + 1;
      float *x = numbers(rows * inputs), *w = numbers(outputs * inputs), *y = numbers(rows * outputs);
      long bytes = glen_packed_byte_count(type, outputs, inputs), panels = (outputs + 15) / 16;
      void *weights = guarded((size_t)bytes);
      float *scales = numbers(outputs);
      glen_pack_weights(type, outputs, inputs, 0, panels, w, weights, scales);
      WHOLE(bytes / 4, weights, "weights %d %ld %ld", type, outputs, inputs);
      void *activations = guarded((size_t)(rows * glen_packed_row_byte_count(type, kernels, inputs)));
      glen_packed_row *row = guarded((size_t)rows * sizeof *row);
      glen_pack_activations(type, kernels, rows, inputs, x, activations, row);
      for (int adds = 0; adds < 2; adds++) {
        glen_packed_product_arguments p = {
            type, kernels, rows, inputs, outputs, 0, panels, activations, row, weights, scales,
            0.5f, (float)adds, y, outputs};
        glen_packed_product(&p);
        // Sums of whole numbers are exact, and what is made of them is rounded alike everywhere.
        if (type == GLEN_INT8) {
          WHOLE(rows * outputs, y, "int8, %d %ld %ld %ld", adds, rows, inputs, outputs);
        } else {
          FLOATS(rows * outputs, y, "bf16, %d %ld %ld %ld", adds, rows, inputs, outputs);
        }
      }
      float *gathered = numbers(3 * inputs);
      glen_packed_gather(type, 3, inputs, weights, scales, choices(3, outputs), gathered);
      FLOATS(3 * inputs, gathered, "gathered %d %ld %ld", type, outputs, inputs);
    }
  }
}

static void elementwise(long n) {
  float *x = numbers(n), *z = numbers(n), *y = numbers(n), *d = numbers(n), *u = numbers(n);
  glen_add_scaled(n, 0.3f, x, y);
  FLOATS(n, y, "add scaled %ld", n);
  glen_scale(n, 0.3f, x, y);
  FLOATS(n, y, "scale %ld", n);
  glen_relu(n, x, y);
  FLOATS(n, y, "relu %ld", n);
  glen_relu_backward(n, y, z, d, 1);
  FLOATS(n, d, "relu backward %ld", n);
  for (long i = 0; i < n; i++) x[i] *= 6;  // Where a GELU bends, and beyond.
  glen_gated_gelu(n, x, z, y);
  FLOATS(n, y, "gated gelu %ld", n);
  glen_gated_gelu_backward(n, x, z, y, d, u, 1, 0);
  FLOATS(n, d, "gated gelu, gate %ld", n);
  FLOATS(n, u, "gated gelu, up %ld", n);
  float sums[2] = {(float)glen_sum(n, z), (float)glen_sum_of_squares(n, z)};
  FLOATS(2, sums, "sums %ld", n);
  glen_dropout(3, n, 0x123456789abcdefu, 1u << 20 | 5, 0.25f, z, y, 0);
  FLOATS(n, y, "dropout %ld", n);
  float *m = numbers(n), *v = numbers(n);
  for (long i = 0; i < n; i++) v[i] = fabsf(v[i]);
  glen_adamw(n, 1e-3f, 0.9f, 0.999f, 1e-8f, 0.01f, 0.5f, 0.25f, 0.7f, z, u, m, v);
  FLOATS(n, u, "adamw, weights %ld", n);
  FLOATS(n, m, "adamw, first %ld", n);
  FLOATS(n, v, "adamw, second %ld", n);
  glen_fill(n, 0.125f, y);
  FLOATS(n, y, "fill %ld", n);
}

static void rows_and_norms(long width) {
  enum { rows = 3 };
  float *x = numbers(rows * width), *w = numbers(width), *y = numbers(rows * width);
  float *d = numbers(rows * width), *few = numbers(rows), *dw = numbers(width), *z = numbers(rows * width);
  glen_copy_rows(rows, width, x, width, y, width, 1);
  FLOATS(rows * width, y, "copied rows %ld", width);
  glen_row_dot(rows, width, x, d, few);
  FLOATS(rows, few, "row dot %ld", width);
  glen_row_scale(rows, width, few, x, y, 1);
  FLOATS(rows * width, y, "row scale %ld", width);
  glen_cosine_distance(rows, width, x, d, few);
  FLOATS(rows, few, "cosine %ld", width);
  glen_cosine_distance_backward(rows, width, x, d, few, y, z, 1, 0);
  FLOATS(rows * width, y, "cosine backward, left %ld", width);
  FLOATS(rows * width, z, "cosine backward, right %ld", width);
  int32_t *ids = choices(7, rows);
  float *many = numbers(7 * width);
  glen_gather(7, width, x, ids, many);
  FLOATS(7 * width, many, "gather %ld", width);
  glen_scatter_add(7, width, 0, width, many, ids, z);
  FLOATS(rows * width, z, "scatter add %ld", width);
  glen_rms_norm(rows, width, 1e-6f, x, w, y, few);
  FLOATS(rows * width, y, "rms norm %ld", width);
  glen_rms_norm_backward(rows, width, x, w, few, d, z, dw, 1);
  FLOATS(rows * width, z, "rms norm backward %ld", width);
  FLOATS(width, dw, "rms norm backward, weight %ld", width);
  int32_t *marks = guarded((size_t)width * sizeof *marks);
  glen_mark_columns(rows, width, 0, width, 0.6f, x, marks);
  WHOLE(width, marks, "marked columns %ld", width);
}

static void softmaxes(long width) {
  enum { rows = 3 };
  float *x = numbers(rows * width), *d = numbers(rows * width), *mask = numbers(width);
  float *values = numbers(rows);
  int32_t *best = choices(rows, width), *targets = choices(rows, width);
  for (long i = 0; i < width; i++) mask[i] = i % 5 == 3 ? -INFINITY : 0;
  for (long i = 0; i < rows * width; i++) x[i] *= 20;
  targets[1] = -1;
  glen_arg_max(rows, width, mask, x, best, values);
  WHOLE(rows, best, "arg max %ld", width);
  FLOATS(rows, values, "max %ld", width);
  glen_softmax(rows, width, 0.5f, mask, x);
  FLOATS(rows * width, x, "softmax %ld", width);
  glen_softmax_backward(rows, width, 0.5f, x, d);
  FLOATS(rows * width, d, "softmax backward %ld", width);
  glen_cross_entropy(rows, width, 0.5f, targets, x, values);
  FLOATS(rows * width, x, "cross-entropy gradient %ld", width);
  FLOATS(rows, values, "cross-entropy %ld", width);
}

static void attention(long keys) {
  long queries = keys < 6 ? keys : 6, width = 20, stride = width + 4;
  float *scores = numbers(queries * keys), *biases = numbers(queries + keys), *sums = numbers(queries);
  const float *bias = biases + queries - 1;
  float *again = guarded((size_t)(queries * keys) * sizeof *again);
  memcpy(again, scores, (size_t)(queries * keys) * sizeof *again);
  glen_attention_probabilities(queries, keys, 1, bias, scores, sums);
  FLOATS(queries * keys, scores, "probabilities %ld", keys);
  FLOATS(queries, sums, "logarithms of sums %ld", keys);
  glen_attention_probabilities_again(queries, keys, 1, bias, sums, again);
  FLOATS(queries * keys, again, "probabilities again %ld", keys);
  float *ds = numbers(queries * keys), *dbias = numbers(queries + keys), *delta = numbers(queries);
  glen_attention_scores_backward(queries, keys, scores, delta, ds, dbias + queries - 1);
  FLOATS(queries * keys, ds, "scores backward %ld", keys);
  FLOATS(queries + keys, dbias, "bias backward %ld", keys);
  long count = (keys - 1) * stride + width;
  float *q = numbers(width), *k = numbers(count), *v = numbers(count), *mix = numbers(width), sum;
  float *p = numbers(keys), *dq = numbers(width), *dk = numbers(count), *dv = numbers(count);
  float *dmix = numbers(width), *db = numbers(keys);
  glen_attention_single(keys, width, q, k, stride, v, stride, bias, p, mix, &sum);
  FLOATS(width, mix, "one query %ld", keys);
  glen_attention_single_backward(
      keys, width, q, k, v, stride, bias, sum, mix, dmix, dq, dk, dv, db, 1, 0, 1);
  FLOATS(width, dq, "one query backward, query %ld", keys);
  FLOATS(count, dk, "one query backward, keys %ld", keys);
  FLOATS(count, dv, "one query backward, values %ld", keys);
  FLOATS(keys, db, "one query backward, bias %ld", keys);
}

static void search(long rows) {
  enum { tokens = 300, steps = 3 };
  float *logits = numbers(tokens), *chosen = numbers(rows);
  logits[7] = -INFINITY;
  glen_log_probabilities(rows, logits, (uint32_t *)choices(rows, tokens), 2.5, chosen);
  FLOATS(rows, chosen, "log-probabilities %ld", rows);
  glen_deficit_step step[steps];
  for (int bytes = 2; bytes <= 4; bytes += 2) {
    for (int t = 0; t < steps; t++) {
      uint8_t *deficits = guarded(65536);
      for (long i = 0; i < 65536; i++) deficits[i] = (uint8_t)next();
      int32_t *wide = choices(rows, tokens);
      uint16_t *narrow = guarded((size_t)rows * sizeof *narrow);
      for (long i = 0; i < rows; i++) narrow[i] = (uint16_t)wide[i];
      step[t] = (glen_deficit_step){bytes == 2 ? (void *)narrow : wide, deficits, 250};
    }
    uint32_t *found = guarded((size_t)rows * sizeof *found);
    glen_deficit_table table = {steps, bytes, step};
    long count = glen_scan_deficits(&table, 0, rows, 300, found);
    WHOLE(count, found, "rows within a deficit %ld, %d bytes", rows, bytes);
  }
}

static void write_all(void) {
  products();
  for (int type = GLEN_INT8; type <= GLEN_BFLOAT16; type++)
    packed_products(type, glen_packed_kernels(type, glen_kernel_limit()));
  for (int e = 0; e < EXTENTS; e++) {
    elementwise(extents[e]);
    rows_and_norms(extents[e]);
    softmaxes(extents[e]);
    attention(extents[e]);
    search(extents[e]);
  }
  uint32_t counter[4] = {1, 2, 3, 4}, key[2] = {5, 6}, words[4];
  glen_philox(counter, key, words);
  WHOLE(4, words, "philox");
}

// MARK: Comparing

static float *words_of(FILE *file, const record *r) {
  float *words = malloc((size_t)r->count * 4 + 4);
  if (!words || (long)fread(words, 4, (size_t)r->count, file) != r->count) fail("read");
  return words;
}

static int differ(const record *r, const float *a, const float *b) {
  if (r->is_exact) return memcmp(a, b, (size_t)r->count * 4) != 0;
  float most = 0, worst = 0;
  for (long i = 0; i < r->count; i++) {
    if (isnan(a[i]) && isnan(b[i])) continue;
    if (!isfinite(a[i]) || !isfinite(b[i])) {
      if (a[i] != b[i]) return 1;
      continue;
    }
    most = fmaxf(most, fabsf(a[i]));
    worst = fmaxf(worst, fabsf(a[i] - b[i]));
  }
  return worst > 2e-6f * fmaxf(most, 1);
}

static int compare(const char *first, const char *second) {
  FILE *a = fopen(first, "rb"), *b = fopen(second, "rb");
  if (!a || !b) fail("open");
  long records = 0, different = 0;
  record left, right;
  while (fread(&left, sizeof left, 1, a) == 1) {
    if (fread(&right, sizeof right, 1, b) != 1 || memcmp(&left, &right, sizeof left)) {
      fprintf(stderr, "the records differ from %s on\n", left.name);
      return 1;
    }
    float *x = words_of(a, &left), *y = words_of(b, &left);
    if (differ(&left, x, y) && ++different <= 20) fprintf(stderr, "differs: %s\n", left.name);
    free(x);
    free(y);
    records++;
  }
  if (fgetc(b) != EOF) {
    fprintf(stderr, "%s has more records\n", second);
    return 1;
  }
  printf("%ld of %ld results agree\n", records - different, records);
  return different > 0 || records == 0;
}

int main(int count, char **words) {
  if (count == 4 && !strcmp(words[1], "compare")) return compare(words[2], words[3]);
  if (count == 2 && !strcmp(words[1], "which")) {
    static const char *const names[] = {"portable", "neon", "avx2", "avx512"};
    puts(names[glen_packed_kernels(GLEN_INT8, glen_kernel_limit())]);
    return 0;
  }
  if (count != 3 || strcmp(words[1], "write") || !(out = fopen(words[2], "wb"))) {
    fprintf(stderr, "usage: kernels write FILE | which | compare A B\n");
    return 64;
  }
  write_all();
  return fclose(out) != 0;
}

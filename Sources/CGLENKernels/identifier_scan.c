#include "glen_kernels.h"
#include "vector_math.h"

// The inner loops of exact search. They look numbers up in tables of a few ten thousand; what bounds
// them is how much of the tables the first caches hold, so plain loads are as fast as gathers.

GLEN_KERNEL(void, glen_log_probabilities,
            (long count, const float *logits, const uint32_t *tokens, double normalizer,
             float *out),
            (count, logits, tokens, normalizer, out)) {
  for (long i = 0; i < count; i++) {
    float logit = logits[tokens[i]];
    // Where every token is masked, -inf - -inf would be NaN.
    out[i] = logit == -INFINITY ? -INFINITY : (float)((double)logit - normalizer);
  }
}

// `steps` is a constant where it is small, so that a row's sum is one chain of loads and adds.
GLEN_INLINE long scan(int steps, int code_bytes, const glen_deficit_table *table, long first,
                      long last, long limit, uint32_t *rows) {
  long found = 0;
  for (long row = first; row < last; row++) {
    long sum = 0;
    for (int step = 0; step < steps; step++) {
      const glen_deficit_step *s = &table->steps[step];
      uint32_t code;
      if (code_bytes == 2) {
        code = ((const uint16_t *)s->codes)[row];
      } else {
        code = ((const uint32_t *)s->codes)[row];
        if (code > s->last) code = s->last;
      }
      sum += s->deficits[code];
    }
    if (sum <= limit) rows[found++] = (uint32_t)(row - first);
  }
  return found;
}

#define CASE(N) \
  case N: return scan(N, 2, table, first, last, limit, rows);

long glen_scan_deficits(const glen_deficit_table *table, long first, long last, long limit,
                        uint32_t *rows) {
  if (table->code_bytes != 2) return scan(table->count, 4, table, first, last, limit, rows);
  switch (table->count) {
    CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6) CASE(7)
    default: return scan(table->count, 2, table, first, last, limit, rows);
  }
}

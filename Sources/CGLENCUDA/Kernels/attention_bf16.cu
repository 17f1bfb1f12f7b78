#include "glen_attention.h"
#include "random.h"
#include "tiles.h"

// Attention with factors of bfloat16, for the units that multiply matrices: the tiles of attention.cu,
// which must come before, 64 x 64, by four warps with 16 rows each. Sums, exponentials and what is
// summed over tiles are float32, as in every product. Heads are at most 64 columns wide, in whole
// eights.
//
// Of the tiles of columns two lie in shared memory: one is multiplied while the next arrives. What the
// scores of a step, sixteen columns, become is multiplied before the next step's scores are made, and
// steps behind the last column are left out.
namespace glen_bf16 {

// Exponentials are powers of 2: of scores times this, the logarithm of e to the base 2.
#define GLEN_LOG2_E 1.4426950408889634f

template <int MODE> struct attend {
  // Where tiles lie, and their random numbers, are those of attention.cu.
  using tiled = glen_attend<MODE, TILE, TILE, TILE, 32, 16>;
  using place = typename tiled::place;

  // The first and the end of the columns that some row of the tile sees.
  GLEN_MEMBER static void range(const glen_attention &a, const place &at, long &start, long &end) {
    start = 0;
    end = at.all_columns;
    if (a.causal && tiled::BY_KEYS && at.first_row - at.shift > 0)
      start = (at.first_row - at.shift) / TILE * TILE;
    if (a.causal && !tiled::BY_KEYS && at.first_row + at.rows + at.shift < end)
      end = at.first_row + at.rows + at.shift;
  }

  // The bias of the thread's diagonal of the tile of columns from `start`, times log2 e: of all pairs
  // whose column is the thread's number less TILE - 1 more than their row.
  GLEN_MEMBER static float bias_of(const glen_attention &a, const place &at, long start) {
    if (!a.bias) return 0;
    long ahead = start + glen_thread() - (TILE - 1) - at.first_row;
    long d = tiled::BY_KEYS ? -ahead - at.shift : ahead - at.shift;
    return d < -a.reach || d > a.reach
               ? 0
               : a.bias[(long)a.buckets[d + a.reach] * a.heads + at.head] * GLEN_LOG2_E;
  }

  // Which of the thread's 32 probabilities are kept, a bit each. A loop that is not unrolled: the
  // random numbers would fill the registers.
  GLEN_MEMBER static unsigned kept(const glen_attention &a, const place &at, long start) {
    unsigned threshold = glen_threshold(a.rate), bits = 0;
#pragma unroll 1
    for (int bit = 0; bit < 32; bit += 2) {
      int row = warp_row() + bit % 4 * 4, column = bit / 4 * 8 + 2 * pair();
      if (tiled::BY_KEYS) {
        long key = at.first_row + row;
        for (int i = 0; i < 2; i++) {
          unsigned long long index = tiled::number(a, at, start + column + i) + key;
          bits |= (unsigned)(glen_random(index, a.seed, a.stream) >= threshold) << (bit + i);
        }
      } else {
        // Both are of one block of four numbers.
        unsigned long long index = tiled::number(a, at, at.first_row + row) + start + column;
        glen_words words = glen_philox(index / 4, a.seed, a.stream);
        unsigned first = index % 4 ? words.word[2] : words.word[0];
        unsigned second = index % 4 ? words.word[3] : words.word[1];
        bits |= ((unsigned)(first >= threshold) | (unsigned)(second >= threshold) << 1) << bit;
      }
    }
    return bits;
  }

  // Drops of eight columns those whose bits from `bit` are not set.
  GLEN_MEMBER static void drop(unsigned keeps, int bit, float keep, float (&weights)[4]) {
#pragma unroll
    for (int i = 0; i < 4; i++) weights[i] = keeps >> (bit + i) & 1 ? weights[i] * keep : 0;
  }

  // Writes a tile of results from `start` of the matrix, each row by its factor; without `to`, as
  // bfloat16 alone.
  GLEN_MEMBER static void store(float *to, unsigned short *rounded, long start, const place &at,
                                long width, float upper, float lower,
                                const float (&result)[PARTS][4], int accumulates) {
#pragma unroll
    for (int part = 0; part < PARTS; part++) {
      int column = part * 8 + 2 * pair();
      if (column >= width) continue;
#pragma unroll
      for (int half = 0; half < 2; half++) {
        int row = warp_row() + 8 * half;
        if (row >= at.rows) continue;
        long place = start + (at.first_row + row) * at.stride + column;
        float factor = half ? lower : upper;
        float first = factor * result[part][2 * half];
        float second = factor * result[part][2 * half + 1];
        if (to && accumulates) {
          first += to[place];
          second += to[place + 1];
        }
        if (to) {
          to[place] = first;
          to[place + 1] = second;
        }
        if (rounded) *(unsigned *)(rounded + place) = glen_pair(first, second);
      }
    }
  }

  // Of the columns from `start`, how many the thread's upper or lower row sees.
  GLEN_MEMBER static int seen_columns(const glen_attention &a, const place &at, long start,
                                      int columns, int half) {
    long row = warp_row() + 8 * half;
    if (row >= at.rows) return 0;
    long seen = at.first_row + row + at.shift + 1 - start;
    return a.causal && seen < columns ? (int)seen : columns;
  }

  GLEN_MEMBER static int columns_from(const place &at, long start) {
    return (int)(at.all_columns - start < TILE ? at.all_columns - start : TILE);
  }

  // Begins to copy the tile of columns from `start` of two matrices, a group, which is empty behind the end.
  GLEN_MEMBER static void fetch_columns(factor &first, const unsigned short *of_first,
                                        factor &second, const unsigned short *of_second,
                                        const place &at, long start, long end, long width) {
    if (start < end) {
      long columns = columns_from(at, start);
      fetch(first, of_first + start * at.stride, at.stride, columns, width);
      fetch(second, of_second + start * at.stride, at.stride, columns, width);
    }
    glen_close_group();
  }

  GLEN_MEMBER static void output(const glen_attention &a) {
    GLEN_SHARED factor keys[2], values[2];
    GLEN_SHARED float bias[2][THREADS];
    place at = tiled::find(a);
    if (at.rows <= 0) return;
    long width = a.head_width, start, end;
    range(a, at, start, end);
    const unsigned short *k = a.half_keys + at.key_place, *v = a.half_values + at.key_place;
    fetch(keys[1], a.half_queries + at.query_place + at.first_row * at.stride, at.stride, at.rows,
          width);
    glen_close_group();
    fetch_columns(keys[0], k, values[0], v, at, start, end, width);
    bias[0][glen_thread()] = bias_of(a, at, start);
    glen_await<1>();
    glen_barrier();
    unsigned queries[STEPS][4];
    take(keys[1], queries);
    float result[PARTS][4], score[PARTS][4];
    float max[2] = {-GLEN_INFINITY, -GLEN_INFINITY}, sum[2] = {0, 0};
    clear(result);
    for (int now = 0; start < end; start += TILE, now ^= 1) {
      int columns = columns_from(at, start);
      long next = start + TILE;
      glen_barrier();
      fetch_columns(keys[now ^ 1], k, values[now ^ 1], v, at, next, end, width);
      float next_bias = bias_of(a, at, next);
      glen_await<1>();
      glen_barrier();
      float greatest[2] = {max[0], max[1]};
      int seen[2] = {seen_columns(a, at, start, columns, 0),
                     seen_columns(a, at, start, columns, 1)};
#pragma unroll
      for (int part = 0; part < PARTS; part += 2)
        if (part * 8 < columns)
          multiply(queries, keys[now], part * 8, score[part], score[part + 1]);
#pragma unroll
      for (int part = 0; part < PARTS; part++)
#pragma unroll
        for (int i = 0; i < 4; i++) {
          int row = warp_row() + i / 2 * 8, column = part * 8 + 2 * pair() + i % 2;
          score[part][i] = column < seen[i / 2] ? score[part][i] * GLEN_LOG2_E +
                                                      bias[now][column - row + TILE - 1]
                                                : -GLEN_INFINITY;
          if (score[part][i] > greatest[i / 2]) greatest[i / 2] = score[part][i];
        }
      soften(greatest, score, max, sum, result);
      if (a.drops) {
        unsigned keeps = kept(a, at, start);
#pragma unroll
        for (int part = 0; part < PARTS; part++)
          drop(keeps, part * 4, 1 / (1 - a.rate), score[part]);
      }
#pragma unroll
      for (int part = 0; part < PARTS; part += 2) {
        if (part * 8 >= columns) continue;
        unsigned weights[4];
        take(score[part], score[part + 1], weights);
        multiply_rows(weights, values[now], part * 8, result);
      }
      bias[now ^ 1][glen_thread()] = next_bias;
    }
    glen_await<0>();
    finish(a, at, max, sum, result);
  }

  // Turns scores, times log2 e, into exp(score - running greatest), and rescales what was summed
  // before. Four threads share a row, and each keeps a part of its sum.
  GLEN_MEMBER static void soften(float (&greatest)[2], float (&score)[PARTS][4], float (&max)[2],
                                 float (&sum)[2], float (&result)[PARTS][4]) {
    float factor[2], subtracted[2];
#pragma unroll
    for (int half = 0; half < 2; half++) {
      for (int lanes = 1; lanes < 4; lanes *= 2) {
        float other = glen_exchange(greatest[half], lanes);
        greatest[half] = other > greatest[half] ? other : greatest[half];
      }
      // Without a number so far both are -infinity, whose difference is none.
      factor[half] = max[half] == greatest[half] ? 1 : glen_exp2(max[half] - greatest[half]);
      subtracted[half] = greatest[half] == -GLEN_INFINITY ? 0 : greatest[half];
      max[half] = greatest[half];
      sum[half] *= factor[half];
    }
#pragma unroll
    for (int part = 0; part < PARTS; part++)
#pragma unroll
      for (int i = 0; i < 4; i++) {
        score[part][i] = glen_exp2(score[part][i] - subtracted[i / 2]);
        sum[i / 2] += score[part][i];
        result[part][i] *= factor[i / 2];
      }
  }

  GLEN_MEMBER static void finish(const glen_attention &a, const place &at, const float (&max)[2],
                                 float (&sum)[2], const float (&result)[PARTS][4]) {
    float inverse[2];
#pragma unroll
    for (int half = 0; half < 2; half++) {
      for (int lanes = 1; lanes < 4; lanes *= 2) sum[half] += glen_exchange(sum[half], lanes);
      inverse[half] = sum[half] == 0 ? 0 : 1 / sum[half];
      int row = warp_row() + 8 * half;
      if (pair() == 0 && row < at.rows)
        a.log_sums[at.head * a.all_queries + at.first_query + at.first_row + row] =
            max[half] / GLEN_LOG2_E + logf(sum[half]);
    }
    store(a.result, a.rounded, at.query_place, at, a.head_width, inverse[0], inverse[1], result,
          a.accumulates);
  }

  // The sums of output times its gradient of the tile's rows, kept for the gradients of the keys too.
  // Two threads share a row.
  GLEN_MEMBER static void put_deltas(const glen_attention &a, const place &at,
                                     float (&deltas)[TILE]) {
    int row = glen_thread() / 2, first = glen_thread() % 2 * TILE / 2;
    float sum = 0;
    if (row < at.rows) {
      long start = at.query_place + (at.first_row + row) * at.stride;
#pragma unroll
      for (int i = 0; i < TILE / 2; i += 8) {
        if (first + i >= a.head_width) continue;
        glen_four_words o = *(const glen_four_words *)(a.half_output + start + first + i);
        glen_four_words d = *(const glen_four_words *)(a.half_doutput + start + first + i);
        sum += products(o.x, d.x) + products(o.y, d.y) + products(o.z, d.z) + products(o.w, d.w);
      }
    }
    sum += glen_exchange(sum, 1);
    if (glen_thread() % 2) return;
    deltas[row] = sum;
    if (row < at.rows)
      a.delta[at.head * a.all_queries + at.first_query + at.first_row + row] = sum;
  }

  GLEN_MEMBER static float products(unsigned a, unsigned b) {
    return glen_widen(a & 0xffff) * glen_widen(b & 0xffff) +
           glen_widen(a >> 16) * glen_widen(b >> 16);
  }

  // The gradients of queries, and of scores by distance.
  GLEN_MEMBER static void queries(const glen_attention &a) {
    GLEN_SHARED factor keys[2], values[2];
    GLEN_SHARED float bias[2][THREADS], deltas[TILE];
    place at = tiled::find(a);
    if (at.rows <= 0) return;
    long width = a.head_width, own = at.query_place + at.first_row * at.stride, start, end;
    range(a, at, start, end);
    const unsigned short *k = a.half_keys + at.key_place, *v = a.half_values + at.key_place;
    fetch(keys[1], a.half_queries + own, at.stride, at.rows, width);
    fetch(values[1], a.half_doutput + own, at.stride, at.rows, width);
    glen_close_group();
    fetch_columns(keys[0], k, values[0], v, at, start, end, width);
    bias[0][glen_thread()] = bias_of(a, at, start);
    put_deltas(a, at, deltas);
    glen_await<1>();
    glen_barrier();
    unsigned left[STEPS][4], douts[STEPS][4];
    take(keys[1], left);
    take(values[1], douts);
    float result[PARTS][4], log_sum[2], delta[2], keep = a.drops ? 1 / (1 - a.rate) : 1;
    clear(result);
#pragma unroll
    for (int half = 0; half < 2; half++) {
      int row = warp_row() + 8 * half;
      long number = at.head * a.all_queries + at.first_query + at.first_row + row;
      log_sum[half] = row < at.rows ? a.log_sums[number] * GLEN_LOG2_E : 0;
      delta[half] = deltas[row];
    }
    for (int now = 0; start < end; start += TILE, now ^= 1) {
      int columns = columns_from(at, start);
      long next = start + TILE;
      glen_barrier();
      fetch_columns(keys[now ^ 1], k, values[now ^ 1], v, at, next, end, width);
      float next_bias = bias_of(a, at, next);
      glen_await<1>();
      glen_barrier();
      unsigned keeps = a.drops ? kept(a, at, start) : 0, weights[STEPS][4];
      int seen[2] = {seen_columns(a, at, start, columns, 0),
                     seen_columns(a, at, start, columns, 1)};
#pragma unroll
      for (int step = 0; step < STEPS; step++) {
        weights[step][0] = weights[step][1] = weights[step][2] = weights[step][3] = 0;
        if (step * STEP >= columns) continue;
        float score[2][4], dscore[2][4];
        multiply(left, keys[now], step * STEP, score[0], score[1]);
        multiply(douts, values[now], step * STEP, dscore[0], dscore[1]);
#pragma unroll
        for (int part = 0; part < 2; part++) {
          if (a.drops) drop(keeps, step * 8 + part * 4, keep, dscore[part]);
#pragma unroll
          for (int i = 0; i < 4; i++) {
            int row = warp_row() + i / 2 * 8;
            int column = step * STEP + part * 8 + 2 * pair() + i % 2;
            float p = glen_exp2(score[part][i] * GLEN_LOG2_E +
                                bias[now][column - row + TILE - 1] - log_sum[i / 2]);
            score[part][i] = column < seen[i / 2] ? p * (dscore[part][i] - delta[i / 2]) : 0;
          }
        }
        take(score[0], score[1], weights[step]);
        multiply_rows(weights[step], keys[now], step * STEP, result);
      }
      if (a.distances) {
        // The values are done with.
        glen_barrier();
        put(weights, values[now]);
        glen_barrier();
        add_distances(a, values[now], start - (at.first_row + at.shift));
      }
      bias[now ^ 1][glen_thread()] = next_bias;
    }
    glen_await<0>();
    store(a.result, a.rounded, at.query_place, at, width, 1, 1, result, a.accumulates);
  }

  // A tile of weights by rows, for all threads to read.
  GLEN_MEMBER static void put(const unsigned (&weights)[STEPS][4], factor &tile) {
    int row = warp_row();
#pragma unroll
    for (int step = 0; step < STEPS; step++) {
      int word = step * 8 + pair();
      tile.words[row][word] = weights[step][0];
      tile.words[row + 8][word] = weights[step][1];
      tile.words[row][word + 4] = weights[step][2];
      tile.words[row + 8][word + 4] = weights[step][3];
    }
  }

  // Adds the tile's gradients by distance; the threads take different diagonals.
  GLEN_MEMBER static void add_distances(const glen_attention &a, const factor &gradients,
                                        long first_distance) {
    long tile = glen_block().x, head = glen_block().y;
    int diagonal = glen_thread();
    long distance = first_distance + diagonal - (TILE - 1);
    if (diagonal >= 2 * TILE - 1 || distance < -a.reach || distance > a.reach) return;
    float sums[4] = {0, 0, 0, 0};
#pragma unroll 4
    for (int row = 0; row < TILE; row += 4)
#pragma unroll
      for (int i = 0; i < 4; i++) {
        int column = diagonal - (TILE - 1) + row + i;
        if (column < 0 || column >= TILE) continue;
        unsigned word = gradients.words[row + i][column / 2];
        sums[i] += glen_widen(column % 2 ? word >> 16 : word & 0xffff);
      }
    a.distances[(tile * a.heads + head) * (2 * a.reach + 1) + a.reach + distance] +=
        sums[0] + sums[1] + (sums[2] + sums[3]);
  }

  // The thread's number of those that belong to the queries of a tile of columns: the logarithm of
  // the sum, times log2 e, or, in the second half of the threads, delta.
  GLEN_MEMBER static float number_of(const glen_attention &a, const place &at, long start) {
    int column = glen_thread() % TILE;
    if (start + column >= at.all_columns) return 0;
    long number = at.head * a.all_queries + at.first_query + start + column;
    return glen_thread() < TILE ? a.log_sums[number] * GLEN_LOG2_E : a.delta[number];
  }

  // The gradients of keys and values.
  GLEN_MEMBER static void keys(const glen_attention &a) {
    GLEN_SHARED factor queries[2], douts[2];
    GLEN_SHARED float bias[2][THREADS], numbers[2][THREADS];
    place at = tiled::find(a);
    if (at.rows <= 0) return;
    long width = a.head_width, own = at.key_place + at.first_row * at.stride, start, end;
    range(a, at, start, end);
    const unsigned short *q = a.half_queries + at.query_place;
    const unsigned short *d = a.half_doutput + at.query_place;
    fetch(queries[1], a.half_keys + own, at.stride, at.rows, width);
    fetch(douts[1], a.half_values + own, at.stride, at.rows, width);
    glen_close_group();
    fetch_columns(queries[0], q, douts[0], d, at, start, end, width);
    bias[0][glen_thread()] = bias_of(a, at, start);
    numbers[0][glen_thread()] = number_of(a, at, start);
    glen_await<1>();
    glen_barrier();
    unsigned left[STEPS][4], values[STEPS][4];
    take(queries[1], left);
    take(douts[1], values);
    float of_keys[PARTS][4], of_values[PARTS][4];
    clear(of_keys);
    clear(of_values);
    float keep = a.drops ? 1 / (1 - a.rate) : 1;
    for (int now = 0; start < end; start += TILE, now ^= 1) {
      int columns = columns_from(at, start);
      long next = start + TILE;
      glen_barrier();
      fetch_columns(queries[now ^ 1], q, douts[now ^ 1], d, at, next, end, width);
      float next_bias = bias_of(a, at, next), next_number = number_of(a, at, next);
      glen_await<1>();
      glen_barrier();
      unsigned keeps = a.drops ? kept(a, at, start) : 0;
      // Which queries see the thread's keys: from the first number to before the second.
      int first[2], last[2];
#pragma unroll
      for (int half = 0; half < 2; half++) {
        long row = warp_row() + 8 * half, from = at.first_row + row - at.shift - start;
        first[half] = a.causal && from > 0 ? (int)(from < TILE ? from : TILE) : 0;
        last[half] = row < at.rows ? columns : 0;
      }
#pragma unroll
      for (int step = 0; step < STEPS; step++) {
        if (step * STEP >= columns) continue;
        float score[2][4], dscore[2][4];
        unsigned weights[4];
        multiply(left, queries[now], step * STEP, score[0], score[1]);
        multiply(values, douts[now], step * STEP, dscore[0], dscore[1]);
#pragma unroll
        for (int part = 0; part < 2; part++) {
          if (a.drops) drop(keeps, step * 8 + part * 4, keep, dscore[part]);
#pragma unroll
          for (int i = 0; i < 4; i++) {
            int row = warp_row() + i / 2 * 8;
            int column = step * STEP + part * 8 + 2 * pair() + i % 2;
            float p = glen_exp2(score[part][i] * GLEN_LOG2_E +
                                bias[now][column - row + TILE - 1] - numbers[now][column]);
            if (column < first[i / 2] || column >= last[i / 2]) p = 0;
            dscore[part][i] = p * (dscore[part][i] - numbers[now][TILE + column]);
            score[part][i] = p;
          }
          if (a.drops) drop(keeps, step * 8 + part * 4, keep, score[part]);
        }
        take(score[0], score[1], weights);
        multiply_rows(weights, douts[now], step * STEP, of_values);
        take(dscore[0], dscore[1], weights);
        multiply_rows(weights, queries[now], step * STEP, of_keys);
      }
      bias[now ^ 1][glen_thread()] = next_bias;
      numbers[now ^ 1][glen_thread()] = next_number;
    }
    glen_await<0>();
    store(a.keys_result, a.rounded_keys, at.key_place, at, width, 1, 1, of_keys,
          a.accumulates_keys);
    store(a.values_result, a.rounded_values, at.key_place, at, width, 1, 1, of_values,
          a.accumulates_values);
  }
};

}  // namespace glen_bf16

GLEN_KERNEL_OF(glen_attention_output_bf16, 128, 4, glen_attention a) {
  glen_bf16::attend<GLEN_OUTPUT>::output(a);
}
GLEN_KERNEL_OF(glen_attention_dqueries_bf16, 128, 4, glen_attention a) {
  glen_bf16::attend<GLEN_DQUERIES>::queries(a);
}
GLEN_KERNEL_OF(glen_attention_dkeys_bf16, 128, 3, glen_attention a) {
  glen_bf16::attend<GLEN_DKEYS>::keys(a);
}

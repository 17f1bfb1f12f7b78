#include "glen_attention.h"
#include "random.h"

// Attention with factors rounded to bfloat16, for the units that multiply matrices: the tiles of
// attention.cu, which must come before, 64 x 64, by four warps with 16 rows each. Sums, exponentials and what is summed over
// tiles are float32, as in every product. Heads are at most 64 columns wide, in whole eights.
//
// A factor lies in shared memory as pairs of what a product sums over: along a row (`load`), or, where
// rows are summed over, down a column (`load_columns`). Rows of 36 words put what a warp reads at
// once into different banks.
namespace glen_bf16 {

// Exponentials are powers of 2: of scores times this, the logarithm of e to the base 2.
#define GLEN_LOG2_E 1.4426950408889634f

enum { TILE = 64, WORDS = 36, THREADS = 128, STEPS = TILE / 16, PARTS = TILE / 8 };

typedef unsigned factor[TILE][WORDS];

// A row's pairs, from global memory; zero where there is none.
GLEN_DEVICE void load(factor &tile, const float *from, long stride, long rows, long width) {
#pragma unroll 4
  for (int i = glen_thread(); i < TILE * 16; i += THREADS) {
    int row = i / 16, column = i % 16 * 4;
    glen_four x = {0, 0, 0, 0};
    if (row < rows && column < width) x = *(const glen_four *)(from + row * stride + column);
    tile[row][column / 2] = glen_pair(x.x, x.y);
    tile[row][column / 2 + 1] = glen_pair(x.z, x.w);
  }
}

// The pairs of two rows, by columns.
GLEN_DEVICE void load_columns(factor &tile, const float *from, long stride, long rows, long width) {
#pragma unroll 4
  for (int i = glen_thread(); i < TILE / 2 * 16; i += THREADS) {
    int pair = i % 32, column = i / 32 * 4;
    glen_four x = {0, 0, 0, 0}, y = x;
    const float *place = from + 2 * pair * stride + column;
    if (2 * pair < rows && column < width) x = *(const glen_four *)place;
    if (2 * pair + 1 < rows && column < width) y = *(const glen_four *)(place + stride);
    tile[column][pair] = glen_pair(x.x, y.x);
    tile[column + 1][pair] = glen_pair(x.y, y.y);
    tile[column + 2][pair] = glen_pair(x.z, y.z);
    tile[column + 3][pair] = glen_pair(x.w, y.w);
  }
}

// Which part of a product is this thread's: of the warp's rows the `row`th and the eighth after it,
// and of eight columns number 2 `pair` and the next.
GLEN_DEVICE int warp_row() { return glen_thread() / 32 * 16 + glen_thread() % 32 / 4; }
GLEN_DEVICE int pair() { return glen_thread() % 4; }

// The warp's rows of a left factor.
GLEN_DEVICE void take(const factor &tile, unsigned (&left)[STEPS][4]) {
  int row = warp_row();
#pragma unroll
  for (int step = 0; step < STEPS; step++) {
    int word = step * 8 + pair();
    left[step][0] = tile[row][word];
    left[step][1] = tile[row + 8][word];
    left[step][2] = tile[row][word + 4];
    left[step][3] = tile[row + 8][word + 4];
  }
}

// What a product left in this thread, as the left factor of the next.
GLEN_DEVICE void take(const float (&product)[PARTS][4], unsigned (&left)[STEPS][4]) {
#pragma unroll
  for (int step = 0; step < STEPS; step++)
#pragma unroll
    for (int half = 0; half < 2; half++) {
      left[step][2 * half] = glen_pair(product[2 * step + half][0], product[2 * step + half][1]);
      left[step][2 * half + 1] =
          glen_pair(product[2 * step + half][2], product[2 * step + half][3]);
    }
}

// product += left right', for the warp's rows.
GLEN_DEVICE void multiply(const unsigned (&left)[STEPS][4], const factor &right,
                          float (&product)[PARTS][4]) {
  int column = glen_thread() % 32 / 4;
#pragma unroll
  for (int step = 0; step < STEPS; step++)
#pragma unroll
    for (int part = 0; part < PARTS; part++) {
      const unsigned *words = right[part * 8 + column] + step * 8 + pair();
      glen_multiply(product[part], left[step], words[0], words[4]);
    }
}

GLEN_DEVICE void clear(float (&product)[PARTS][4]) {
#pragma unroll
  for (int part = 0; part < PARTS; part++)
#pragma unroll
    for (int i = 0; i < 4; i++) product[part][i] = 0;
}

template <int MODE> struct attend {
  // Where tiles lie, their biases and their random numbers are those of attention.cu.
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

  // Writes a tile of results from `start` of the matrix, each row by its factor; without `to`, as
  // bfloat16 alone.
  GLEN_MEMBER static void store(float *to, unsigned short *rounded, long start, const place &at, long width, float upper, float lower,
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

  GLEN_MEMBER static void output(const glen_attention &a) {
    GLEN_SHARED factor keys, values;
    GLEN_SHARED float bias[2 * TILE];
    place at = tiled::find(a);
    if (at.rows <= 0) return;
    long width = a.head_width, start, end;
    range(a, at, start, end);
    load(keys, a.queries + at.query_place + at.first_row * at.stride, at.stride, at.rows, width);
    glen_barrier();
    unsigned queries[STEPS][4], weights[STEPS][4];
    take(keys, queries);
    float result[PARTS][4], score[PARTS][4];
    float max[2] = {-GLEN_INFINITY, -GLEN_INFINITY}, sum[2] = {0, 0};
    clear(result);
    for (; start < end; start += TILE) {
      long columns = at.all_columns - start < TILE ? at.all_columns - start : TILE;
      glen_barrier();
      load(keys, a.keys + at.key_place + start * at.stride, at.stride, columns, width);
      load_columns(values, a.values + at.key_place + start * at.stride, at.stride, columns, width);
      if (a.bias) tiled::load_bias(a, bias, at, start - (at.first_row + at.shift));
      glen_barrier();
      clear(score);
      multiply(queries, keys, score);
      float greatest[2] = {max[0], max[1]};
      int seen[2] = {seen_columns(a, at, start, (int)columns, 0),
                     seen_columns(a, at, start, (int)columns, 1)};
#pragma unroll
      for (int part = 0; part < PARTS; part++)
#pragma unroll
        for (int i = 0; i < 4; i++) {
          int row = warp_row() + i / 2 * 8, column = part * 8 + 2 * pair() + i % 2;
          float s = a.bias ? score[part][i] + bias[column - row + TILE - 1] : score[part][i];
          score[part][i] = column < seen[i / 2] ? s * GLEN_LOG2_E : -GLEN_INFINITY;
          if (score[part][i] > greatest[i / 2]) greatest[i / 2] = score[part][i];
        }
      soften(a, at, start, greatest, score, max, sum, result);
      take(score, weights);
      multiply(weights, values, result);
    }
    finish(a, at, max, sum, result);
  }

  // Of the columns from `start`, how many the thread's upper or lower row sees.
  GLEN_MEMBER static int seen_columns(const glen_attention &a, const place &at, long start,
                                      int columns, int half) {
    long row = warp_row() + 8 * half;
    if (row >= at.rows) return 0;
    long seen = at.first_row + row + at.shift + 1 - start;
    return a.causal && seen < columns ? (int)seen : columns;
  }

  // Turns scores, times log2 e, into exp(score - running greatest), dropped or kept, and rescales what
  // was summed before. Four threads share a row, and each keeps a part of its sum.
  GLEN_MEMBER static void soften(const glen_attention &a, const place &at, long start,
                                 float (&greatest)[2], float (&score)[PARTS][4], float (&max)[2],
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
    if (a.drops) drop(kept(a, at, start), 1 / (1 - a.rate), score);
  }

  GLEN_MEMBER static void drop(unsigned keeps, float keep, float (&weights)[PARTS][4]) {
#pragma unroll
    for (int part = 0; part < PARTS; part++)
#pragma unroll
      for (int i = 0; i < 4; i++)
        weights[part][i] = keeps >> (part * 4 + i) & 1 ? weights[part][i] * keep : 0;
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

  // The gradients of queries, and of scores by distance.
  GLEN_MEMBER static void queries(const glen_attention &a) {
    GLEN_SHARED factor keys, key_columns, values;
    GLEN_SHARED float bias[2 * TILE];
    GLEN_SHARED float gradients[TILE][TILE + 1];
    place at = tiled::find(a);
    if (at.rows <= 0) return;
    long width = a.head_width, own = at.query_place + at.first_row * at.stride, start, end;
    range(a, at, start, end);
    load(keys, a.queries + own, at.stride, at.rows, width);
    load(values, a.doutput + own, at.stride, at.rows, width);
    glen_barrier();
    unsigned left[STEPS][4], douts[STEPS][4], weights[STEPS][4];
    take(keys, left);
    take(values, douts);
    float result[PARTS][4], score[PARTS][4], dscore[PARTS][4], log_sum[2], delta[2];
    clear(result);
#pragma unroll
    for (int half = 0; half < 2; half++) {
      int row = warp_row() + 8 * half;
      long number = at.head * a.all_queries + at.first_query + at.first_row + row;
      log_sum[half] = row < at.rows ? a.log_sums[number] * GLEN_LOG2_E : 0;
      delta[half] = row < at.rows ? a.delta[number] : 0;
    }
    for (; start < end; start += TILE) {
      long columns = at.all_columns - start < TILE ? at.all_columns - start : TILE;
      long column_place = at.key_place + start * at.stride;
      glen_barrier();
      load(keys, a.keys + column_place, at.stride, columns, width);
      load_columns(key_columns, a.keys + column_place, at.stride, columns, width);
      load(values, a.values + column_place, at.stride, columns, width);
      if (a.bias) tiled::load_bias(a, bias, at, start - (at.first_row + at.shift));
      glen_barrier();
      clear(score);
      clear(dscore);
      multiply(left, keys, score);
      multiply(douts, values, dscore);
      if (a.drops) drop(kept(a, at, start), 1 / (1 - a.rate), dscore);
      int seen[2] = {seen_columns(a, at, start, (int)columns, 0),
                     seen_columns(a, at, start, (int)columns, 1)};
#pragma unroll
      for (int part = 0; part < PARTS; part++)
#pragma unroll
        for (int i = 0; i < 4; i++) {
          int row = warp_row() + i / 2 * 8, column = part * 8 + 2 * pair() + i % 2;
          float b = a.bias ? bias[column - row + TILE - 1] : 0;
          float p = glen_exp2((score[part][i] + b) * GLEN_LOG2_E - log_sum[i / 2]);
          score[part][i] = column < seen[i / 2] ? p * (dscore[part][i] - delta[i / 2]) : 0;
          if (a.distances) gradients[row][column] = score[part][i];
        }
      take(score, weights);
      multiply(weights, key_columns, result);
      if (a.distances) {
        glen_barrier();
        add_distances(a, gradients, start - (at.first_row + at.shift));
      }
    }
    store(a.result, a.rounded, at.query_place, at, width, 1, 1, result, a.accumulates);
  }

  // Adds the tile's gradients by distance; the threads take different diagonals.
  GLEN_MEMBER static void add_distances(const glen_attention &a,
                                        const float (&gradients)[TILE][TILE + 1],
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
        if (column >= 0 && column < TILE) sums[i] += gradients[row + i][column];
      }
    a.distances[(tile * a.heads + head) * (2 * a.reach + 1) + a.reach + distance] +=
        sums[0] + sums[1] + (sums[2] + sums[3]);
  }

  // The gradients of keys and values.
  GLEN_MEMBER static void keys(const glen_attention &a) {
    GLEN_SHARED factor queries, query_columns, douts, dout_columns;
    GLEN_SHARED float bias[2 * TILE], log_sums[TILE], deltas[TILE];
    place at = tiled::find(a);
    if (at.rows <= 0) return;
    long width = a.head_width, own = at.key_place + at.first_row * at.stride, start, end;
    range(a, at, start, end);
    load(queries, a.keys + own, at.stride, at.rows, width);
    load(douts, a.values + own, at.stride, at.rows, width);
    glen_barrier();
    unsigned left[STEPS][4], values[STEPS][4], weights[STEPS][4];
    take(queries, left);
    take(douts, values);
    float of_keys[PARTS][4], of_values[PARTS][4], score[PARTS][4], dscore[PARTS][4];
    clear(of_keys);
    clear(of_values);
    float keep = a.drops ? 1 / (1 - a.rate) : 1;
    for (; start < end; start += TILE) {
      long columns = at.all_columns - start < TILE ? at.all_columns - start : TILE;
      long column_place = at.query_place + start * at.stride;
      glen_barrier();
      load(queries, a.queries + column_place, at.stride, columns, width);
      load_columns(query_columns, a.queries + column_place, at.stride, columns, width);
      load(douts, a.doutput + column_place, at.stride, columns, width);
      load_columns(dout_columns, a.doutput + column_place, at.stride, columns, width);
      for (int c = glen_thread(); c < TILE; c += THREADS) {
        long number = at.head * a.all_queries + at.first_query + start + c;
        log_sums[c] = c < columns ? a.log_sums[number] * GLEN_LOG2_E : 0;
        deltas[c] = c < columns ? a.delta[number] : 0;
      }
      if (a.bias) tiled::load_bias(a, bias, at, at.first_row - at.shift - start);
      glen_barrier();
      clear(score);
      clear(dscore);
      multiply(left, queries, score);
      multiply(values, douts, dscore);
      unsigned keeps = a.drops ? kept(a, at, start) : 0;
      if (a.drops) drop(keeps, keep, dscore);
      // Which queries see the thread's keys: from the first number to before the second.
      int first[2], last[2];
#pragma unroll
      for (int half = 0; half < 2; half++) {
        long row = warp_row() + 8 * half, from = at.first_row + row - at.shift - start;
        first[half] = a.causal && from > 0 ? (int)(from < TILE ? from : TILE) : 0;
        last[half] = row < at.rows ? (int)columns : 0;
      }
#pragma unroll
      for (int part = 0; part < PARTS; part++)
#pragma unroll
        for (int i = 0; i < 4; i++) {
          int row = warp_row() + i / 2 * 8, column = part * 8 + 2 * pair() + i % 2;
          float b = a.bias ? bias[column - row + TILE - 1] : 0;
          float p = glen_exp2((score[part][i] + b) * GLEN_LOG2_E - log_sums[column]);
          if (column < first[i / 2] || column >= last[i / 2]) p = 0;
          dscore[part][i] = p * (dscore[part][i] - deltas[column]);
          score[part][i] = p;
        }
      if (a.drops) drop(keeps, keep, score);
      take(score, weights);
      multiply(weights, dout_columns, of_values);
      take(dscore, weights);
      multiply(weights, query_columns, of_keys);
    }
    store(a.keys_result, a.rounded_keys, at.key_place, at, width, 1, 1, of_keys,
          a.accumulates_keys);
    store(a.values_result, a.rounded_values, at.key_place, at, width, 1, 1, of_values,
          a.accumulates_values);
  }
};

}  // namespace glen_bf16

GLEN_KERNEL_OF(glen_attention_output_bf16, 128, 3, glen_attention a) {
  glen_bf16::attend<GLEN_OUTPUT>::output(a);
}
GLEN_KERNEL_OF(glen_attention_dqueries_bf16, 128, 3, glen_attention a) {
  glen_bf16::attend<GLEN_DQUERIES>::queries(a);
}
GLEN_KERNEL_OF(glen_attention_dkeys_bf16, 128, 2, glen_attention a) {
  glen_bf16::attend<GLEN_DKEYS>::keys(a);
}

#include "glen_attention.h"
#include "random.h"

// Attention on packed sequences, and its gradients. A block owns a tile of rows of one head of one
// sequence, goes through the other side in tiles of columns, and never holds more than one tile of
// scores:
//
//     mode        rows     columns  weights                   result
//     output      queries  keys     dropout(exp(S - max))     weights V / sum, as tiles come in
//     d queries   queries  keys     P (dropout(dP) - delta)   weights K
//     d keys      keys     queries  the same, transposed      weights Q
//     d values    keys     queries  dropout(P), transposed    weights dO
//
// with S = Q K' + bias, P = exp(S - log sum) and dP = dO V'. Query i of a sequence stands at key
// position i + keys - queries.
enum glen_mode { GLEN_OUTPUT, GLEN_DQUERIES, GLEN_DKEYS, GLEN_DVALUES };

// ROWS x COLUMNS scores by TY x TX threads; CHUNK columns of the head at a time; up to WIDTH
// columns of the result, further ones by blocks of their own.
template <int MODE, int ROWS, int COLUMNS, int WIDTH, int CHUNK, int TX> struct glen_attend {
  static constexpr int TY = GLEN_THREADS / TX;
  static constexpr int ROW_COUNT = ROWS / TY, COLUMN_COUNT = COLUMNS / TX;
  static constexpr int CHUNK_COUNT = WIDTH / CHUNK, PART = CHUNK / TX;
  // Threads that share a row of the softmax: neighbours in one warp.
  static constexpr int SHARE = GLEN_THREADS / ROWS;
  static constexpr bool BY_KEYS = MODE == GLEN_DKEYS || MODE == GLEN_DVALUES;
  static_assert(SHARE <= 32 && CHUNK % TX == 0 && WIDTH % CHUNK == 0, "threads share rows");

  struct shared {
    float left[ROWS][CHUNK + 1], right[COLUMNS][CHUNK + 1], weights[ROWS][COLUMNS + 1];
    float bias[ROWS + COLUMNS], factor[ROWS];
  };

  // Rows of a matrix from global memory, zero where there are none.
  GLEN_MEMBER static void load(float (*tile)[CHUNK + 1], int size, const float *from, long stride,
                               long rows, long column, long width) {
#pragma unroll 2
    for (int i = glen_thread(); i < size * CHUNK; i += GLEN_THREADS) {
      int row = i / CHUNK, c = i % CHUNK;
      tile[row][c] = row < rows && column + c < width ? from[row * stride + column + c] : 0;
    }
  }

  // The products of a tile of rows with a tile of columns.
  GLEN_MEMBER static void scores(shared &s, const float *left, long rows, const float *right,
                                 long columns, long stride, long width,
                                 float (&sums)[ROW_COUNT][COLUMN_COUNT]) {
    int tx = glen_thread() % TX, ty = glen_thread() / TX;
#pragma unroll
    for (int i = 0; i < ROW_COUNT; i++)
#pragma unroll
      for (int j = 0; j < COLUMN_COUNT; j++) sums[i][j] = 0;
    for (long start = 0; start < width; start += CHUNK) {
      glen_barrier();
      load(s.left, ROWS, left, stride, rows, start, width);
      load(s.right, COLUMNS, right, stride, columns, start, width);
      glen_barrier();
#pragma unroll 4
      for (int c = 0; c < CHUNK; c++) {
        float own[ROW_COUNT], other[COLUMN_COUNT];
#pragma unroll
        for (int i = 0; i < ROW_COUNT; i++) own[i] = s.left[ty + i * TY][c];
#pragma unroll
        for (int j = 0; j < COLUMN_COUNT; j++) other[j] = s.right[tx + j * TX][c];
#pragma unroll
        for (int i = 0; i < ROW_COUNT; i++)
#pragma unroll
          for (int j = 0; j < COLUMN_COUNT; j++) sums[i][j] += own[i] * other[j];
      }
    }
  }

  // Turns raw scores into exp(score - running greatest), and gives each row's factor for what was
  // summed before. `max` and `sum` are the row's, the same in all threads that share it.
  GLEN_MEMBER static void soften(const glen_attention &a, shared &s, long visible_of_first,
                                 long columns, unsigned long long element, float &max, float &sum) {
    int row = glen_thread() / SHARE, part = glen_thread() % SHARE;
    long seen = a.causal ? visible_of_first + row : columns;
    if (seen > columns) seen = columns;
    float greatest = max;
#pragma unroll 1
    for (int c = part; c < COLUMNS; c += SHARE)
      if (c < seen && s.weights[row][c] > greatest) greatest = s.weights[row][c];
    for (int lanes = SHARE / 2; lanes > 0; lanes /= 2) {
      float other = glen_exchange(greatest, lanes);
      greatest = other > greatest ? other : greatest;
    }
    float own = 0;
#pragma unroll 1
    for (int c = part; c < COLUMNS; c += SHARE) {
      float weight = c < seen ? expf(s.weights[row][c] - greatest) : 0;
      own += weight;
      if (a.drops && c < seen)
        weight *= glen_dropout_factor(element + row * a.heads * a.numbers_per_row + c, a.rate,
                                      a.seed, a.stream);
      s.weights[row][c] = weight;
    }
    for (int lanes = SHARE / 2; lanes > 0; lanes /= 2) own += glen_exchange(own, lanes);
    // Without a number so far both are -infinity, whose difference is none.
    float factor = max == greatest ? 1 : expf(max - greatest);
    if (part == 0) s.factor[row] = factor;
    max = greatest;
    sum = sum * factor + own;
  }

  // Adds the tile's weights by distance; the threads take different diagonals.
  GLEN_MEMBER static void add_distances(const glen_attention &a, shared &s, long first_distance) {
    float *sums = a.distances +
                  ((long)glen_block().x * a.heads + glen_block().y) * (2 * a.reach + 1) + a.reach;
    for (int diagonal = glen_thread(); diagonal < ROWS + COLUMNS - 1; diagonal += GLEN_THREADS) {
      long distance = first_distance + diagonal - (ROWS - 1);
      if (distance < -a.reach || distance > a.reach) continue;
      float sum = 0;
#pragma unroll 1
      for (int row = 0; row < ROWS; row++) {
        int c = diagonal - (ROWS - 1) + row;
        if (c >= 0 && c < COLUMNS) sum += s.weights[row][c];
      }
      sums[distance] += sum;
    }
  }

  // Where the block's tile lies: rows of one head of one sequence.
  struct place {
    long head, first_row, rows, all_columns, first_query, shift, stride, query_place, key_place;
  };

  GLEN_MEMBER static place find(const glen_attention &a) {
    long sequence = glen_block().x / a.tiles, head = glen_block().y;
    long first_query = a.query_offsets[sequence], first_key = a.key_offsets[sequence];
    long queries = a.query_offsets[sequence + 1] - first_query;
    long keys = a.key_offsets[sequence + 1] - first_key;
    long first_row = glen_block().x % a.tiles * ROWS;
    long rows = (BY_KEYS ? keys : queries) - first_row;
    long stride = a.heads * a.head_width;
    return {head,
            first_row,
            rows < ROWS ? rows : ROWS,
            BY_KEYS ? queries : keys,
            first_query,
            keys - queries,
            stride,
            first_query * stride + head * a.head_width,
            first_key * stride + head * a.head_width};
  }

  // The bias of each diagonal of the tile. `distance`, of key and query position, is that of the
  // first pair; one row further on it is one less, one column further on one more; by keys the other
  // way round.
  GLEN_MEMBER static void load_bias(const glen_attention &a, float *bias, const place &at,
                                    long distance) {
    for (int i = glen_thread(); i < ROWS + COLUMNS - 1; i += glen_threads()) {
      long d = BY_KEYS ? distance - (i - (ROWS - 1)) : distance + i - (ROWS - 1);
      bias[i] = d < -a.reach || d > a.reach
                      ? 0
                      : a.bias[(long)a.buckets[d + a.reach] * a.heads + at.head];
    }
    glen_barrier();
  }

  // The random number of a row's first probability.
  GLEN_MEMBER static unsigned long long number(const glen_attention &a, const place &at,
                                               long query) {
    long row = (a.mask_row + at.first_query + query) * a.heads + at.head;
    return (unsigned long long)(row * a.numbers_per_row);
  }

  // What the backward makes of a score and of the gradient of its probability.
  GLEN_MEMBER static float weigh(const glen_attention &a, const place &at, long query, long key,
                                 float score, float dprobability) {
    if (a.causal && key > query + at.shift) return 0;
    long row = at.head * a.all_queries + at.first_query + query;
    float p = expf(score - a.log_sums[row]);
    float factor =
        a.drops ? glen_dropout_factor(number(a, at, query) + key, a.rate, a.seed, a.stream) : 1;
    return MODE == GLEN_DVALUES ? p * factor : p * (dprobability * factor - a.delta[row]);
  }

  // The weights of the tile of columns from `start`: raw scores for the output, else final.
  GLEN_MEMBER static void fill_weights(const glen_attention &a, shared &s, const place &at,
                                       long start, long columns) {
    int tx = glen_thread() % TX, ty = glen_thread() / TX;
    float score[ROW_COUNT][COLUMN_COUNT], dscore[ROW_COUNT][COLUMN_COUNT];
    long row = at.first_row * at.stride, column = start * at.stride;
    const float *q = a.queries + at.query_place, *k = a.keys + at.key_place;
    scores(s, BY_KEYS ? k + row : q + row, at.rows, BY_KEYS ? q + column : k + column, columns,
           at.stride, a.head_width, score);
    if (MODE == GLEN_DQUERIES || MODE == GLEN_DKEYS) {
      const float *d = a.doutput + at.query_place, *v = a.values + at.key_place;
      scores(s, BY_KEYS ? v + row : d + row, at.rows, BY_KEYS ? d + column : v + column, columns,
             at.stride, a.head_width, dscore);
    }
    long ahead = at.first_row + at.shift, ahead_by_keys = at.first_row - at.shift;
    if (a.bias) load_bias(a, s.bias, at, BY_KEYS ? ahead_by_keys - start : start - ahead);
#pragma unroll
    for (int i = 0; i < ROW_COUNT; i++) {
#pragma unroll
      for (int j = 0; j < COLUMN_COUNT; j++) {
        int r = ty + i * TY, c = tx + j * TX;
        float value = score[i][j] + (a.bias ? s.bias[c - r + ROWS - 1] : 0);
        if (MODE != GLEN_OUTPUT) {
          long query = BY_KEYS ? start + c : at.first_row + r;
          long key = BY_KEYS ? at.first_row + r : start + c;
          bool is_there = r < at.rows && c < columns;
          float d = MODE == GLEN_DVALUES ? 0 : dscore[i][j];
          value = is_there ? weigh(a, at, query, key, value, d) : 0;
        }
        s.weights[r][c] = value;
      }
    }
    glen_barrier();
  }

  // Adds the weights times the rows of `mixed` to the result.
  GLEN_MEMBER static void mix(shared &s, const float *mixed, long columns, long stride,
                              long first_column, long width,
                              float (&result)[ROW_COUNT][CHUNK_COUNT * PART]) {
    int tx = glen_thread() % TX, ty = glen_thread() / TX;
#pragma unroll
    for (int chunk = 0; chunk < CHUNK_COUNT; chunk++) {
      long column = first_column + chunk * CHUNK;
      if (column >= width) continue;
      load(s.right, COLUMNS, mixed, stride, columns, column, width);
      glen_barrier();
#pragma unroll 4
      for (int j = 0; j < COLUMNS; j++) {
        float weight[ROW_COUNT];
#pragma unroll
        for (int i = 0; i < ROW_COUNT; i++) weight[i] = s.weights[ty + i * TY][j];
        for (int c = 0; c < PART; c++) {
          float value = s.right[j][tx + c * TX];
#pragma unroll
          for (int i = 0; i < ROW_COUNT; i++) result[i][chunk * PART + c] += weight[i] * value;
        }
      }
      glen_barrier();
    }
  }

  // Leaves 1 / sum in each row's factor, and writes the logarithm of the sum.
  GLEN_MEMBER static void finish_sums(const glen_attention &a, shared &s, const place &at,
                                      float max, float sum) {
    int row = glen_thread() / SHARE;
    if (glen_thread() % SHARE == 0) {
      s.factor[row] = sum == 0 ? 0 : 1 / sum;
      if (row < at.rows && glen_block().z == 0)
        a.log_sums[at.head * a.all_queries + at.first_query + at.first_row + row] =
            max + logf(sum);
    }
    glen_barrier();
  }

  GLEN_MEMBER static void run(const glen_attention &a) {
    GLEN_SHARED shared s;
    int tx = glen_thread() % TX, ty = glen_thread() / TX;
    place at = find(a);
    if (at.rows <= 0) return;
    long width = a.head_width, first_column = (long)glen_block().z * WIDTH;
    const float *mixed = MODE == GLEN_OUTPUT     ? a.values + at.key_place
                         : MODE == GLEN_DQUERIES ? a.keys + at.key_place
                         : MODE == GLEN_DKEYS    ? a.queries + at.query_place
                                                 : a.doutput + at.query_place;
    float result[ROW_COUNT][CHUNK_COUNT * PART];
#pragma unroll
    for (int i = 0; i < ROW_COUNT; i++)
#pragma unroll
      for (int c = 0; c < CHUNK_COUNT * PART; c++) result[i][c] = 0;
    float max = -GLEN_INFINITY, sum = 0;

    // What no row of the tile sees is not visited.
    long start = 0, end = at.all_columns;
    if (a.causal && BY_KEYS && at.first_row - at.shift > 0)
      start = (at.first_row - at.shift) / COLUMNS * COLUMNS;
    if (a.causal && !BY_KEYS && at.first_row + at.rows + at.shift < end)
      end = at.first_row + at.rows + at.shift;
    for (; start < end; start += COLUMNS) {
      long columns = at.all_columns - start < COLUMNS ? at.all_columns - start : COLUMNS;
      fill_weights(a, s, at, start, columns);
      if (MODE == GLEN_OUTPUT) {
        soften(a, s, at.first_row + at.shift + 1 - start, columns,
               number(a, at, at.first_row) + start, max, sum);
        glen_barrier();
#pragma unroll
        for (int i = 0; i < ROW_COUNT; i++)
#pragma unroll
          for (int c = 0; c < CHUNK_COUNT * PART; c++) result[i][c] *= s.factor[ty + i * TY];
      }
      if (MODE == GLEN_DQUERIES && a.distances && glen_block().z == 0)
        add_distances(a, s, start - (at.first_row + at.shift));
      mix(s, mixed + start * at.stride, columns, at.stride, first_column, width, result);
    }

    if (MODE == GLEN_OUTPUT) finish_sums(a, s, at, max, sum);
    float *to = a.result + (BY_KEYS ? at.key_place : at.query_place) + at.first_row * at.stride;
#pragma unroll
    for (int i = 0; i < ROW_COUNT; i++) {
      int row = ty + i * TY;
      if (row >= at.rows) continue;
      float factor = MODE == GLEN_OUTPUT ? s.factor[row] : 1;
#pragma unroll
      for (int c = 0; c < CHUNK_COUNT * PART; c++) {
        long column = first_column + c / PART * CHUNK + tx + c % PART * TX;
        if (column < width)
          glen_store(to + row * at.stride + column, factor * result[i][c], a.accumulates);
      }
    }
  }
};

// Tiles for many rows of narrow heads, for few rows of narrow heads, and for wide heads.
#define GLEN_ATTENTION(name, MODE) \
  GLEN_KERNEL(name##_many, glen_attention a) { glen_attend<MODE, 64, 64, 64, 32, 16>::run(a); } \
  GLEN_KERNEL(name##_few, glen_attention a) { glen_attend<MODE, 16, 64, 64, 64, 64>::run(a); } \
  GLEN_KERNEL(name##_wide, glen_attention a) { glen_attend<MODE, 16, 64, 768, 64, 64>::run(a); }

GLEN_ATTENTION(glen_attention_output, GLEN_OUTPUT)
GLEN_ATTENTION(glen_attention_dqueries, GLEN_DQUERIES)
GLEN_ATTENTION(glen_attention_dkeys, GLEN_DKEYS)
GLEN_ATTENTION(glen_attention_dvalues, GLEN_DVALUES)

// delta[head, row] = the sum of output times its gradient over the head's columns; one warp each.
GLEN_KERNEL(glen_attention_delta, const float *output, const float *doutput, float *delta,
            long heads, long head_width, long rows) {
  long index = (long)glen_block().x * (GLEN_THREADS / 32) + glen_thread() / 32;
  long head = index / rows, row = index % rows;
  float sum = 0;
  if (head < heads) {
    long place = (row * heads + head) * head_width;
    for (long c = glen_thread() % 32; c < head_width; c += 32)
      sum += output[place + c] * doutput[place + c];
  }
  for (int lanes = 16; lanes > 0; lanes /= 2) sum += glen_exchange(sum, lanes);
  if (head < heads && glen_thread() % 32 == 0) delta[index] = sum;
}

// The sums of all tiles, [count, width] to [width].
GLEN_KERNEL(glen_attention_distances, const float *tiles, long count, float *sums, long width) {
  glen_sum_rows<double>(tiles, count, sums, width, 0);
}

// Adds a head's sums by distance to its buckets. The thread of a bucket's first distance adds all
// that share the bucket, in their order.
GLEN_KERNEL(glen_attention_dbias, const float *sums, const int *buckets, long distances, long heads,
            float *dbias) {
  long head = glen_block().x;
  for (long own = glen_thread(); own < distances; own += glen_threads()) {
    bool is_first = true;
    for (long other = 0; other < own; other++)
      is_first = is_first && buckets[other] != buckets[own];
    if (!is_first) continue;
    float sum = 0;
    for (long other = own; other < distances; other++)
      if (buckets[other] == buckets[own]) sum += sums[head * distances + other];
    dbias[buckets[own] * heads + head] += sum;
  }
}

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

// ROWS x COLUMNS scores by TY x TX threads; CHUNK columns of the head at a time; up to WIDTH columns
// of the result, further ones by blocks of their own.
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
    for (int i = 0; i < ROW_COUNT; i++)
      for (int j = 0; j < COLUMN_COUNT; j++) sums[i][j] = 0;
    for (long start = 0; start < width; start += CHUNK) {
      glen_barrier();
      load(s.left, ROWS, left, stride, rows, start, width);
      load(s.right, COLUMNS, right, stride, columns, start, width);
      glen_barrier();
#pragma unroll 4
      for (int c = 0; c < CHUNK; c++) {
        float own[ROW_COUNT], other[COLUMN_COUNT];
        for (int i = 0; i < ROW_COUNT; i++) own[i] = s.left[ty + i * TY][c];
        for (int j = 0; j < COLUMN_COUNT; j++) other[j] = s.right[tx + j * TX][c];
        for (int i = 0; i < ROW_COUNT; i++)
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
        weight *= glen_dropout_factor(element + row * a.longest_keys + c, a.rate, a.seed, a.stream);
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

  GLEN_MEMBER static void run(const glen_attention &a) {
    GLEN_SHARED shared s;
    int tx = glen_thread() % TX, ty = glen_thread() / TX;
    long sequence = glen_block().x / a.tiles, head = glen_block().y;
    long first_row = glen_block().x % a.tiles * ROWS, result_column = (long)glen_block().z * WIDTH;
    long first_query = a.query_offsets[sequence], first_key = a.key_offsets[sequence];
    long queries = a.query_offsets[sequence + 1] - first_query;
    long keys = a.key_offsets[sequence + 1] - first_key, shift = keys - queries;
    long all_rows = BY_KEYS ? keys : queries, all_columns = BY_KEYS ? queries : keys;
    if (first_row >= all_rows) return;
    long rows = all_rows - first_row < ROWS ? all_rows - first_row : ROWS;
    long stride = a.heads * a.head_width, width = a.head_width;
    long query_place = first_query * stride + head * width;
    long key_place = first_key * stride + head * width;
    const float *left = BY_KEYS ? a.keys + key_place : a.queries + query_place;
    const float *right = BY_KEYS ? a.queries + query_place : a.keys + key_place;
    const float *dleft = BY_KEYS ? a.values + key_place : a.doutput + query_place;
    const float *dright = BY_KEYS ? a.doutput + query_place : a.values + key_place;
    const float *mixed = MODE == GLEN_OUTPUT     ? a.values + key_place
                         : MODE == GLEN_DQUERIES ? a.keys + key_place
                         : MODE == GLEN_DKEYS    ? a.queries + query_place
                                                 : a.doutput + query_place;
    const float *log_sums = a.log_sums + head * a.all_queries + first_query;
    float result[ROW_COUNT][CHUNK_COUNT * PART];
    for (int i = 0; i < ROW_COUNT; i++)
#pragma unroll
      for (int c = 0; c < CHUNK_COUNT * PART; c++) result[i][c] = 0;
    float max = -GLEN_INFINITY, sum = 0;

    // What no row of the tile sees is not visited.
    long start = 0, end = all_columns;
    if (a.causal && BY_KEYS && first_row - shift > 0)
      start = (first_row - shift) / COLUMNS * COLUMNS;
    if (a.causal && !BY_KEYS && first_row + rows + shift < end) end = first_row + rows + shift;
    for (; start < end; start += COLUMNS) {
      long columns = all_columns - start < COLUMNS ? all_columns - start : COLUMNS;
      float score[ROW_COUNT][COLUMN_COUNT], dscore[ROW_COUNT][COLUMN_COUNT];
      scores(s, left + first_row * stride, rows, right + start * stride, columns, stride, width,
             score);
      if (MODE == GLEN_DQUERIES || MODE == GLEN_DKEYS)
        scores(s, dleft + first_row * stride, rows, dright + start * stride, columns, stride, width,
               dscore);
      // The distance of key and query position of the tile's first pair; one row further on it is
      // one less, one column further on one more, or the other way round by keys.
      long distance = BY_KEYS ? first_row - (start + shift) : start - (first_row + shift);
      if (a.bias) {
        for (int i = glen_thread(); i < ROWS + COLUMNS - 1; i += GLEN_THREADS) {
          long d = BY_KEYS ? distance - (i - (ROWS - 1)) : distance + i - (ROWS - 1);
          s.bias[i] = d < -a.reach || d > a.reach
                          ? 0
                          : a.bias[(long)a.buckets[d + a.reach] * a.heads + head];
        }
        glen_barrier();
      }
      for (int i = 0; i < ROW_COUNT; i++) {
        for (int j = 0; j < COLUMN_COUNT; j++) {
          int row = ty + i * TY, column = tx + j * TX;
          float value = score[i][j] + (a.bias ? s.bias[column - row + ROWS - 1] : 0);
          if (MODE != GLEN_OUTPUT) {
            long query = BY_KEYS ? start + column : first_row + row;
            long key = BY_KEYS ? first_row + row : start + column;
            bool is_seen = row < rows && column < columns && (!a.causal || key <= query + shift);
            float factor = 1;
            if (is_seen && a.drops)
              factor = glen_dropout_factor(
                  (head * a.all_queries + first_query + query) * a.longest_keys + key, a.rate,
                  a.seed, a.stream);
            float p = is_seen ? expf(value - log_sums[query]) : 0;
            if (MODE == GLEN_DVALUES) value = p * factor;
            else if (is_seen)
              value = p * (dscore[i][j] * factor -
                           a.delta[head * a.all_queries + first_query + query]);
            else value = 0;
          }
          s.weights[row][column] = value;
        }
      }
      glen_barrier();
      if (MODE == GLEN_OUTPUT) {
        unsigned long long element =
            (head * a.all_queries + first_query + first_row) * a.longest_keys + start;
        soften(a, s, first_row + shift + 1 - start, columns, element, max, sum);
        glen_barrier();
        for (int i = 0; i < ROW_COUNT; i++)
#pragma unroll
          for (int c = 0; c < CHUNK_COUNT * PART; c++) result[i][c] *= s.factor[ty + i * TY];
      }
      if (MODE == GLEN_DQUERIES && a.distances && glen_block().z == 0)
        add_distances(a, s, distance);

#pragma unroll
      for (int chunk = 0; chunk < CHUNK_COUNT; chunk++) {
        long column = result_column + chunk * CHUNK;
        if (column >= width) continue;
        load(s.right, COLUMNS, mixed + start * stride, stride, columns, column, width);
        glen_barrier();
#pragma unroll 4
        for (int j = 0; j < COLUMNS; j++) {
          float weight[ROW_COUNT];
          for (int i = 0; i < ROW_COUNT; i++) weight[i] = s.weights[ty + i * TY][j];
          for (int c = 0; c < PART; c++) {
            float value = s.right[j][tx + c * TX];
            for (int i = 0; i < ROW_COUNT; i++) result[i][chunk * PART + c] += weight[i] * value;
          }
        }
        glen_barrier();
      }
    }

    if (MODE == GLEN_OUTPUT) {
      int row = glen_thread() / SHARE;
      if (glen_thread() % SHARE == 0) {
        s.factor[row] = sum == 0 ? 0 : 1 / sum;
        if (row < rows && glen_block().z == 0)
          a.log_sums[head * a.all_queries + first_query + first_row + row] = max + logf(sum);
      }
      glen_barrier();
    }
    float *to = a.result + (BY_KEYS ? key_place : query_place);
    for (int i = 0; i < ROW_COUNT; i++) {
      int row = ty + i * TY;
      if (row >= rows) continue;
      float factor = MODE == GLEN_OUTPUT ? s.factor[row] : 1;
#pragma unroll
      for (int c = 0; c < CHUNK_COUNT * PART; c++) {
        long column = result_column + c / PART * CHUNK + tx + c % PART * TX;
        if (column < width)
          glen_store(to + (first_row + row) * stride + column, factor * result[i][c], a.accumulates);
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

// The sums of all tiles, [count, width] to [width], in their order.
GLEN_KERNEL(glen_attention_distances, const float *tiles, long count, float *sums, long width) {
  GLEN_EACH(i, width) {
    double sum = 0;
    for (long tile = 0; tile < count; tile++) sum += tiles[tile * width + i];
    sums[i] = (float)sum;
  }
}

// Adds a head's sums by distance to its buckets. The thread of a bucket's first distance adds all
// that share the bucket, in their order.
GLEN_KERNEL(glen_attention_dbias, const float *sums, const int *buckets, long distances, long heads,
            float *dbias) {
  long head = glen_block().x;
  for (long own = glen_thread(); own < distances; own += glen_threads()) {
    bool is_first = true;
    for (long other = 0; other < own; other++) is_first = is_first && buckets[other] != buckets[own];
    if (!is_first) continue;
    float sum = 0;
    for (long other = own; other < distances; other++)
      if (buckets[other] == buckets[own]) sum += sums[head * distances + other];
    dbias[buckets[own] * heads + head] += sum;
  }
}

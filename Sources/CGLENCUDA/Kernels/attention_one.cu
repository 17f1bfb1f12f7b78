#include "glen_attention.h"
#include "random.h"

// Attention of at most one query a sequence, as a rollout has it, and its gradients. There is nothing
// to multiply in tiles: keys and values are read once, and what that takes is the time. A block owns
// one head of one sequence, each of its warps takes GROUP keys in turn, and each lane PARTS columns.
template <int PARTS, int GROUP> struct glen_attend_one {
  static constexpr int WARPS = 4, THREADS = 32 * WARPS;

  struct shared {
    float parts[WARPS][32 * PARTS], max[WARPS], sum[WARPS];
  };

  // Where the block's head begins, and how many columns the lane has.
  struct place {
    long head, query, first_key, keys, stride, column;
    int lane, warp, columns;
    bool has_query;
  };

  GLEN_MEMBER static place find(const glen_attention &a) {
    long sequence = glen_block().x, head = glen_block().y;
    long query = a.query_offsets[sequence], first_key = a.key_offsets[sequence];
    int lane = glen_thread() % 32, columns = 0;
    while (columns < PARTS && lane + 32 * columns < a.head_width) columns++;
    return {head,
            query,
            first_key,
            a.key_offsets[sequence + 1] - first_key,
            a.heads * a.head_width,
            head * a.head_width + lane,
            lane,
            glen_thread() / 32,
            columns,
            a.query_offsets[sequence + 1] > query};
  }

  // The lane's columns of the row that begins at `row`, zero where there are none; of numbers that are
  // there as bfloat16 alone, where `halves` is given.
  GLEN_MEMBER static void load(const float *from, const unsigned short *halves, long row,
                               const place &at, bool is_there, float (&values)[PARTS]) {
#pragma unroll
    for (int p = 0; p < PARTS; p++) {
      long place = row + at.column + 32 * p;
      values[p] = !is_there || p >= at.columns ? 0
                  : halves                     ? glen_widen(halves[place])
                                               : from[place];
    }
  }

  GLEN_MEMBER static float dot(const float (&a)[PARTS], const float (&b)[PARTS]) {
    float sum = 0;
#pragma unroll
    for (int p = 0; p < PARTS; p++) sum += a[p] * b[p];
    return sum;
  }

  // Sums over the warp, of several numbers so that their exchanges overlap.
  GLEN_MEMBER static void add_lanes(float (&sums)[GROUP]) {
#pragma unroll
    for (int lanes = 16; lanes > 0; lanes /= 2)
#pragma unroll
      for (int u = 0; u < GROUP; u++) sums[u] += glen_exchange(sums[u], lanes);
  }

  // The query stands at the last key's position.
  GLEN_MEMBER static float bias(const glen_attention &a, const place &at, long key) {
    long distance = key - (at.keys - 1);
    if (!a.bias || distance < -a.reach || distance > a.reach) return 0;
    return a.bias[(long)a.buckets[distance + a.reach] * a.heads + at.head];
  }

  GLEN_MEMBER static float dropped(const glen_attention &a, const place &at, long key) {
    if (!a.drops) return 1;
    long row = (a.mask_row + at.query) * a.heads + at.head;
    return glen_dropout_factor((unsigned long long)(row * a.numbers_per_row + key), a.rate, a.seed,
                               a.stream);
  }

  GLEN_MEMBER static void forward(const glen_attention &a) {
    GLEN_SHARED shared s;
    place at = find(a);
    if (!at.has_query) return;
    float q[PARTS], sums[PARTS];
    load(a.queries, 0, at.query * at.stride, at, true, q);
#pragma unroll
    for (int p = 0; p < PARTS; p++) sums[p] = 0;
    float max = -GLEN_INFINITY, sum = 0;
    for (long base = 0; base < at.keys; base += WARPS * GROUP) {
      long first = base + at.warp * GROUP;
      float score[GROUP], v[GROUP][PARTS], greatest = max;
#pragma unroll
      for (int u = 0; u < GROUP; u++) {
        long row = (at.first_key + first + u) * at.stride;
        bool is_there = first + u < at.keys;
        float k[PARTS];
        load(a.keys, a.half_keys, row, at, is_there, k);
        load(a.values, a.half_values, row, at, is_there, v[u]);
        score[u] = dot(q, k);
      }
      add_lanes(score);
#pragma unroll
      for (int u = 0; u < GROUP; u++) {
        score[u] += bias(a, at, first + u);
        if (first + u < at.keys && score[u] > greatest) greatest = score[u];
      }
      // Without a number so far both are -infinity, whose difference is none.
      float factor = max == greatest ? 1 : expf(max - greatest);
      sum *= factor;
#pragma unroll
      for (int p = 0; p < PARTS; p++) sums[p] *= factor;
#pragma unroll
      for (int u = 0; u < GROUP; u++) {
        if (first + u >= at.keys) continue;
        float weight = expf(score[u] - greatest);
        sum += weight;
        weight *= dropped(a, at, first + u);
#pragma unroll
        for (int p = 0; p < PARTS; p++) sums[p] += weight * v[u][p];
      }
      max = greatest;
    }
    s.max[at.warp] = max;
    s.sum[at.warp] = sum;
    put(s, at, sums);
    for (int warp = 0; warp < WARPS; warp++) max = s.max[warp] > max ? s.max[warp] : max;
    float factors[WARPS];
    sum = 0;
#pragma unroll
    for (int warp = 0; warp < WARPS; warp++) {
      factors[warp] = s.max[warp] == max ? 1 : expf(s.max[warp] - max);
      sum += s.sum[warp] * factors[warp];
    }
    float inverse = sum == 0 ? 0 : 1 / sum;
    float *to = a.result + at.query * at.stride + at.head * a.head_width;
    for (int c = glen_thread(); c < a.head_width; c += THREADS) {
      float value = 0;
#pragma unroll
      for (int warp = 0; warp < WARPS; warp++) value += s.parts[warp][c] * factors[warp];
      to[c] = value * inverse;
      if (a.rounded)
        a.rounded[to - a.result + c] = (unsigned short)glen_pair(value * inverse, 0);
    }
    if (glen_thread() == 0) a.log_sums[at.head * a.all_queries + at.query] = max + logf(sum);
  }

  // Every warp's part of a row, for all to read.
  GLEN_MEMBER static void put(shared &s, const place &at, const float (&values)[PARTS]) {
#pragma unroll
    for (int p = 0; p < PARTS; p++) s.parts[at.warp][at.lane + 32 * p] = values[p];
    glen_barrier();
  }

  // Writes the lane's columns of a row: by a factor, and on top of what was there.
  GLEN_MEMBER static void store(float *to, long row, const place &at, float factor,
                                const float (&values)[PARTS], const float (&old)[PARTS]) {
#pragma unroll
    for (int p = 0; p < PARTS; p++)
      if (p < at.columns) to[row + at.column + 32 * p] = old[p] + factor * values[p];
  }

  // Without a query, keys and values have gradients of zero.
  GLEN_MEMBER static void backward(const glen_attention &a) {
    GLEN_SHARED shared s;
    place at = find(a);
    long own = at.query * at.stride;
    float q[PARTS], dout[PARTS], o[PARTS], dq[PARTS];
    load(a.queries, 0, own, at, at.has_query, q);
    load(a.doutput, 0, own, at, at.has_query, dout);
    load(a.output, 0, own, at, at.has_query, o);
    float delta[GROUP] = {dot(o, dout)};
    add_lanes(delta);
    float log_sum = at.has_query ? a.log_sums[at.head * a.all_queries + at.query] : 0;
    float *distances = 0;
    if (a.distances) {
      long reaching = 2 * a.reach + 1;
      float *own_distances = a.distances + (glen_block().x * a.heads + at.head) * reaching;
      for (long i = glen_thread(); i < reaching; i += THREADS) own_distances[i] = 0;
      glen_barrier();
      distances = own_distances + a.reach;
    }
#pragma unroll
    for (int p = 0; p < PARTS; p++) dq[p] = 0;
    for (long base = 0; base < at.keys; base += WARPS * GROUP) {
      long first = base + at.warp * GROUP;
      float score[GROUP], dprobability[GROUP], k[GROUP][PARTS];
      // With the others, so that one wait is for all.
      float old_keys[GROUP][PARTS], old_values[GROUP][PARTS];
#pragma unroll
      for (int u = 0; u < GROUP; u++) {
        long row = (at.first_key + first + u) * at.stride;
        bool is_there = first + u < at.keys;
        load(a.keys_result, 0, row, at, is_there && a.accumulates_keys, old_keys[u]);
        load(a.values_result, 0, row, at, is_there && a.accumulates_values, old_values[u]);
        float v[PARTS];
        load(a.keys, a.half_keys, row, at, is_there, k[u]);
        load(a.values, a.half_values, row, at, is_there, v);
        score[u] = dot(q, k[u]);
        dprobability[u] = dot(dout, v);
      }
      add_lanes(score);
      add_lanes(dprobability);
#pragma unroll
      for (int u = 0; u < GROUP; u++) {
        long key = first + u;
        if (key >= at.keys) continue;
        float p = at.has_query ? expf(score[u] + bias(a, at, key) - log_sum) : 0;
        float factor = dropped(a, at, key), dscore = p * (dprobability[u] * factor - delta[0]);
        long row = (at.first_key + key) * at.stride;
        if (a.weights) {
          float *place = a.weights + at.head * a.all_keys + at.first_key + key;
          if (at.lane == 0) place[0] = dscore;
          if (at.lane == 1) place[a.heads * a.all_keys] = p * factor;
        } else {
          store(a.keys_result, row, at, dscore, q, old_keys[u]);
          store(a.values_result, row, at, p * factor, dout, old_values[u]);
        }
#pragma unroll
        for (int part = 0; part < PARTS; part++) dq[part] += dscore * k[u][part];
        long distance = key - (at.keys - 1);
        if (distances && at.lane == 0 && distance >= -a.reach) distances[distance] = dscore;
      }
    }
    put(s, at, dq);
    if (!at.has_query) return;
    float *to = a.result + own + at.head * a.head_width;
    for (int c = glen_thread(); c < a.head_width; c += THREADS) {
      float value = 0;
#pragma unroll
      for (int warp = 0; warp < WARPS; warp++) value += s.parts[warp][c];
      if (a.accumulates) value += to[c];
      to[c] = value;
      if (a.rounded) a.rounded[to - a.result + c] = (unsigned short)glen_pair(value, 0);
    }
  }
};

GLEN_KERNEL_OF(glen_attention_one, 128, 6, glen_attention a) { glen_attend_one<2, 4>::forward(a); }
GLEN_KERNEL_OF(glen_attention_one_wide, 128, 2, glen_attention a) { glen_attend_one<24, 1>::forward(a); }
GLEN_KERNEL_OF(glen_attention_one_backward, 128, 6, glen_attention a) { glen_attend_one<2, 4>::backward(a); }
GLEN_KERNEL_OF(glen_attention_one_backward_wide, 128, 2, glen_attention a) {
  glen_attend_one<24, 1>::backward(a);
}

// Writes the sum of what the steps give a key or a value: two columns of a row.
GLEN_DEVICE void glen_put_pair(float *to, unsigned short *rounded, long place, int columns,
                               int accumulates, float first, float second) {
  float values[2] = {first, second};
  for (int c = 0; c < columns; c++) {
    if (accumulates) values[c] += to[place + c];
    if (to) to[place + c] = values[c];
  }
  if (!rounded) return;
  if (columns == 2 && place % 2 == 0) {
    ((unsigned *)rounded)[place / 2] = glen_pair(values[0], values[1]);
    return;
  }
  for (int c = 0; c < columns; c++) rounded[place + c] = (unsigned short)glen_pair(values[c], 0);
}

// A block has one head of one sequence; each of its warps takes every fourth key, each lane two columns, of
// which it has the queries and the output's gradients of all steps in registers.
GLEN_KERNEL_OF(glen_attention_memory, 128, 5, glen_memory a) {
  long sequence = glen_block().x, head = glen_block().y;
  int lane = glen_thread() % 32, warp = glen_thread() / 32;
  long first_key = a.key_offsets[sequence], keys = a.key_offsets[sequence + 1] - first_key;
  long stride = a.heads * a.head_width;
  for (long column = 2 * lane; column < a.head_width; column += 64) {
    int columns = a.head_width - column > 1 ? 2 : 1;
    float q[glen_memory_steps][2], d[glen_memory_steps][2];
#pragma unroll
    for (int t = 0; t < glen_memory_steps; t++) {
      long query = t < a.steps ? a.query_offsets[t][sequence] : 0;
      bool has_query = t < a.steps && a.query_offsets[t][sequence + 1] > query;
      long place = query * stride + head * a.head_width + column;
#pragma unroll
      for (int c = 0; c < 2; c++) {
        bool is_there = has_query && c < columns;
        q[t][c] = is_there ? a.queries[t][place + c] : 0;
        d[t][c] = is_there ? a.doutput[t][place + c] : 0;
      }
    }
    for (long key = first_key + warp; key < first_key + keys; key += 4) {
      float dkey[2] = {0, 0}, dvalue[2] = {0, 0};
#pragma unroll
      for (int t = 0; t < glen_memory_steps; t++) {
        if (t >= a.steps) continue;
        const float *weights = a.weights[t] + head * a.all_keys + key;
        float score = weights[0], probability = weights[a.heads * a.all_keys];
#pragma unroll
        for (int c = 0; c < 2; c++) {
          dkey[c] += score * q[t][c];
          dvalue[c] += probability * d[t][c];
        }
      }
      long place = key * stride + head * a.head_width + column;
      glen_put_pair(
          a.keys_result, a.rounded_keys, place, columns, a.accumulates_keys, dkey[0], dkey[1]);
      glen_put_pair(a.values_result, a.rounded_values, place, columns, a.accumulates_values,
                    dvalue[0], dvalue[1]);
    }
  }
}

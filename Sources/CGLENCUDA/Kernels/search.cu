#include "device.h"
#include "glen_search.h"

// The rows with the largest scores, each the sum of one look-up a step. Scores are never written:
// first each group of rows leaves its largest one; the k-th of those is a threshold that at least k
// rows reach; then the few groups that reach it are gone through again. Rows lie sorted and the good
// ones beside each other, so a group is made of rows far apart.

enum { GLEN_SEARCH_LANES = 8 };

// An unsigned number with the order of a score, above 0; both zeros have the same.
GLEN_DEVICE unsigned glen_search_key(float score) {
  union {
    float value;
    unsigned bits;
  } word;
  word.value = score + 0.0f;
  return word.bits >> 31 ? ~word.bits : word.bits | 0x80000000u;
}

// Where the value of a row's code lies in the tables. A code that is too large, from a damaged file,
// counts as the last of its step.
GLEN_DEVICE long glen_search_code(const glen_search &s, long step, long row) {
  long place = step * s.stride + row;
  long code = s.code_width == 2 ? (long)((const unsigned short *)s.columns)[place]
                                : (long)((const unsigned *)s.columns)[place];
  long first = s.offsets[step], last = s.offsets[step + 1] - 1;
  return first + code < last ? first + code : last;
}

GLEN_DEVICE bool glen_search_allows(const glen_search &s, long row) {
  return !s.allowed || (s.allowed[row / 32] >> (row % 32) & 1);
}

// One query's score of a row, summed in the order of the steps.
GLEN_DEVICE float glen_search_score(const glen_search &s, long query, long row) {
  const float *table = s.tables + query / s.lanes * s.codes * s.lanes + query % s.lanes;
  float sum = table[glen_search_code(s, 0, row) * s.lanes];
  for (long step = 1; step < s.steps; step++)
    sum += table[glen_search_code(s, step, row) * s.lanes];
  return sum;
}

// [queries, codes] to [tiles, codes, lanes]: what a tile's queries look up lies together, in one
// sector of memory. The lanes behind the last query are 0.
GLEN_KERNEL(glen_search_tiles, const float *values, long queries, long codes, float *tables) {
  long tiles = (queries + GLEN_SEARCH_LANES - 1) / GLEN_SEARCH_LANES;
  GLEN_EACH(i, tiles * codes * GLEN_SEARCH_LANES) {
    long query = i / (codes * GLEN_SEARCH_LANES) * GLEN_SEARCH_LANES + i % GLEN_SEARCH_LANES;
    long code = i / GLEN_SEARCH_LANES % codes;
    tables[i] = query < queries ? values[query * codes + code] : 0;
  }
}

// The key of each group's largest score, [queries, groups]; 0 where it has no row that is allowed. A
// thread has a group, and a tile of queries, so a column is read once for all of them.
template <int lanes> GLEN_DEVICE void glen_search_maxima(const glen_search &s, unsigned *maxima) {
  long group = (long)glen_block().x * glen_threads() + glen_thread(), tile = glen_block().y;
  if (group >= s.groups) return;
  const float *table = s.tables + tile * s.codes * lanes;
  float best[lanes];
  for (int lane = 0; lane < lanes; lane++) best[lane] = -GLEN_INFINITY;
  bool is_empty = true;
  for (long row = group; row < s.rows; row += s.groups) {
    if (!glen_search_allows(s, row)) continue;
    is_empty = false;
    float sums[lanes];
    const float *values = table + glen_search_code(s, 0, row) * lanes;
    for (int lane = 0; lane < lanes; lane++) sums[lane] = values[lane];
    for (long step = 1; step < s.steps; step++) {
      values = table + glen_search_code(s, step, row) * lanes;
      for (int lane = 0; lane < lanes; lane++) sums[lane] += values[lane];
    }
    for (int lane = 0; lane < lanes; lane++)
      best[lane] = sums[lane] > best[lane] ? sums[lane] : best[lane];
  }
  for (int lane = 0; lane < lanes; lane++) {
    long query = tile * lanes + lane;
    if (query < s.queries)
      maxima[query * s.groups + group] = is_empty ? 0 : glen_search_key(best[lane]);
  }
}

GLEN_KERNEL(glen_search_maxima_one, glen_search s, unsigned *maxima) {
  glen_search_maxima<1>(s, maxima);
}

GLEN_KERNEL(glen_search_maxima_many, glen_search s, unsigned *maxima) {
  glen_search_maxima<GLEN_SEARCH_LANES>(s, maxima);
}

// How much the threads before this one have together; all threads of a block call.
GLEN_DEVICE int glen_search_before(int mine) {
  GLEN_SHARED int counts[GLEN_THREADS];
  glen_barrier();
  counts[glen_thread()] = mine;
  glen_barrier();
  int before = 0;
  for (int thread = 0; thread < glen_thread(); thread++) before += counts[thread];
  return before;
}

// For each query the groups that reach its `count`-th largest maximum, in their order, as many as
// there are slots; how many they are in all; and that maximum's key. One block a query.
GLEN_KERNEL(glen_search_groups, glen_search s, const unsigned *maxima, long count, int *groups,
            int *found, unsigned *thresholds) {
  long query = glen_block().x;
  const unsigned *keys = maxima + query * s.groups;
  unsigned threshold = 0;
  for (int bit = 31; bit >= 0; bit--) {
    unsigned next = threshold | 1u << bit;
    int reaching = 0;
    for (long i = glen_thread(); i < s.groups; i += glen_threads()) reaching += keys[i] >= next;
    if (glen_sum(reaching) >= count) threshold = next;
  }
  // Without so many groups that have a row, all that have one.
  if (threshold == 0) threshold = 1;
  long each = (s.groups + glen_threads() - 1) / glen_threads();
  long first = glen_thread() * each;
  long end = first + each < s.groups ? first + each : s.groups;
  int mine = 0;
  for (long i = first; i < end; i++) mine += keys[i] >= threshold;
  int place = glen_search_before(mine);
  if (glen_thread() == glen_threads() - 1) {
    found[query] = place + mine;
    thresholds[query] = threshold;
  }
  for (long i = first; i < end && place < s.slots; i++)
    if (keys[i] >= threshold) groups[query * s.slots + place++] = (int)i;
}

// The rows of a slot's group that reach the threshold, at most `depth`, with their scores; and how
// many they are in all. One block a slot and query.
GLEN_KERNEL(glen_search_collect, glen_search s, const int *groups, const int *found,
            const unsigned *thresholds, int *counts, int *rows, float *scores) {
  long query = glen_block().y, slot = query * s.slots + glen_block().x;
  if (glen_block().x >= found[query]) {
    if (glen_thread() == 0) counts[slot] = 0;
    return;
  }
  unsigned threshold = thresholds[query];
  long first = groups[slot] + glen_thread() * s.groups, step = glen_threads() * s.groups;
  int mine = 0;
  for (long row = first; row < s.rows; row += step)
    mine += glen_search_allows(s, row) &&
            glen_search_key(glen_search_score(s, query, row)) >= threshold;
  long place = glen_search_before(mine);
  if (glen_thread() == glen_threads() - 1) counts[slot] = (int)(place + mine);
  if (mine == 0) return;
  for (long row = first; row < s.rows && place < s.depth; row += step) {
    if (!glen_search_allows(s, row)) continue;
    float score = glen_search_score(s, query, row);
    if (glen_search_key(score) < threshold) continue;
    rows[slot * s.depth + place] = (int)row;
    scores[slot * s.depth + place++] = score;
  }
}

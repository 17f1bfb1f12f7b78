// A plain scan in C of an index that search-benchmark built: the yardstick of its times.
//
//     plain_scan IDENTIFIERS_FILE shared|uniform
//
// Row after row it adds the log-probabilities of n codes of 16 bits, and keeps the 100 largest sums in
// a heap; looking up the log-probabilities is part of the time. Prints the milliseconds: the median
// over nine queries of the least of three. Documentation/IndexFormat.md describes the file.
#include <fcntl.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

enum { vocabulary = 32128, longest = 8, limit = 100, query_count = 9 };

static long rows;
static int length;
static const uint32_t *level_offsets, *level_tokens;
static const uint16_t *columns[longest];

static const void *section(const char *file, size_t *cursor, size_t bytes) {
  const void *start = file + *cursor;
  *cursor = (*cursor + bytes + 63) / 64 * 64;
  return start;
}

static int open_file(const char *path) {
  struct stat status;
  int descriptor = open(path, O_RDONLY);
  if (descriptor < 0 || fstat(descriptor, &status)) return 0;
  const char *file = mmap(0, status.st_size, PROT_READ, MAP_PRIVATE, descriptor, 0);
  if (file == MAP_FAILED || file[12] != 2) return 0;
  const uint64_t *counts = (const uint64_t *)(file + 16);
  rows = counts[1];
  length = counts[2];
  if (length > longest) return 0;
  size_t cursor = 64;
  level_offsets = section(file, &cursor, 4 * (length + 1));
  level_tokens = section(file, &cursor, 4 * counts[4]);
  for (int step = 0; step < length; step++) columns[step] = section(file, &cursor, 2 * rows);
  return 1;
}

// Twelve uniform numbers less six, as Shape.swift has it.
static double normal(void) {
  double sum = -6;
  for (int i = 0; i < 12; i++) sum += drand48();
  return sum;
}

static void make_query(int shared, float *scores) {
  for (long i = 0; i < (long)length * vocabulary; i++) scores[i] = -10 + 2.5 * normal();
  long row = drand48() * rows;
  for (int step = 0; step < length; step++) {
    float *logits = scores + (long)step * vocabulary;
    if (shared) {
      for (int i = 0; i < 30; i++) logits[(int)(drand48() * vocabulary)] += 6;
      logits[level_tokens[level_offsets[step] + columns[step][row]]] += 10;
    }
    double sum = 0;
    for (int token = 0; token < vocabulary; token++) sum += exp(logits[token]);
    for (int token = 0; token < vocabulary; token++) logits[token] -= log(sum);
  }
}

static struct { float score; uint32_t row; } heap[limit];

// Puts a row in the place of the worst kept one.
static void replace_root(float score, uint32_t row) {
  int place = 0;
  for (;;) {
    int child = 2 * place + 1;
    if (child >= limit) break;
    if (child + 1 < limit && heap[child + 1].score < heap[child].score) child++;
    if (heap[child].score >= score) break;
    heap[place] = heap[child];
    place = child;
  }
  heap[place].score = score;
  heap[place].row = row;
}

static inline void scan(int n, const float *values) {
  const float *tables[longest];
  for (int step = 0; step < n; step++) tables[step] = values + level_offsets[step];
  for (int i = 0; i < limit; i++) heap[i].score = -INFINITY;
  for (long row = 0; row < rows; row++) {
    float sum = 0;
    for (int step = 0; step < n; step++) sum += tables[step][columns[step][row]];
    if (sum > heap[0].score) replace_root(sum, row);
  }
}

static void search(const float *scores, float *values) {
  for (int step = 0; step < length; step++) {
    for (uint32_t code = level_offsets[step]; code < level_offsets[step + 1]; code++) {
      values[code] = scores[(long)step * vocabulary + level_tokens[code]];
    }
  }
  // Constants, so that the compiler can unroll the sum.
  switch (length) {
    case 3: scan(3, values); break;
    case 5: scan(5, values); break;
    case 7: scan(7, values); break;
    default: scan(length, values);
  }
}

static double milliseconds(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return 1e3 * time.tv_sec + 1e-6 * time.tv_nsec;
}

static int ascending(const void *left, const void *right) {
  double difference = *(const double *)left - *(const double *)right;
  return (difference > 0) - (difference < 0);
}

int main(int count, char **arguments) {
  if (count != 3 || !open_file(arguments[1])) {
    fprintf(stderr, "usage: plain_scan IDENTIFIERS_FILE shared|uniform, with codes of 16 bits\n");
    return 64;
  }
  float *scores = malloc(sizeof(float) * length * vocabulary);
  float *values = malloc(sizeof(float) * level_offsets[length]);
  if (!scores || !values) return 70;
  srand48(2);
  double times[query_count];
  for (int query = 0; query < query_count; query++) {
    make_query(!strcmp(arguments[2], "shared"), scores);
    times[query] = INFINITY;
    for (int turn = 0; turn < 3; turn++) {
      double begin = milliseconds();
      search(scores, values);
      times[query] = fmin(times[query], milliseconds() - begin);
    }
  }
  qsort(times, query_count, sizeof(double), ascending);
  printf("%.3f\n", times[query_count / 2]);
  return 0;
}

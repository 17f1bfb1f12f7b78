// The operands of the attention kernels, as Swift fills them in and as the kernels read them.
#ifndef GLEN_ATTENTION_H
#define GLEN_ATTENTION_H

typedef struct glen_attention {
  // [all rows, heads * head_width], of queries and of keys.
  const float *queries, *keys, *values, *doutput;
  // The same, and the output, as bfloat16: for the kernels that multiply such numbers, and where those
  // of single queries find keys and values so alone.
  const unsigned short *half_queries, *half_keys, *half_values, *half_doutput, *half_output;
  // [sequences + 1] row numbers.
  const int *query_offsets, *key_offsets;
  // [buckets, heads], or null; [2 reach + 1] bucket numbers.
  const float *bias;
  const int *buckets;
  // [heads, all queries]: written by the forward, read by the backward.
  float *log_sums;
  // [heads, all queries]: the sums of output times its gradient; written by the kernel of the
  // queries' gradient where that multiplies bfloat16.
  float *delta;
  // [all rows, heads * head_width], of queries: read by the backward of single queries alone.
  const float *output;
  // What is written: the output, or the gradient of queries, keys or values.
  float *result;
  // What is written beside it, by the kernels that make several gradients at once.
  float *keys_result, *values_result;
  // The same as bfloat16, or null.
  unsigned short *rounded, *rounded_keys, *rounded_values;
  // [tiles * sequences, heads, 2 reach + 1], zeroed but for single queries, or null: the score gradients by
  // distance.
  float *distances;
  // [2, heads, all keys], or null: of each key the gradient of its score and its probability behind dropout,
  // written by the backward of single queries instead of the gradients of keys and values.
  float *weights;
  long all_keys;
  // The tiles of a sequence, as if all were the longest.
  long tiles;
  long heads, head_width, all_queries, reach;
  // Of a dropped probability: how many rows of a larger batch come before, and how many numbers each
  // row of each head has.
  long mask_row, numbers_per_row;
  unsigned long long seed, stream;
  float rate;
  int drops, causal, accumulates, accumulates_keys, accumulates_values;
} glen_attention;

// The gradients of keys and values that several attentions of single queries have read.
enum { glen_memory_steps = 8 };
typedef struct glen_memory {
  // Of each step, as above.
  const float *queries[glen_memory_steps], *doutput[glen_memory_steps], *weights[glen_memory_steps];
  const int *query_offsets[glen_memory_steps];
  const int *key_offsets;
  // What is written, or null, and the same as bfloat16, or null.
  float *keys_result, *values_result;
  unsigned short *rounded_keys, *rounded_values;
  long heads, head_width, all_keys;
  int steps, accumulates_keys, accumulates_values;
} glen_memory;

#endif

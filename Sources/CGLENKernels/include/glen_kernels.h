// The loops of the CPU backend that Swift's compiler would not vectorise for the machine at hand.
//
// Every function is compiled for several instruction sets, of which the first call chooses the widest
// that the machine has (`GLEN_KERNEL`). None of them allocates or checks; the Swift side splits the
// work over threads. All matrices are row-major float32. `accumulate` non-zero adds to the
// destination, zero assigns it.
#ifndef GLEN_KERNELS_H
#define GLEN_KERNELS_H

#include <stdint.h>

#include "glen_team.h"

// Instruction sets, each with all before it.
enum { GLEN_PORTABLE = 0, GLEN_NEON = 1, GLEN_AVX2 = 2, GLEN_AVX512 = 3 };
// The widest set that may be used: what `GLEN_CPU_KERNELS` says (portable, neon, avx2, avx512).
int glen_kernel_limit(void);

// Products with few rows (small_product.c).
// out[r, j] = alpha * sum_c a[r, c] * b[j, c] + beta * out[r, j], for j in [first, last).
void glen_product_transposed(long rows, long inner, const float *a, long a_stride, const float *b,
                             long b_stride, long first, long last, float alpha, float beta,
                             float *out, long out_stride);

// Products with many rows (large_product.c): C = alpha op(A) op(B) + beta C on this thread, row-major,
// op(A) m x k and op(B) k x n. Returns 0, and has done nothing, where it is not made for the machine.
int glen_large_product(int transpose_a, int transpose_b, long m, long n, long k, float alpha,
                       const float *a, long a_stride, const float *b, long b_stride, float beta,
                       float *c, long c_stride);

// Products with weights in 8 or 16 bits (packed.c, which describes the layout).
enum { GLEN_INT8 = 0, GLEN_BFLOAT16 = 1 };
// What is known of a packed row of activations: its scale, and where the sums of its products begin.
typedef struct {
  float scale;
  int32_t start;
} glen_packed_row;
// out[r, j] = alpha * sum_c x[r, c] * w[j, c] + beta * out[r, j] for the panels [first, last) of w.
typedef struct {
  int type, kernels;
  long rows, inputs, outputs, first, last;
  const void *activations;
  const glen_packed_row *row;
  const void *weights;
  const float *scales;
  float alpha, beta;
  float *out;
  long out_stride;
} glen_packed_product_arguments;
// The widest of the instruction sets up to `limit` that this machine has for a type.
int glen_packed_kernels(int type, int limit);
// The bytes of packed weights; `scales` has one number for each output (int8 only, else null).
long glen_packed_byte_count(int type, long outputs, long inputs);
void glen_pack_weights(int type, long outputs, long inputs, long first_panel, long last_panel,
                       const float *w, void *packed, float *scales);
// Rows are packed for the kernels that will read them: rows x glen_packed_row_byte_count bytes at most.
long glen_packed_row_byte_count(int type, int kernels, long inputs);
void glen_pack_activations(int type, int kernels, long rows, long inputs, const float *x,
                           void *packed, glen_packed_row *row);
void glen_packed_product(const glen_packed_product_arguments *arguments);
// out[i] = w[rows[i]], widened.
void glen_packed_gather(int type, long count, long inputs, const void *packed, const float *scales,
                        const int32_t *rows, float *out);

// Elementwise (elementwise.c).
void glen_add_scaled(long count, float scale, const float *x, float *y);
void glen_scale(long count, float scale, const float *x, float *y);
void glen_fill(long count, float value, float *y);
void glen_relu(long count, const float *x, float *y);
void glen_relu_backward(long count, const float *y, const float *dy, float *dx, int accumulate);
void glen_gated_gelu(long count, const float *gate, const float *up, float *y);
void glen_gated_gelu_backward(long count, const float *gate, const float *up, const float *dy,
                              float *dgate, float *dup, int accumulate_gate, int accumulate_up);
double glen_sum(long count, const float *x);
double glen_sum_of_squares(long count, const float *x);

// Rows (rows.c).
void glen_copy_rows(long rows, long width, const float *x, long x_stride, float *y, long y_stride,
                    int accumulate);
void glen_row_dot(long rows, long width, const float *a, const float *b, float *out);
void glen_strided_row_dot(long rows, long width, long stride, const float *a, const float *b,
                          float *out);
void glen_row_scale(long rows, long width, const float *scale, const float *x, float *y,
                    int accumulate);
void glen_cosine_distance(long rows, long width, const float *a, const float *b, float *out);
void glen_cosine_distance_backward(long rows, long width, const float *a, const float *b,
                              const float *dout, float *da, float *db, int accumulate_a,
                              int accumulate_b);
void glen_gather(long count, long width, const float *table, const int32_t *rows, float *out);
// Adds columns [first, last) of every row of `x` to the row of `table` that `rows` names.
void glen_scatter_add(long count, long width, long first, long last, const float *x,
                      const int32_t *rows, float *table);
// marks[c] = 1 where a row of x has at least `least`, or no number, in column c, else 0; for c in
// [first, last).
void glen_mark_columns(long rows, long width, long first, long last, float least, const float *x,
                       int32_t *marks);
// Moves the columns of x that are listed, in rising order, together: x becomes rows x count.
void glen_keep_columns(long rows, long width, long count, const int32_t *columns, float *x);

// RMS norm (rms_norm.c).
void glen_rms_norm(long rows, long width, float epsilon, const float *x, const float *weight,
                   float *y, float *inverse);
// `dweight` is one thread's own partial sum and always accumulates.
void glen_rms_norm_backward(long rows, long width, const float *x, const float *weight,
                            const float *inverse, const float *dy, float *dx, float *dweight,
                            int accumulate);

// Softmax and its relatives (softmax.c). A masked column has mask[c] = -inf, every other 0; a null
// mask masks nothing.
void glen_softmax(long rows, long width, float scale, const float *mask, float *x);
// dx = scale * y * (dy - sum(y * dy)), written over dy.
void glen_softmax_backward(long rows, long width, float scale, const float *y, float *dy);
// Writes each row's loss and turns the logits into scale * (softmax - one hot). A target below
// zero is ignored: loss 0 and gradient 0.
void glen_cross_entropy(long rows, long width, float scale, const int32_t *targets, float *x,
                        float *losses);
void glen_arg_max(long rows, long width, const float *mask, const float *x, int32_t *arg,
                  float *value);

// Exact search (identifier_scan.c).
// out[i] = logits[tokens[i]] - normalizer, rounded once; -inf stays -inf.
void glen_log_probabilities(long count, const float *logits, const uint32_t *tokens,
                            double normalizer, float *out);
// A step of the identifiers: the code of every row, and the deficit of every code. Codes of 16 bits may
// be any number, so `deficits` goes on for 65,536; wider ones count as `last` beyond it.
typedef struct {
  const void *codes;
  const uint8_t *deficits;
  uint32_t last;
} glen_deficit_step;
typedef struct {
  int count, code_bytes;
  const glen_deficit_step *steps;
} glen_deficit_table;
// Writes the rows of [first, last), counted from `first`, whose deficits add up to at most `limit`, and
// returns how many they are; `rows` has room for all.
long glen_scan_deficits(const glen_deficit_table *table, long first, long last, long limit,
                        uint32_t *rows);

// Attention of one head of one sequence (attention.c); `width` columns of q, k and v with a row
// stride. For the index of `bias` see attention.c.
void glen_attention_probabilities(long queries, long keys, int causal, const float *bias,
                                  float *scores, float *log_sums);
void glen_attention_probabilities_again(long queries, long keys, int causal, const float *bias,
                                        const float *log_sums, float *scores);
void glen_attention_scores_backward(long queries, long keys, const float *probabilities,
                                    const float *delta, float *dscores, float *dbias);
void glen_attention_single(long keys, long width, const float *q, const float *k, long k_stride,
                           const float *v, long v_stride, const float *bias, float *scores,
                           float *out, float *log_sum);
void glen_attention_single_backward(long keys, long width, const float *q, const float *k,
                                    const float *v, long stride, const float *bias, float log_sum,
                                    const float *out, const float *dout, float *dq, float *dk,
                                    float *dv, float *dbias, int accumulate_q, int accumulate_k,
                                    int accumulate_v);

// Counter-based random numbers (random.c): Philox4x32-10. Element i uses word i % 4 of the block
// with counter i / 4.
void glen_dropout(long first, long count, uint64_t key, uint64_t stream, float rate, const float *x,
                  float *y, int accumulate);

// One block, for the tests.
void glen_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

// Optimiser (optimizer.c).
void glen_adamw(long count, float rate, float beta1, float beta2, float epsilon, float decay,
                float correction1, float correction2, float gradient_scale, const float *gradient,
                float *weight, float *first_moment, float *second_moment);

#endif

#include "glen_kernels.h"
#include "vector_math.h"

// One head of one sequence. Query i stands at key position i + keys - queries, so that a cached
// rollout's only query is the last position. `bias[j - i]` is the bias of key j for query i: the
// caller points it at distance zero of query 0, and its index runs from -(queries - 1) to
// keys - 1. A null bias adds nothing. With `causal`, query i sees keys up to its own position.

GLEN_INLINE long visible(long i, long queries, long keys, int causal) {
  return causal ? i + keys - queries + 1 : keys;
}

GLEN_KERNEL(void, glen_attention_probabilities,
            (long queries, long keys, int causal, const float *bias, float *scores,
             float *log_sums),
            (queries, keys, causal, bias, scores, log_sums)) {
  for (long i = 0; i < queries; i++) {
    float *row = scores + i * keys;
    long seen = visible(i, queries, keys, causal);
    if (bias) {
      for (long j = 0; j < seen; j++) row[j] += bias[j - i];
    }
    float max = row_max(seen, row, 0);
    float sum = 0;
    for (long j = 0; j < seen; j++) {
      float e = glen_exp(row[j] - max);
      row[j] = e;
      sum += e;
    }
    float inverse = 1 / sum;
    for (long j = 0; j < seen; j++) row[j] *= inverse;
    for (long j = seen; j < keys; j++) row[j] = 0;
    log_sums[i] = max + logf(sum);
  }
}

GLEN_KERNEL(void, glen_attention_probabilities_again,
            (long queries, long keys, int causal, const float *bias, const float *log_sums,
             float *scores),
            (queries, keys, causal, bias, log_sums, scores)) {
  for (long i = 0; i < queries; i++) {
    float *row = scores + i * keys;
    long seen = visible(i, queries, keys, causal);
    float log_sum = log_sums[i];
    if (bias) {
      for (long j = 0; j < seen; j++) row[j] = glen_exp(row[j] + bias[j - i] - log_sum);
    } else {
      for (long j = 0; j < seen; j++) row[j] = glen_exp(row[j] - log_sum);
    }
    for (long j = seen; j < keys; j++) row[j] = 0;
  }
}

// The one query of a decoding step, without a matrix product.
GLEN_KERNEL(void, glen_attention_single,
            (long keys, long width, const float *restrict q, const float *restrict k, long k_stride,
             const float *restrict v, long v_stride, const float *restrict bias,
             float *restrict scores, float *restrict out, float *restrict log_sum),
            (keys, width, q, k, k_stride, v, v_stride, bias, scores, out, log_sum)) {
  float max = -INFINITY;
  for (long j = 0; j < keys; j++) {
    const float *key = k + j * k_stride;
    float sum = 0;
    for (long c = 0; c < width; c++) sum += q[c] * key[c];
    if (bias) sum += bias[j];
    scores[j] = sum;
    max = sum > max ? sum : max;
  }
  float total = 0;
  for (long j = 0; j < keys; j++) {
    scores[j] = glen_exp(scores[j] - max);
    total += scores[j];
  }
  float inverse = 1 / total;
  for (long c = 0; c < width; c++) out[c] = 0;
  for (long j = 0; j < keys; j++) {
    const float *value = v + j * v_stride;
    float p = scores[j] * inverse;
    scores[j] = p;
    for (long c = 0; c < width; c++) out[c] += p * value[c];
  }
  *log_sum = max + logf(total);
}

// dscores enters as the gradient of the probabilities and leaves as that of the products:
// dS = P * (dP - delta). `dbias` (same index as `bias`) accumulates.
GLEN_KERNEL(void, glen_attention_scores_backward,
            (long queries, long keys, const float *restrict probabilities,
             const float *restrict delta, float *restrict dscores, float *restrict dbias),
            (queries, keys, probabilities, delta, dscores, dbias)) {
  for (long i = 0; i < queries; i++) {
    const float *p = probabilities + i * keys;
    float *d = dscores + i * keys;
    float own = delta[i];
    for (long j = 0; j < keys; j++) d[j] = p[j] * (d[j] - own);
    if (dbias) {
      for (long j = 0; j < keys; j++) dbias[j - i] += d[j];
    }
  }
}

// The gradients of glen_attention_single.
GLEN_KERNEL(void, glen_attention_single_backward,
            (long keys, long width, const float *restrict q, const float *restrict k,
             const float *restrict v, long stride, const float *restrict bias, float log_sum,
             const float *restrict out, const float *restrict dout, float *restrict dq,
             float *restrict dk, float *restrict dv, float *restrict dbias, int accumulate_q,
             int accumulate_k, int accumulate_v),
            (keys, width, q, k, v, stride, bias, log_sum, out, dout, dq, dk, dv, dbias,
             accumulate_q, accumulate_k, accumulate_v)) {
  float delta = 0;
  for (long c = 0; c < width; c++) delta += out[c] * dout[c];
  if (!accumulate_q) {
    for (long c = 0; c < width; c++) dq[c] = 0;
  }
  for (long j = 0; j < keys; j++) {
    const float *key = k + j * stride, *value = v + j * stride;
    float score = bias ? bias[j] : 0, dp = 0;
    float product = 0;
    for (long c = 0; c < width; c++) product += q[c] * key[c];
    for (long c = 0; c < width; c++) dp += dout[c] * value[c];
    float p = glen_exp(score + product - log_sum);
    float ds = p * (dp - delta);
    float *dkey = dk + j * stride, *dvalue = dv + j * stride;
    if (dbias) dbias[j] += ds;
    for (long c = 0; c < width; c++) dq[c] += ds * key[c];
    if (accumulate_k) {
      for (long c = 0; c < width; c++) dkey[c] += ds * q[c];
    } else {
      for (long c = 0; c < width; c++) dkey[c] = ds * q[c];
    }
    if (accumulate_v) {
      for (long c = 0; c < width; c++) dvalue[c] += p * dout[c];
    } else {
      for (long c = 0; c < width; c++) dvalue[c] = p * dout[c];
    }
  }
}

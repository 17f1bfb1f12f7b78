#include "glen_adamw.h"
#include "random.h"

GLEN_KERNEL(glen_add_scaled, const float *x, float scale, float *y, long count) {
  glen_map(count, y, 0, 0, 1, [=](float x) { return scale * x; }, x);
}

GLEN_KERNEL(glen_scale, const float *x, float scale, float *y, long count) {
  glen_map(count, y, 0, 0, 0, [=](float x) { return scale * x; }, x);
}

// To bfloat16, eight at a time.
GLEN_KERNEL(glen_round, const glen_four *x, glen_four_words *y, long count) {
  GLEN_EACH(i, count) {
    glen_four a = x[2 * i], b = x[2 * i + 1];
    y[i] = {glen_pair(a.x, a.y), glen_pair(a.z, a.w), glen_pair(b.x, b.y), glen_pair(b.z, b.w)};
  }
}

// Back from bfloat16, four at a time.
GLEN_KERNEL(glen_unround, const glen_two_words *x, glen_four *y, long count) {
  GLEN_EACH(i, count) {
    glen_two_words pairs = x[i];
    y[i] = {glen_widen(pairs.x & 0xffff), glen_widen(pairs.x >> 16), glen_widen(pairs.y & 0xffff),
            glen_widen(pairs.y >> 16)};
  }
}

// Written so that what is not a number stays so.
GLEN_KERNEL(glen_relu, const float *x, float *y, long count, glen_two_words *rounded,
            int alone) {
  glen_map(count, y, rounded, alone, 0, [](float x) { return x <= 0 ? 0 : x; }, x);
}

// With `halves`, y is there as bfloat16 alone.
GLEN_KERNEL(glen_relu_backward, const float *y, const unsigned short *halves, const float *dy,
            float *dx, long count, int accumulates, glen_two_words *rounded, int alone) {
  if (!halves) {
    glen_map(
        count, dx, rounded, alone, accumulates,
        [](float y, float dy) { return y <= 0 ? 0 : dy; }, y, dy);
    return;
  }
  GLEN_EACH(i, count / 4) {
    glen_two_words pairs = ((const glen_two_words *)halves)[i];
    glen_four d = ((const glen_four *)dy)[i], old = {0, 0, 0, 0};
    if (accumulates) old = ((const glen_four *)dx)[i];
    glen_four value = {old.x + (glen_widen(pairs.x & 0xffff) <= 0 ? 0 : d.x),
                       old.y + (glen_widen(pairs.x >> 16) <= 0 ? 0 : d.y),
                       old.z + (glen_widen(pairs.y & 0xffff) <= 0 ? 0 : d.z),
                       old.w + (glen_widen(pairs.y >> 16) <= 0 ? 0 : d.w)};
    if (!alone) ((glen_four *)dx)[i] = value;
    if (rounded) rounded[i] = {glen_pair(value.x, value.y), glen_pair(value.z, value.w)};
  }
}

// gelu(x) = x/2 (1 + tanh(u)) = x sigmoid(2u), u = sqrt(2/pi) (x + 0.044715 x^3).
GLEN_DEVICE float glen_gelu_sigmoid(float x) {
  float twice_u = 2 * 0.7978845608028654f * (x + 0.044715f * x * x * x);
  return 1 / (1 + expf(-twice_u));
}

GLEN_KERNEL(glen_gated_gelu, const float *gate, const float *up, float *y, long count,
            glen_two_words *rounded, int alone) {
  glen_map(
      count, y, rounded, alone, 0, [](float gate, float up) { return gate * glen_gelu_sigmoid(gate) * up; }, gate,
      up);
}

GLEN_KERNEL(glen_gated_gelu_backward, const float *gate, const float *up, const float *dy,
            float *dgate, float *dup, long count, int accumulates_gate, int accumulates_up) {
  GLEN_EACH(i, count) {
    float x = gate[i], sigmoid = glen_gelu_sigmoid(x);
    float slope = 2 * 0.7978845608028654f * (1 + 3 * 0.044715f * x * x);
    float derivative = sigmoid + x * sigmoid * (1 - sigmoid) * slope;
    float of_gate = dy[i] * up[i] * derivative, of_up = dy[i] * x * sigmoid;
    glen_store(dgate + i, of_gate, accumulates_gate);
    glen_store(dup + i, of_up, accumulates_up);
  }
}

// A thread takes the elements of a block of four random numbers, of which the first element has
// number `first`. x and y may be the same. With `halves`, x is there as bfloat16 alone; y is wanted so
// too, or alone, where `rounded` is given, and then begins with a block.
GLEN_KERNEL(glen_dropout, const float *x, const unsigned short *halves, float *y, long first,
            long count, float rate, unsigned long long seed, unsigned long long stream,
            int accumulates, glen_two_words *rounded, int alone) {
  float keep = 1 / (1 - rate);
  unsigned threshold = glen_threshold(rate);
  GLEN_EACH(block, (first % 4 + count + 3) / 4) {
    glen_words words = glen_philox(first / 4 + block, seed, stream);
    float values[4] = {0, 0, 0, 0};
    for (int word = 0; word < 4; word++) {
      long i = 4 * block + word - first % 4;
      if (i < 0 || i >= count) continue;
      float value = halves ? glen_widen(halves[i]) : x[i];
      value = words.word[word] >= threshold ? value * keep : 0;
      values[word] = accumulates ? y[i] + value : value;
      if (!alone) y[i] = values[word];
    }
    if (rounded)
      rounded[block] = {glen_pair(values[0], values[1]), glen_pair(values[2], values[3])};
  }
}

// AdamW with decoupled decay: w -= rate (m / c1 / (sqrt(v / c2) + epsilon) + decay w). All parameters
// in one grid: a block finds the parameter that it has a part of.
GLEN_KERNEL(glen_adamw, const glen_adamw_parameter *parameters, long count) {
  long block = glen_block().x, index = 0, behind = count - 1;
  while (index < behind) {
    long middle = (index + behind) / 2;
    if (parameters[middle].end > block)
      behind = middle;
    else
      index = middle + 1;
  }
  glen_adamw_parameter p = parameters[index];
  long first = (block - (index > 0 ? parameters[index - 1].end : 0)) * glen_adamw_elements;
  long end = first + glen_adamw_elements < p.count ? first + glen_adamw_elements : p.count;
  float inverse1 = 1 / p.correction1, inverse2 = 1 / p.correction2;
  for (long i = first + glen_thread(); i < end; i += glen_threads()) {
    float g = p.gradient[i] * p.gradient_scale;
    float m = p.beta1 * p.first_moment[i] + (1 - p.beta1) * g;
    float v = p.beta2 * p.second_moment[i] + (1 - p.beta2) * g * g;
    p.first_moment[i] = m;
    p.second_moment[i] = v;
    float update = m * inverse1 / (sqrtf(v * inverse2) + p.epsilon);
    p.weight[i] -= p.rate * (update + p.decay * p.weight[i]);
  }
}

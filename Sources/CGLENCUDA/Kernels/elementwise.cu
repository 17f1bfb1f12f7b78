#include "glen_parameters.h"
#include "random.h"

// With `halves`, x is there as bfloat16 alone.
GLEN_KERNEL(glen_add_scaled, const float *x, const unsigned short *halves, float scale, float *y,
            long count) {
  if (!halves) {
    glen_map(count, y, 0, 0, 1, [=](float x) { return scale * x; }, x);
    return;
  }
  GLEN_EACH(i, count / 4) {
    glen_four a = glen_fours(x, halves, i), old = ((const glen_four *)y)[i];
    ((glen_four *)y)[i] = {old.x + scale * a.x, old.y + scale * a.y, old.z + scale * a.z,
                           old.w + scale * a.w};
  }
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
  GLEN_EACH(i, count) y[i] = glen_widen_four(x[i]);
}

// Written so that what is not a number stays so. With `halves`, x is there as bfloat16 alone.
GLEN_KERNEL(glen_relu, const float *x, const unsigned short *halves, float *y, long count,
            glen_two_words *rounded, int alone) {
  if (!halves) {
    glen_map(count, y, rounded, alone, 0, [](float x) { return x <= 0 ? 0 : x; }, x);
    return;
  }
  GLEN_EACH(i, count / 4) {
    glen_four a = glen_fours(x, halves, i);
    a = {a.x <= 0 ? 0 : a.x, a.y <= 0 ? 0 : a.y, a.z <= 0 ? 0 : a.z, a.w <= 0 ? 0 : a.w};
    if (!alone) ((glen_four *)y)[i] = a;
    if (rounded) rounded[i] = glen_round_four(a);
  }
}

// With `halves` or `dhalves`, y or dy is there as bfloat16 alone.
GLEN_KERNEL(glen_relu_backward, const float *y, const unsigned short *halves, const float *dy,
            const unsigned short *dhalves, float *dx, long count, int accumulates,
            glen_two_words *rounded, int alone) {
  if (!halves && !dhalves) {
    glen_map(
        count, dx, rounded, alone, accumulates,
        [](float y, float dy) { return y <= 0 ? 0 : dy; }, y, dy);
    return;
  }
  GLEN_EACH(i, count / 4) {
    glen_four a = glen_fours(y, halves, i), d = glen_fours(dy, dhalves, i), old = {0, 0, 0, 0};
    if (accumulates) old = ((const glen_four *)dx)[i];
    glen_four value = {old.x + (a.x <= 0 ? 0 : d.x), old.y + (a.y <= 0 ? 0 : d.y),
                       old.z + (a.z <= 0 ? 0 : d.z), old.w + (a.w <= 0 ? 0 : d.w)};
    if (!alone) ((glen_four *)dx)[i] = value;
    if (rounded) rounded[i] = glen_round_four(value);
  }
}

// gelu(x) = x/2 (1 + tanh(u)) = x sigmoid(2u), u = sqrt(2/pi) (x + 0.044715 x^3).
GLEN_DEVICE float glen_gelu_sigmoid(float x) {
  float twice_u = 2 * 0.7978845608028654f * (x + 0.044715f * x * x * x);
  return 1 / (1 + expf(-twice_u));
}

// With halves, gate and up are there as bfloat16 alone.
GLEN_KERNEL(glen_gated_gelu, const float *gate, const unsigned short *gate_halves, const float *up,
            const unsigned short *up_halves, float *y, long count, glen_two_words *rounded,
            int alone) {
  auto body = [](float gate, float up) { return gate * glen_gelu_sigmoid(gate) * up; };
  if (!gate_halves && !up_halves) {
    glen_map(count, y, rounded, alone, 0, body, gate, up);
    return;
  }
  GLEN_EACH(i, count / 4) {
    glen_four g = glen_fours(gate, gate_halves, i), u = glen_fours(up, up_halves, i);
    glen_four value = {body(g.x, u.x), body(g.y, u.y), body(g.z, u.z), body(g.w, u.w)};
    if (!alone) ((glen_four *)y)[i] = value;
    if (rounded) rounded[i] = glen_round_four(value);
  }
}

// The same; dy, too, may be there as bfloat16 alone. Gradients are wanted so where they are rounded.
GLEN_KERNEL(glen_gated_gelu_backward, const float *gate, const unsigned short *gate_halves,
            const float *up, const unsigned short *up_halves, const float *dy,
            const unsigned short *dhalves, float *dgate, float *dup, long count,
            int accumulates_gate, int accumulates_up, unsigned short *rounded_gate,
            unsigned short *rounded_up, int gate_alone, int up_alone) {
  GLEN_EACH(i, count) {
    float x = gate_halves ? glen_widen(gate_halves[i]) : gate[i];
    float u = up_halves ? glen_widen(up_halves[i]) : up[i];
    float d = dhalves ? glen_widen(dhalves[i]) : dy[i], sigmoid = glen_gelu_sigmoid(x);
    // Beyond 20 sigmoid (1 - sigmoid) is 0 in either direction, while the square of x may be infinite.
    float near = x < -20 ? -20 : x > 20 ? 20 : x;
    float slope = 2 * 0.7978845608028654f * (1 + 3 * 0.044715f * near * near);
    float derivative = sigmoid + near * sigmoid * (1 - sigmoid) * slope;
    float of_gate = d * u * derivative, of_up = d * x * sigmoid;
    if (accumulates_gate) of_gate += dgate[i];
    if (accumulates_up) of_up += dup[i];
    if (!gate_alone) dgate[i] = of_gate;
    if (!up_alone) dup[i] = of_up;
    if (rounded_gate) rounded_gate[i] = (unsigned short)glen_pair(of_gate, 0);
    if (rounded_up) rounded_up[i] = (unsigned short)glen_pair(of_up, 0);
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
      rounded[block] = glen_round_four({values[0], values[1], values[2], values[3]});
  }
}

// AdamW with decoupled decay: w -= rate (m / c1 / (sqrt(v / c2) + epsilon) + decay w). All parameters
// in one grid.
GLEN_KERNEL(glen_adamw, const glen_adamw_parameter *parameters, long count) {
  long index = glen_owner(parameters, count);
  glen_adamw_parameter p = parameters[index];
  long first = glen_block_of(parameters, index) * glen_adamw_elements;
  long end = first + glen_adamw_elements < p.count ? first + glen_adamw_elements : p.count;
  float inverse1 = 1 / p.correction1, inverse2 = 1 / p.correction2;
  for (long i = first + glen_thread(); i < end; i += glen_threads()) {
    float g = p.gradient[i] * p.gradient_scale;
    float m = p.beta1 * p.first_moment[i] + (1 - p.beta1) * g;
    float v = p.beta2 * p.second_moment[i] + (1 - p.beta2) * g * g;
    p.first_moment[i] = m;
    p.second_moment[i] = v;
    float update = m * inverse1 / (sqrtf(v * inverse2) + p.epsilon);
    float weight = p.weight[i] - p.rate * (update + p.decay * p.weight[i]);
    p.weight[i] = weight;
    if (p.rounded) p.rounded[i] = (unsigned short)glen_pair(weight, 0);
  }
}
